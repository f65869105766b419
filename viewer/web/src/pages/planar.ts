// The planar demonstration: its animation, and how far each method got.

import { getJson, inWords } from "../api";
import { fill, h, setText } from "../dom";
import { number } from "../format";
import type { PlanarAnswer } from "../messages";
import type { Page } from "../page";
import type { Run } from "../run";
import { Chart } from "./charts";

interface MethodCurve {
  step: number[];
  warp_error: number[];
  psnr: number[];
  final: { warp_error: number; psnr: number };
}

// Those of the animation, lighter: they are seen on dark ground, too.
const COLOURS: { [method: string]: string } = {
  "smooth-grid": "#1a9c78",
  barf: "#dd6a1f",
  full: "#6f86dd",
  none: "#b565a8",
};
const WORDS: { [method: string]: string } = {
  "smooth-grid": "grid of pixels, from coarse to fine",
  barf: "network, frequencies from coarse to fine",
  full: "network, all frequencies at once",
  none: "network without encoding",
};

export function planarPage(run: Run): Page {
  const animation = h("img", { class: "animation", alt: "The patches of every method as they are aligned" });
  const note = h("p", { class: "about", role: "status" }, "Loading");
  const title = h("h1", {}, "Planar alignment");
  const body = h("tbody");
  const errors = new Chart({ title: "Warp error", unit: "log", log: true, sync: "planar" });
  const psnr = new Chart({ title: "PSNR", unit: "dB", sync: "planar" });

  const load = async () => {
    try {
      const answer = await getJson<PlanarAnswer>("/api/planar");
      const methods = answer.curves["methods"] as unknown as { [method: string]: MethodCurve };
      setText(title, `Planar alignment of ${answer.image}`);
      animation.src = "/planar/animation.gif";
      draw(methods);
      setText(note, "Patches of one image, each moved by an unknown warp, are aligned while the image is learned (BARF, ICCV 2021, section 4.1).");
    } catch (error) {
      setText(note, `The curves come when the run is done: ${inWords(error)}`);
    }
  };

  function draw(methods: { [method: string]: MethodCurve }): void {
    const names = Object.keys(methods);
    const steps = [...new Set(names.flatMap((name) => methods[name]!.step))].sort((a, b) => a - b);
    const lines = (key: "warp_error" | "psnr") => names.map((name) => {
      const at = new Map(methods[name]!.step.map((step, n) => [step, methods[name]![key][n] ?? null]));
      const floor = key === "warp_error" ? 1e-6 : -Infinity;
      return {
        label: name,
        colour: COLOURS[name] ?? "#9aa4b5",
        values: steps.map((step) => (at.has(step) ? Math.max(floor, at.get(step)!) : null)),
      };
    });
    errors.set(steps, lines("warp_error"));
    psnr.set(steps, lines("psnr"));
    fill(body, ...names.map((name) => {
      const { final } = methods[name]!;
      return h("tr", {},
        h("th", { scope: "row" }, h("i", { class: "dot", style: `background:${COLOURS[name] ?? "#9aa4b5"}` }), name),
        h("td", {}, WORDS[name] ?? ""),
        h("td", { class: "num" }, number(final.warp_error, 3)),
        h("td", { class: "num" }, `${number(final.psnr, 4)} dB`));
    }));
  }

  const stop = run.event.on((event) => {
    if (event.kind === "stage" && event.stage === "planar" && event.state === "done") void load();
  });
  return {
    id: "planar",
    element: h("div", { class: "page planar" }, title, note, animation,
      h("div", { class: "charts" }, errors.element, psnr.element),
      h("div", { class: "table-frame" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "Method"), h("th", {}, ""), h("th", { class: "num" }, "Warp error"), h("th", { class: "num" }, "PSNR"))), body))),
    show: () => void load(),
    close() {
      stop();
      errors.close();
      psnr.close();
    },
    stats: () => ({ methods: body.childElementCount, values: errors.points }),
  };
}
