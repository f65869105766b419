// The films and pictures that `barfield render` made of this run.

import { getJson, inWords } from "../api";
import { fill, h } from "../dom";
import type { RendersAnswer } from "../messages";

export function filmList(): HTMLDetailsElement {
  const list = h("ul", { class: "films" });
  const element = h("details", {}, h("summary", {}, "Films"), list);
  element.addEventListener("toggle", async () => {
    if (!element.open) return;
    try {
      const { films } = await getJson<RendersAnswer>("/api/renders");
      fill(list, ...films.map(({ name, bytes, url }) =>
        h("li", {}, h("a", { href: url, target: "_blank", rel: "noopener" }, name), `${(bytes / 1e6).toFixed(1)} MB`)));
      if (!films.length) fill(list, h("li", {}, "None yet: barfield render RUN --path FILE makes one."));
    } catch (error) {
      fill(list, h("li", {}, inWords(error)));
    }
  });
  return element;
}
