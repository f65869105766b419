// All keys and gestures, on one sheet.

import { button, h } from "../dom";

const KEYS: [string, string][] = [
  ["drag", "turn"],
  ["right drag, two fingers", "move sideways"],
  ["wheel, pinch", "come closer, go away"],
  ["click a camera", "fly there, see its photograph"],
  ["W A S D, arrows", "move; Shift: faster"],
  ["Q, E", "down, up"],
  ["F", "fly: dragging turns the head"],
  ["Home", "whole scene"],
  ["R", "render here"],
  ["1 … 9", "layers, in their order"],
  ["[ and ]", "smaller, larger points"],
  ["M", "measure two points"],
  ["C", "clip box"],
  ["K", "keep a place of the camera path"],
  ["P", "save a picture"],
  ["H", "hide the panel"],
  ["Esc", "close what is open"],
  ["?", "this sheet"],
];

export function helpSheet(): HTMLDialogElement {
  const dialog = h("dialog", { class: "help", "aria-label": "Keys" });
  dialog.append(
    h("header", {}, h("h2", {}, "Keys and gestures"), button("×", () => dialog.close(), { "aria-label": "Close" })),
    h("dl", {}, ...KEYS.flatMap(([key, effect]) => [h("dt", {}, key), h("dd", {}, effect)])),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  return dialog;
}
