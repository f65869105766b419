// Two photographs and their matches: all that were found, those that survived, and the epipolar
// line of whatever is under the pointer.

import type { Bundle } from "../bundle";
import { getBundle, inWords } from "../api";
import { go, link } from "../address";
import { button, fill, h, setText, slider, toggle } from "../dom";
import { count, number } from "../format";
import type { PairRow, Photograph } from "../messages";
import type { Page } from "../page";
import { pictureOf, thumbnailOf } from "../pictures";
import { neighbours, noSuch, pairs, photographs } from "./data";
import { PictureView, type Placed, type Pointer, secondPlace } from "./picture_view";

interface MatchesHeader {
  i1: number;
  i2: number;
  two_view: string;
  reason: string;
  angle_deg: number | null;
  F: number[] | null;
}

const NEAR_PX = 14;
const MOST_LINES = 350;

export function pairPage(): Page {
  let places: [Placed, Placed] | null = null;
  let ends: [Float32Array, Float32Array] = [new Float32Array(0), new Float32Array(0)];
  let matches: Uint32Array = new Uint32Array(0);
  let inliers: Uint32Array = new Uint32Array(0);
  let F: number[] | null = null;
  let pointer: Pointer | null = null;
  let pinned: Pointer | null = null;
  let order: PairRow[] = [];
  let pair: [number, number] = [0, 0];
  const shown = { all: true, survivors: true, lines: true };
  let share = 1;

  const view = new PictureView("Two photographs and their matches", (context, pixel) => {
    if (!places) return;
    if (shown.all) strokes(context, matches, pixel, "#c9d0dc", 0.28);
    if (shown.survivors) strokes(context, inliers, pixel, null, 0.8);
    const at = pointer ?? pinned;
    if (at) epipolar(context, at, pixel);
  });
  view.dim = 0.35;
  view.pointed.on((place) => {
    pointer = place;
    view.redraw();
  });
  view.clicked.on((place) => {
    pinned = place;
    view.redraw();
  });

  const end = (side: 0 | 1, row: number): Pointer => {
    const place = places![side];
    return { x: place.x + (ends[side][4 * row] ?? 0), y: place.y + (ends[side][4 * row + 1] ?? 0) };
  };

  function strokes(context: CanvasRenderingContext2D, rows: Uint32Array, pixel: number, colour: string | null, alpha: number): void {
    const every = Math.max(1, Math.round(1 / share));
    context.lineWidth = pixel;
    context.globalAlpha = alpha;
    const groups = colour ? 1 : 12;
    for (let group = 0; group < groups; group++) {
      context.strokeStyle = context.fillStyle = colour ?? `hsl(${150 + group * 17} 70% 60%)`;
      context.beginPath();
      const dots = new Path2D();
      for (let n = 0; 2 * n + 1 < rows.length; n += 1) {
        if (n % every || (!colour && hash(rows[2 * n]!) % groups !== group)) continue;
        const a = end(0, rows[2 * n]!);
        const b = end(1, rows[2 * n + 1]!);
        if (shown.lines) {
          context.moveTo(a.x, a.y);
          context.lineTo(b.x, b.y);
        }
        for (const { x, y } of [a, b]) {
          dots.moveTo(x + 2 * pixel, y);
          dots.arc(x, y, 2 * pixel, 0, 2 * Math.PI);
        }
      }
      context.stroke();
      context.fill(dots);
    }
    context.globalAlpha = 1;
  }

  /** The line on which the place under the pointer has to lie in the other photograph. */
  function epipolar(context: CanvasRenderingContext2D, at: Pointer, pixel: number): void {
    const side = places!.findIndex((place) => at.x >= place.x && at.x < place.x + place.width && at.y >= place.y && at.y < place.y + place.height);
    if (side < 0) return;
    const here = places![side as 0 | 1];
    const there = places![side ? 0 : 1];
    const [x, y] = [at.x - here.x, at.y - here.y];
    context.lineWidth = 1.6 * pixel;
    context.strokeStyle = "#ffc84d";
    context.beginPath();
    context.arc(at.x, at.y, 6 * pixel, 0, 2 * Math.PI);
    context.stroke();
    if (F) {
      const m = (r: number, c: number) => F![side ? 3 * c + r : 3 * r + c] ?? 0;
      const [a, b, c] = [0, 1, 2].map((r) => m(r, 0) * x + m(r, 1) * y + m(r, 2)) as [number, number, number];
      context.save();
      context.beginPath();
      context.rect(there.x, there.y, there.width, there.height);
      context.clip();
      context.beginPath();
      if (Math.abs(b) > Math.abs(a)) {
        context.moveTo(there.x, there.y - c / b);
        context.lineTo(there.x + there.width, there.y - (c + a * there.width) / b);
      } else {
        context.moveTo(there.x - c / a, there.y);
        context.lineTo(there.x - (c + b * there.height) / a, there.y + there.height);
      }
      context.stroke();
      context.restore();
    }
    nearestMatch(context, at, side as 0 | 1, pixel);
  }

  function nearestMatch(context: CanvasRenderingContext2D, at: Pointer, side: 0 | 1, pixel: number): void {
    const rows = shown.survivors && inliers.length ? inliers : matches;
    let best = -1;
    let distance = NEAR_PX * pixel;
    for (let n = 0; 2 * n + 1 < rows.length; n++) {
      const place = end(side, rows[2 * n + side]!);
      const off = Math.hypot(place.x - at.x, place.y - at.y);
      if (off < distance) [best, distance] = [n, off];
    }
    if (best < 0) return;
    context.strokeStyle = "#ffffff";
    context.lineWidth = 2 * pixel;
    const [a, b] = [end(0, rows[2 * best]!), end(1, rows[2 * best + 1]!)];
    context.beginPath();
    context.moveTo(a.x, a.y);
    context.lineTo(b.x, b.y);
    for (const { x, y } of [a, b]) {
      context.moveTo(x + 5 * pixel, y);
      context.arc(x, y, 5 * pixel, 0, 2 * Math.PI);
    }
    context.stroke();
  }

  const shares = slider("Share", { min: 0.02, max: 1, step: 0.01, value: 1 }, (value) => {
    share = value;
    view.redraw();
  }, (value) => `${Math.round(value * 100)} %`);
  const title = h("h1");
  const state = h("p", { class: "verdict" });
  const facts = h("dl", { class: "facts" });
  const note = h("p", { class: "about", role: "status" });
  const partners = h("div", { class: "partners" });
  const flip = (key: keyof typeof shown) => (on: boolean) => {
    shown[key] = on;
    view.redraw();
  };
  const step = (by: number) => {
    const at = order.findIndex((row) => row[0] === pair[0] && row[1] === pair[1]);
    const next = order[(at + by + order.length) % Math.max(1, order.length)];
    if (next) go("pair", [next[0], next[1]]);
  };
  const keys = (event: KeyboardEvent) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's own
    if (event.target instanceof HTMLInputElement && event.target.type === "range") return;
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else if (event.key === "Escape") go("pairs");
  };

  return {
    id: "pair",
    element: h("div", { class: "split" }, view.canvas,
      h("aside", { class: "side" },
        h("div", { class: "row" }, h("a", { href: link("pairs"), class: "button" }, "All"),
          button("‹", () => step(-1), { "aria-label": "The pair before" }), button("›", () => step(1), { "aria-label": "The next pair" })),
        title, state, facts,
        h("h2", {}, "Drawn"),
        toggle("All matches", true, flip("all")).element,
        toggle("Survivors of verification", true, flip("survivors")).element,
        toggle("Lines", true, flip("lines")).element,
        shares.element,
        slider("Dim", { min: 0, max: 0.9, step: 0.05, value: view.dim }, (value) => {
          view.dim = value;
          view.redraw();
        }, (value) => `${Math.round(value * 100)} %`).element,
        note, h("h2", {}, "Other pairs of the first"), partners)),
    async show([first, second]) {
      pair = [Number(first), Number(second)].sort((one, other) => one - other) as [number, number];
      removeEventListener("keydown", keys);
      addEventListener("keydown", keys);
      setText(note, "Loading matches");
      try {
        const [photos, rows] = await Promise.all([photographs(), pairs()]);
        order = rows.pairs;
        const [a, b] = [photos.photographs[pair[0]], photos.photographs[pair[1]]];
        if (!a || !b || a === b) throw noSuch(`pair ${[first, second].filter(Boolean).join(" and ")}`, photos);
        fill(title, a.name, h("br"), b.name);
        place(a, b);
        const found = neighbours(a.index, photos.photographs, order).slice(0, 16);
        fill(partners, ...found.map(({ photo, pair: row }) =>
          h("a", { href: link("pair", [row[0], row[1]]), title: row[5], "aria-current": photo.index === b.index ? "true" : null },
            h("img", { src: thumbnailOf(photo.index), alt: "", loading: "lazy" }),
            h("span", {}, photo.name), h("small", {}, row[3] === null ? "refused" : count(row[3])))));
        await load();
      } catch (error) {
        setText(note, inWords(error));
      }
    },
    close: () => removeEventListener("keydown", keys),
    stats: () => ({ matches: matches.length / 2, inliers: inliers.length / 2, epipolar: F !== null }),
  };

  function place(a: Photograph, b: Photograph): void {
    const first = { width: a.width ?? 1, height: a.height ?? 1 };
    const second = { width: b.width ?? 1, height: b.height ?? 1 };
    places = [
      { url: pictureOf(a.index), ...first, x: 0, y: 0 },
      { url: pictureOf(b.index), ...second, ...secondPlace(view.canvas, first, second) },
    ];
    matches = inliers = new Uint32Array(0);
    F = pointer = pinned = null;
    view.show(places);
  }

  async function load(): Promise<void> {
    const [i, j] = pair;
    const [bundle, one, two]: Bundle<MatchesHeader>[] = await Promise.all([
      getBundle<MatchesHeader>(`/pairs/${i}/${j}/matches`),
      getBundle<MatchesHeader>(`/photographs/${i}/keypoints`),
      getBundle<MatchesHeader>(`/photographs/${j}/keypoints`),
    ]) as [Bundle<MatchesHeader>, Bundle<MatchesHeader>, Bundle<MatchesHeader>];
    if (pair[0] !== i || pair[1] !== j) return;
    ends = [one!.get("keypoints", "f32"), two!.get("keypoints", "f32")];
    matches = bundle!.has("matches") ? bundle!.get("matches", "u32") : matches;
    inliers = bundle!.has("inliers") ? bundle!.get("inliers", "u32") : inliers;
    // As many as can still be told apart; the slider has all of them.
    shares.input.value = String(Math.max(0.02, Math.min(1, MOST_LINES / Math.max(1, inliers.length / 2))));
    shares.input.dispatchEvent(new Event("input"));
    const { header } = bundle!;
    F = header.F;
    const row = order.find((each) => each[0] === i && each[1] === j);
    const kind = header.two_view || row?.[4] || "";
    setText(state, header.reason || ["verified", kind.replaceAll("_", " ").toLowerCase()].filter(Boolean).join(", "));
    state.dataset["registered"] = header.reason ? "no" : "yes";
    fill(facts, ...[
      ["Matches", count(matches.length / 2)],
      // Guided matching finds more along the epipolar lines than there were before.
      ["Survived", inliers.length > matches.length ? `${count(inliers.length / 2)}, with guided ones` : `${count(inliers.length / 2)}, ${number((100 * inliers.length) / Math.max(1, matches.length), 3)} %`],
      ["Angle", header.angle_deg === null ? "–" : `${number(header.angle_deg, 3)}°`],
    ].flatMap(([name, value]) => [h("dt", {}, name!), h("dd", {}, value!)]));
    setText(note, F ? "Point at a place: its epipolar line is drawn in the other photograph. A click keeps it." : "This pair has no fundamental matrix.");
    view.redraw();
  }
}

function hash(value: number): number {
  return (Math.imul(value + 1, 2654435761) >>> 0) >> 8;
}
