// One photograph: its keypoints, those that see points of the model, and whom it was matched with.

import { getBundle, inWords } from "../api";
import { go, keep, link } from "../address";
import { button, fill, fillLegend, h, setText, slider, toggle } from "../dom";
import { count, number } from "../format";
import type { Photograph } from "../messages";
import type { Page } from "../page";
import { pictureOf, thumbnailOf } from "../pictures";
import { neighbours, noSuch, pairs, photographs } from "./data";
import { DepthPicture } from "./depth_picture";
import { verdict } from "./photographs";
import { PictureView, type Placed, secondPlace } from "./picture_view";

const SEES = "#4cd0b0";
const OTHER = "#f0b64a";

export function photographPage(): Page {
  let index = -1;
  let all: Photograph[] = [];
  let keypoints: Float32Array = new Float32Array(0);
  let sees: Uint8Array | null = null;
  let depth: DepthPicture | null = null;
  let places: Placed[] = []; // of the photograph, and of its depth map
  const shown = { sees: true, others: true, size: true };

  const view = new PictureView("Photograph: wheel and + - to come closer, drag to move, 0 to see all", (context, pixel) => {
    if (shown.others) draw(context, pixel, OTHER, 0.75, (n) => !sees?.[n]);
    if (shown.sees && sees) draw(context, pixel, SEES, 0.95, (n) => sees![n] === 1);
  });
  view.dim = 0.15;
  view.pointed.on((at) => {
    // In both pictures the same is at the same place, but for the distortion of the lens.
    const under = at && places.find(({ x, y, width, height }) => at.x >= x && at.y >= y && at.x < x + width && at.y < y + height);
    const found = under && depth?.at((at.x - under.x) / under.width, (at.y - under.y) / under.height);
    setText(depthHere, depth ? `Depth here: ${number(found)}` : "");
  });

  function draw(context: CanvasRenderingContext2D, pixel: number, colour: string, alpha: number, wanted: (n: number) => boolean): void {
    context.strokeStyle = colour;
    context.globalAlpha = alpha;
    context.lineWidth = 1.1 * pixel;
    context.beginPath();
    for (let n = 0; 4 * n + 3 < keypoints.length; n++) {
      if (!wanted(n)) continue;
      const [x, y, scale, turn] = [keypoints[4 * n]!, keypoints[4 * n + 1]!, keypoints[4 * n + 2]!, keypoints[4 * n + 3]!];
      const radius = shown.size ? Math.max(1.5 * pixel, 2 * scale) : 1.8 * pixel;
      context.moveTo(x + radius, y);
      context.arc(x, y, radius, 0, 2 * Math.PI);
      if (!shown.size) continue;
      context.moveTo(x, y);
      context.lineTo(x + radius * Math.cos(turn), y + radius * Math.sin(turn));
    }
    context.stroke();
    context.globalAlpha = 1;
  }

  const title = h("h1");
  const state = h("p", { class: "verdict" });
  const facts = h("dl", { class: "facts" });
  const note = h("p", { class: "about", role: "status" });
  const partners = h("div", { class: "partners" });
  const inScene = h("a", { class: "button" }, "Show in the scene");
  const dim = slider("Dim", { min: 0, max: 0.9, step: 0.05, value: view.dim }, (value) => {
    view.dim = value;
    view.redraw();
  }, (value) => `${Math.round(value * 100)} %`);
  const seesSwitch = toggle("Keypoints that see a point", true, (on) => {
    shown.sees = on;
    view.redraw();
  });
  const otherSwitch = toggle("Other keypoints", true, (on) => {
    shown.others = on;
    view.redraw();
  });
  seesSwitch.element.style.setProperty("--mark", SEES);
  otherSwitch.element.style.setProperty("--mark", OTHER);
  const size = toggle("Scale and orientation", true, (on) => {
    shown.size = on;
    view.redraw();
  });
  const depthSwitch = toggle("Depth map", false, (on) => {
    keep({ depth: on ? "1" : null });
    void showPictures();
  }, "What the stage depth has found, without the distortion of the lens");
  const legend = h("div", { class: "legend reversed", hidden: true });
  const depthHere = h("p", { class: "about" });
  const step = (by: number) =>
    all.length && go("photograph", [(index + by + all.length) % all.length], depthSwitch.input.checked ? { depth: "1" } : {});

  const keys = (event: KeyboardEvent) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's own
    if (event.target instanceof HTMLInputElement && event.target.type === "range") return;
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else if (event.key === "Escape") go("photographs");
  };

  return {
    id: "photograph",
    element: h("div", { class: "split" }, view.canvas,
      h("aside", { class: "side" },
        h("div", { class: "row" }, h("a", { href: link("photographs"), class: "button" }, "All"),
          button("‹", () => step(-1), { "aria-label": "The photograph before" }),
          button("›", () => step(1), { "aria-label": "The next photograph" }), h("span", { class: "grow" }), inScene),
        title, state, facts,
        h("h2", {}, "Drawn"), seesSwitch.element, otherSwitch.element, size.element, dim.element,
        depthSwitch.element, legend, depthHere, note,
        h("h2", {}, "Matched with"), partners)),
    async show([which], options) {
      index = Number(which);
      removeEventListener("keydown", keys);
      addEventListener("keydown", keys);
      try {
        const answer = await photographs();
        all = answer.photographs;
        const photo = all[index];
        if (!photo) throw noSuch(`photograph ${which ?? "without a number"}`, answer);
        setText(title, photo.name);
        setText(state, verdict(photo));
        state.dataset["registered"] = photo.registered === null ? "open" : photo.registered ? "yes" : "no";
        inScene.href = link("scene", [], { camera: String(index) });
        inScene.hidden = !photo.registered;
        fill(facts, ...facts_of(photo));
        keypoints = new Float32Array(0);
        sees = null;
        depthSwitch.set(photo.depth !== null && options.has("depth"));
        depthSwitch.input.disabled = photo.depth === null;
        void showPictures();
        void showPartners(photo);
        await showKeypoints();
      } catch (error) {
        setText(note, inWords(error));
      }
    },
    close: () => removeEventListener("keydown", keys),
    stats: () => ({ keypoints: keypoints.length / 4, seeing: sees ? sees.reduce((sum, one) => sum + one, 0) : null, depth: depth?.range ?? null }),
  };

  async function showPictures(): Promise<void> {
    const { width, height, depth: version } = all[index]!;
    const size = { width: width ?? 0, height: height ?? 0 };
    depth = null;
    places = width && height ? [{ url: pictureOf(index), ...size, x: 0, y: 0 }] : [];
    view.show(places);
    setText(depthHere, "");
    fillLegend(legend, undefined);
    if (!depthSwitch.input.checked || !version || !places.length) return;
    try {
      const found = await DepthPicture.load(index, version);
      if (!depthSwitch.input.checked || depth) return; // it was switched meanwhile
      depth = found;
      places.push({ url: found.url, ...size, ...secondPlace(view.canvas, size, size), alone: true });
      view.show(places);
      const { range } = found;
      fillLegend(legend, range ? [`near ${number(range.near)}`, `${number(range.far)} far`] : undefined);
    } catch (error) {
      setText(depthHere, `No depth map: ${inWords(error)}`);
    }
  }

  async function showKeypoints(): Promise<void> {
    setText(note, "Loading keypoints");
    try {
      const bundle = await getBundle(`/photographs/${index}/keypoints`);
      keypoints = bundle.get("keypoints", "f32");
      sees = bundle.has("sees_point") ? bundle.get("sees_point", "u8") : null;
      const seeing = sees?.reduce((sum, one) => sum + one, 0);
      setText(note, [`${count(keypoints.length / 4)} keypoints`, seeing !== undefined && `${count(seeing)} see a point`].filter(Boolean).join(", "));
      seesSwitch.input.disabled = !sees;
    } catch (error) {
      keypoints = new Float32Array(0);
      sees = null;
      setText(note, `No keypoints: ${inWords(error)}`);
    }
    view.redraw();
  }

  async function showPartners(photo: Photograph): Promise<void> {
    fill(partners);
    try {
      const found = neighbours(index, all, (await pairs()).pairs).slice(0, 24);
      fill(partners, ...found.map(({ photo: other, pair }) =>
        h("a", { href: link("pair", [pair[0], pair[1]]), title: pair[5] },
          h("img", { src: thumbnailOf(other.index), alt: "", loading: "lazy" }),
          h("span", {}, other.name),
          h("small", {}, pair[3] === null ? pair[5] || `${count(pair[2])} matches` : `${count(pair[3])} inliers`))));
      if (!found.length) setText(partners, `${photo.name} was matched with no other photograph.`);
    } catch (error) {
      setText(partners, inWords(error));
    }
  }
}

function facts_of(photo: Photograph): HTMLElement[] {
  const rows: [string, string][] = [
    ["Size", photo.width === null ? "–" : `${photo.width} × ${photo.height} px`],
    ["Keypoints", count(photo.keypoints)],
    ["Partners", count(photo.partners)],
    ["Inliers", count(photo.inliers)],
    ["Points seen", count(photo.points)],
    ["Error", photo.error_px === null ? "–" : `${number(photo.error_px, 3)} px`],
    ["Focal length", photo.focal_px === null ? "–" : `${number(photo.focal_px, 5)} px`],
    ["Sharpness", number(photo.sharpness, 3)],
  ];
  return rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
}
