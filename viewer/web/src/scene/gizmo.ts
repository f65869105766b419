// A small compass of the axes in the corner: shows how the view is turned; a click looks along an axis.

import { Quaternion, Vector3 } from "three";
import { h } from "../dom";
import type { View } from "./view";

const SIDE = 84;
const ARM = 28;
const AXES: { name: string; direction: Vector3; colour: string }[] = [
  { name: "x", direction: new Vector3(1, 0, 0), colour: "#e5544f" },
  { name: "y", direction: new Vector3(0, 1, 0), colour: "#62b44b" },
  { name: "z", direction: new Vector3(0, 0, 1), colour: "#4a8fe2" },
];

export function gizmo(view: View): HTMLElement {
  const canvas = h("canvas", { class: "gizmo", width: SIDE * 2, height: SIDE * 2, title: "Look along an axis", "aria-hidden": "true" });
  const context = canvas.getContext("2d")!;
  let ends: { x: number; y: number; direction: Vector3 }[] = [];

  const drawn = new Quaternion(0, 0, 0, 0);
  const draw = () => {
    if (drawn.equals(view.camera.quaternion)) return;
    drawn.copy(view.camera.quaternion);
    context.setTransform(2, 0, 0, 2, SIDE, SIDE);
    context.clearRect(-SIDE / 2, -SIDE / 2, SIDE, SIDE);
    const turned = AXES.flatMap(({ name, direction, colour }) =>
      [1, -1].map((sign) => {
        const way = direction.clone().multiplyScalar(sign);
        const seen = way.clone().transformDirection(view.camera.matrixWorldInverse);
        return { way, seen, colour, label: sign > 0 ? name : "" };
      }),
    ).sort((a, b) => a.seen.z - b.seen.z);
    ends = [];
    for (const { way, seen, colour, label } of turned) {
      const [x, y] = [seen.x * ARM, -seen.y * ARM];
      ends.push({ x, y, direction: way });
      context.globalAlpha = 0.55 + 0.45 * ((seen.z + 1) / 2);
      if (label) {
        context.strokeStyle = colour;
        context.lineWidth = 2;
        context.beginPath();
        context.moveTo(0, 0);
        context.lineTo(x, y);
        context.stroke();
      }
      context.fillStyle = colour;
      context.beginPath();
      context.arc(x, y, label ? 8 : 4.5, 0, 2 * Math.PI);
      context.fill();
      if (label) {
        context.fillStyle = "#0b0d10";
        context.font = "600 10px system-ui, sans-serif";
        context.textAlign = "center";
        context.textBaseline = "middle";
        context.fillText(label, x, y + 0.5);
      }
    }
  };
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    const hit = ends.findLast((end) => Math.hypot(end.x - x, end.y - y) < 10);
    if (hit) lookAlong(view, hit.direction);
  });
  view.drawn.on(draw);
  return canvas;
}

/** Look at what is looked at from the side to which `direction` points. */
export function lookAlong(view: View, direction: Vector3): void {
  const target = view.controls.getTarget(new Vector3());
  const distance = Math.max(view.controls.distance, view.radius * 0.5);
  const from = target.clone().addScaledVector(direction, distance);
  view.touched = true;
  void view.controls.setLookAt(from.x, from.y, from.z, target.x, target.y, target.z, true);
  view.invalidate();
}
