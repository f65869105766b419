// The state of the page in the address: #page/part?key=value. A link shows what its sender saw.

import { Signal } from "./signal";

export interface Address {
  page: string;
  parts: string[];
  options: URLSearchParams;
}

export const moved = new Signal<Address>();

export function address(): Address {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [page = "", ...parts] = path.split("/").map(decoded);
  return { page, parts, options: new URLSearchParams(query) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // somebody has cut or typed it
  }
}

export function link(page: string, parts: (string | number)[] = [], options: { [key: string]: string } = {}): string {
  const query = new URLSearchParams(options).toString();
  const path = [page, ...parts].map((part) => encodeURIComponent(String(part))).join("/");
  return `#${path}${query ? `?${query}` : ""}`;
}

export function go(page: string, parts: (string | number)[] = [], options: { [key: string]: string } = {}): void {
  location.hash = link(page, parts, options);
}

/** Change options of the page that is shown, without a step in the history. */
export function keep(changes: { [key: string]: string | null }): void {
  const { page, parts, options } = address();
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) options.delete(key);
    else options.set(key, value);
  }
  const next = link(page || "scene", parts, Object.fromEntries(options));
  if (next !== location.hash) history.replaceState(null, "", next);
}

addEventListener("hashchange", () => moved.emit(address()));
