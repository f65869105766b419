// The films that were rendered of this run.

import { getJson, inWords } from "../api";
import { fill, h } from "../dom";
import type { RendersAnswer } from "../messages";

/** The list, and what reads it anew where it is open. */
export function filmList(): { element: HTMLDetailsElement; refresh: () => void } {
  const list = h("ul", { class: "films" });
  const element = h("details", {}, h("summary", {}, "Films"), list);
  const refresh = async () => {
    if (!element.open) return;
    try {
      const { films } = await getJson<RendersAnswer>("/api/renders");
      fill(list, ...films.map(({ name, bytes, url }) =>
        h("li", {}, h("a", { href: url, target: "_blank", rel: "noopener" }, name), `${(bytes / 1e6).toFixed(1)} MB`)));
      if (!films.length) fill(list, h("li", {}, "None yet: render one of the camera path, or with barfield render RUN."));
    } catch (error) {
      fill(list, h("li", {}, inWords(error)));
    }
  };
  element.addEventListener("toggle", () => void refresh());
  return { element, refresh: () => void refresh() };
}
