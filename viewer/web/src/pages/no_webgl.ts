// In place of the scene where the browser does not draw in 3D.

import { link } from "../address";
import { h } from "../dom";
import type { Page } from "../page";

export function noWebglPage(reason: string): Page {
  return {
    id: "scene",
    element: h("div", { class: "page no-webgl" },
      h("h1", {}, "The scene needs WebGL 2"),
      h("p", {}, reason),
      h("p", {}, "In Chromium and Chrome: chrome://gpu says why; in Firefox: about:support. Graphics acceleration may be switched off in the settings, or a remote desktop may lack it. All other pages work without:"),
      h("div", { class: "row" },
        h("a", { class: "button", href: link("photographs") }, "Photographs"),
        h("a", { class: "button", href: link("pairs") }, "Pairs"),
        h("a", { class: "button", href: link("method") }, "Method"),
        h("a", { class: "button", href: link("log") }, "Log"))),
    stats: () => ({ webgl: reason }),
  };
}
