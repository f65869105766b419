// Making elements. All text goes in as text: names of files and messages of a run are never markup.

export type Child = Node | string | number | null | undefined | false;
type Props = { [key: string]: string | number | boolean | null | undefined | ((event: never) => void) };

/** An element: `on...` are listeners, booleans are present or not, the rest are attributes. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (typeof value === "function") {
      element.addEventListener(key.slice(2).toLowerCase(), value as (event: Event) => void);
    } else if (value === true) {
      element.setAttribute(key, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(key, String(value));
    }
  }
  append(element, children);
  return element;
}

export function append(parent: Element, children: Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : String(child));
  }
}

export function fill(parent: Element, ...children: Child[]): void {
  parent.replaceChildren();
  append(parent, children);
}

export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export interface Switch {
  element: HTMLElement;
  input: HTMLInputElement;
  set(on: boolean): void;
}

export function toggle(label: string, on: boolean, change: (on: boolean) => void, title = ""): Switch {
  const input = h("input", { type: "checkbox" });
  input.defaultChecked = on; // what the address leaves out
  input.addEventListener("change", () => change(input.checked));
  return {
    element: h("label", { class: "switch", title }, input, h("span", {}, label)),
    input,
    set(value) {
      input.checked = value;
    },
  };
}

export function slider(
  label: string,
  range: { min: number; max: number; step: number; value: number },
  change: (value: number) => void,
  show: (value: number) => string = String,
): { element: HTMLElement; input: HTMLInputElement; set(value: number): void } {
  const input = h("input", { type: "range", min: range.min, max: range.max, step: range.step, "aria-label": label });
  input.value = String(range.value);
  const shown = h("output", {}, show(range.value));
  const told = () => setText(shown, show(input.valueAsNumber));
  input.addEventListener("input", () => {
    told();
    change(input.valueAsNumber);
  });
  const set = (value: number) => {
    input.value = String(value);
    told();
  };
  return { element: h("label", { class: "slider" }, h("span", {}, label), input, shown), input, set };
}

export function choice<T extends string>(
  label: string,
  options: readonly (readonly [T, string])[],
  value: T,
  change: (value: T) => void,
): { element: HTMLElement; input: HTMLSelectElement } {
  const input = h("select", { "aria-label": label }, ...options.map(([key, text]) => h("option", { value: key }, text)));
  input.value = value;
  input.addEventListener("change", () => change(input.value as T));
  return { element: h("label", { class: "choice" }, h("span", {}, label), input), input };
}

export function button(label: string, action: () => void, props: Props = {}): HTMLButtonElement {
  return h("button", { type: "button", ...props, onclick: action }, label);
}

/** What the two ends of the colours mean; hidden without. */
export function fillLegend(legend: HTMLElement, ends: [string, string] | undefined): void {
  legend.hidden = !ends;
  if (ends) fill(legend, h("span", {}, ends[0]), h("i"), h("span", {}, ends[1]));
}

/** Offers data as a file to keep. */
export function download(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
