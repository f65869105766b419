// All photographs, with what became of each.

import { inWords } from "../api";
import { address, keep, link } from "../address";
import { choice, fill, h, setText } from "../dom";
import { count, number } from "../format";
import type { Photograph } from "../messages";
import type { Page } from "../page";
import { thumbnailOf } from "../pictures";
import { photographs } from "./data";

type Order = "taken" | "name" | "keypoints" | "inliers" | "points" | "error" | "sharpness";
type Filter = "all" | "registered" | "not";

const ORDERS: [Order, string][] = [
  ["taken", "as they came"],
  ["name", "name"],
  ["keypoints", "fewest keypoints"],
  ["inliers", "fewest inliers"],
  ["points", "fewest points"],
  ["error", "largest error"],
  ["sharpness", "least sharp"],
];
const FILTERS: [Filter, string][] = [
  ["all", "all"],
  ["registered", "registered"],
  ["not", "not registered"],
];

export function photographsPage(): Page {
  const grid = h("div", { class: "grid" });
  const summary = h("p", { class: "summary", role: "status" }, "Loading");
  const gaps = h("ul", { class: "gaps" });
  const search = h("input", { type: "search", placeholder: "Name", "aria-label": "Part of the name" });
  let all: Photograph[] = [];
  let order: Order = "taken";
  let filter: Filter = "all";

  const orders = choice("Order", ORDERS, order, (value) => {
    order = value;
    keep({ order: value === "taken" ? null : value });
    draw();
  });
  const filters = choice("Show", FILTERS, filter, (value) => {
    filter = value;
    keep({ show: value === "all" ? null : value });
    draw();
  });
  search.addEventListener("input", () => draw());

  const draw = () => {
    const text = search.value.toLowerCase();
    const seen = all.filter(
      (photo) =>
        photo.name.toLowerCase().includes(text) &&
        (filter === "all" || (filter === "registered") === (photo.registered === true)),
    );
    seen.sort(compare(order));
    fill(grid, ...seen.map(card));
    const registered = all.filter((photo) => photo.registered).length;
    const known = all.some((photo) => photo.registered !== null);
    setText(
      summary,
      [
        `${all.length} photographs`,
        known && `${registered} registered`,
        known && registered < all.length && `${all.length - registered} not`,
        seen.length < all.length && `${seen.length} shown`,
      ].filter(Boolean).join(" · "),
    );
  };

  return {
    id: "photographs",
    element: h("div", { class: "page" },
      h("header", { class: "tools" }, summary, h("span", { class: "grow" }), search, filters.element, orders.element),
      gaps, grid),
    async show() {
      const { options } = address();
      order = orders.input.value = (options.get("order") as Order) || "taken";
      filter = filters.input.value = (options.get("show") as Filter) || "all";
      try {
        const answer = await photographs();
        all = answer.photographs;
        fill(gaps, ...answer.gaps.map((gap) => h("li", {}, gap)));
        draw();
      } catch (error) {
        setText(summary, `There are no photographs to show: ${inWords(error)}`);
      }
    },
    stats: () => ({ photographs: all.length, cards: grid.childElementCount }),
  };
}

function compare(order: Order): (a: Photograph, b: Photograph) => number {
  const low = (value: number | null) => value ?? -1;
  switch (order) {
    case "name":
      return (a, b) => a.name.localeCompare(b.name, "en", { numeric: true });
    case "keypoints":
      return (a, b) => low(a.keypoints) - low(b.keypoints);
    case "inliers":
      return (a, b) => low(a.inliers) - low(b.inliers);
    case "points":
      return (a, b) => low(a.points) - low(b.points);
    case "error":
      return (a, b) => low(b.error_px) - low(a.error_px);
    case "sharpness":
      return (a, b) => low(a.sharpness) - low(b.sharpness);
    default:
      return (a, b) => a.index - b.index;
  }
}

export function verdict(photo: Photograph): string {
  if (photo.registered === null) return photo.reason || "not placed yet";
  return photo.registered ? "registered" : photo.reason || "not registered";
}

function card(photo: Photograph): HTMLElement {
  const state = photo.registered === null ? "open" : photo.registered ? "yes" : "no";
  const facts = photo.registered
    ? [`${count(photo.points)} points`, photo.error_px !== null && `${number(photo.error_px, 2)} px`]
    : [photo.keypoints !== null && `${count(photo.keypoints)} keypoints`];
  return h("a", { class: "card", href: link("photograph", [photo.index]), "data-registered": state },
    h("div", { class: "thumb" },
      photo.width === null ? null : h("img", { src: thumbnailOf(photo.index), alt: "", loading: "lazy", decoding: "async" })),
    h("strong", { title: photo.name }, photo.name),
    h("span", { class: "verdict" }, state === "yes" ? facts.filter(Boolean).join(" · ") : verdict(photo)));
}
