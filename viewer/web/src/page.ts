// What a page is to the frame around it.

export interface Page {
  id: string;
  element: HTMLElement;
  /** The page is in the document now. parts, options: of the address. */
  show?(parts: string[], options: URLSearchParams): void;
  /** The options of the address changed while the page is shown. */
  moved?(options: URLSearchParams): void;
  hide?(): void;
  /** The page is not shown again. */
  close?(): void;
  /** For tests. */
  stats?(): { [key: string]: unknown };
}
