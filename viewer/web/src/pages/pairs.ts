// The matrix of pairs: above the diagonal all matches, below it those that survived.

import { inWords } from "../api";
import { go, link } from "../address";
import { fill, h, setText } from "../dom";
import { count, number } from "../format";
import type { PairRow, Photograph } from "../messages";
import type { Page } from "../page";
import { pairs, photographs } from "./data";

const MOST_ROWS = 200;

export function pairsPage(): Page {
  const canvas = h("canvas", { class: "matrix", "aria-label": "Matrix of pairs; the list beside it has the same" });
  const hint = h("p", { class: "about", role: "status" });
  const summary = h("p", { class: "summary" }, "Loading");
  const body = h("tbody");
  const search = h("input", { type: "search", placeholder: "Name", "aria-label": "Part of a name" });
  let rows: PairRow[] = [];
  let all: Photograph[] = [];
  let most = 1;
  const cells = new Map<number, PairRow>();
  const cell = (a: number, b: number) => cells.get(Math.min(a, b) * all.length + Math.max(a, b));

  const draw = () => {
    const n = Math.max(1, all.length);
    const ratio = Math.min(devicePixelRatio, 2);
    const side = Math.max(1, Math.round(Math.min(canvas.parentElement!.clientWidth, canvas.parentElement!.clientHeight) * ratio));
    const each = Math.max(1, Math.floor(side / n));
    canvas.width = canvas.height = each * n;
    canvas.style.width = canvas.style.height = `${(each * n) / ratio}px`;
    if (each === 1) canvas.style.width = canvas.style.height = `${side / ratio}px`;
    const context = canvas.getContext("2d")!;
    const gap = each > 5 ? 1 : 0;
    const style = getComputedStyle(document.documentElement);
    context.fillStyle = style.getPropertyValue("--line").trim();
    context.globalAlpha = 0.35;
    for (let k = 0; k < n; k++) context.fillRect(k * each, k * each, each - gap, each - gap);
    for (const [a, b, matches, inliers, , reason] of rows) {
      paint(b, a, matches, false);
      paint(a, b, inliers ?? 0, inliers === null && reason !== "");
    }
    context.globalAlpha = 1;

    function paint(x: number, y: number, value: number, refused: boolean): void {
      context.globalAlpha = 1;
      context.fillStyle = refused ? "#7a3b3f" : ramp(Math.log1p(value) / Math.log1p(most));
      context.fillRect(x * each, y * each, each - gap, each - gap);
    }
  };

  const at = (event: MouseEvent): [number, number] | null => {
    const box = canvas.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * all.length);
    const y = Math.floor(((event.clientY - box.top) / box.height) * all.length);
    return x >= 0 && y >= 0 && x < all.length && y < all.length ? [x, y] : null;
  };
  canvas.addEventListener("pointermove", (event) => {
    const place = at(event);
    const row = place && cell(...place);
    canvas.style.cursor = row ? "pointer" : "";
    setText(hint, row ? words(row) : place && place[0] !== place[1] ? `${name(place[1])} and ${name(place[0])} were not compared` : HINT);
  });
  canvas.addEventListener("pointerleave", () => setText(hint, HINT));
  canvas.addEventListener("click", (event) => {
    const place = at(event);
    const row = place && cell(...place);
    if (row) go("pair", [row[0], row[1]]);
  });

  const name = (index: number) => all[index]?.name ?? String(index);
  const words = ([a, b, matches, inliers, kind, reason, angle]: PairRow) =>
    [
      `${name(a)} and ${name(b)}`,
      `${count(matches)} matches`,
      inliers !== null && `${count(inliers)} inliers`,
      kind.replaceAll("_", " "),
      angle !== null && `${number(angle, 2)}°`,
      reason,
    ].filter(Boolean).join(" · ");

  const list = () => {
    const text = search.value.toLowerCase();
    const seen = rows
      .filter(([a, b]) => !text || name(a).toLowerCase().includes(text) || name(b).toLowerCase().includes(text))
      .sort((p, q) => (q[3] ?? -1) - (p[3] ?? -1) || q[2] - p[2]);
    fill(body, ...seen.slice(0, MOST_ROWS).map((row) =>
      h("tr", { title: row[5] },
        h("td", {}, h("a", { href: link("pair", [row[0], row[1]]) }, name(row[0]), " – ", name(row[1]))),
        h("td", { class: "num" }, count(row[2])),
        h("td", { class: "num" }, row[3] === null ? "–" : count(row[3])),
        h("td", { class: "num" }, row[6] === null ? "–" : `${row[6].toFixed(1)}°`),
        h("td", {}, row[5] || row[4].replaceAll("_", " ")))));
  };
  search.addEventListener("input", list);
  const observer = new ResizeObserver(draw);

  const frame = h("div", { class: "matrix-frame" }, canvas);
  return {
    id: "pairs",
    element: h("div", { class: "page pairs" },
      h("header", { class: "tools" }, summary, h("span", { class: "grow" }), search),
      h("div", { class: "columns" },
        h("div", { class: "matrix-column" }, frame, hint, scale()),
        h("div", { class: "table-frame" },
          h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "Pair"), h("th", { class: "num" }, "Matches"), h("th", { class: "num" }, "Inliers"), h("th", { class: "num" }, "Angle"), h("th", {}, "Geometry"))), body)))),
    async show() {
      observer.observe(frame);
      try {
        const [photos, found] = await Promise.all([photographs(), pairs()]);
        all = photos.photographs;
        rows = found.pairs;
        cells.clear();
        for (const row of rows) cells.set(row[0] * all.length + row[1], row);
        most = rows.reduce((max, row) => Math.max(max, row[2], row[3] ?? 0), 1);
        const verified = rows.filter((row) => row[3] !== null && !row[5]).length;
        const counts = `${count(rows.length)} pairs compared · ${count(verified)} verified`;
        setText(summary, rows.length ? counts : [counts, ...photos.gaps].join(" · "));
        setText(hint, HINT);
        draw();
        list();
      } catch (error) {
        setText(summary, `There are no pairs to show: ${inWords(error)}`);
      }
    },
    close: () => observer.disconnect(),
    stats: () => ({ pairs: rows.length, rows: body.childElementCount }),
  };
}

const HINT = "Above the diagonal: matches. Below it: inliers, red where the pair was refused. Click a cell to see the pair.";

/** 0 to 1 as a colour, dark to light; the same as in the scene. */
function ramp(t: number): string {
  const stops = [[38, 42, 58], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const place = Math.min(0.9999, Math.max(0, t)) * (stops.length - 1);
  const [a, b] = [stops[Math.floor(place)]!, stops[Math.floor(place) + 1]!];
  const part = place % 1;
  return `rgb(${a.map((value, k) => Math.round(value + (b[k]! - value) * part)).join(" ")})`;
}

function scale(): HTMLElement {
  return h("div", { class: "legend" }, h("span", {}, "none"), h("i"), h("span", {}, "most"));
}
