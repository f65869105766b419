// The photograph of a camera, and what the field renders from the same place, side by side.

import { Vector3 } from "three";
import { link } from "../address";
import { button, fill, h, setText } from "../dom";
import { count, number } from "../format";
import { canRender } from "../messages";
import { pictureOf } from "../pictures";
import { centerOf, type SceneCamera, toWorld } from "./cameras";
import { Frames } from "./frames";
import type { View } from "./view";
import type { World } from "./world";

const LONGEST_SIDE = 1280;

export class PhotoPanel {
  readonly element = h("aside", { class: "photo-panel", hidden: true, "aria-label": "Photograph" });
  rendered = 0;
  private readonly frames = new Frames();
  private readonly canvas = h("canvas", { class: "render" });
  private readonly picture = h("img", { alt: "", draggable: "false" });
  private readonly box = h("div", { class: "compare" });
  private readonly edge = h("input", { type: "range", min: 0, max: 100, step: 0.5, "aria-label": "Photograph to render", class: "edge" });
  private readonly title = h("a", { class: "title" });
  private readonly facts = h("p", { class: "about" });
  private readonly note = h("p", { class: "about", role: "status" });
  private index = -1;
  private asked = 0;

  constructor(
    private readonly view: View,
    private readonly world: World,
    private readonly chosen: (camera: SceneCamera | null) => void,
  ) {
    this.edge.value = "50";
    this.edge.addEventListener("input", () => this.cut());
    this.box.append(this.picture, this.canvas, h("span", { class: "tag left" }, "photograph"), h("span", { class: "tag right" }, "render"), this.edge);
    this.element.append(
      h("header", {},
        this.title,
        h("span", { class: "grow" }),
        button("‹", () => this.step(-1), { "aria-label": "The photograph before" }),
        button("›", () => this.step(1), { "aria-label": "The next photograph" }),
        button("×", () => this.close(), { "aria-label": "Close" })),
      this.box, this.facts, this.note);
    this.frames.problem.on((words) => setText(this.note, words));
    this.frames.frame.on((frame) => {
      if (frame.header.seq < this.asked) { // of the photograph before
        frame.picture.close();
        return frame.shown();
      }
      this.canvas.width = frame.picture.width;
      this.canvas.height = frame.picture.height;
      this.canvas.getContext("2d")!.drawImage(frame.picture, 0, 0);
      frame.picture.close();
      frame.shown();
      this.canvas.hidden = false;
      this.rendered += 1;
      this.box.classList.add("both");
      const { header } = frame;
      setText(this.note, `${header.width} × ${header.height}${header.final ? "" : ", refining"} · step ${count(header.step)} · ${Math.round(header.render_s * 1000)} ms`);
    });
  }

  get open(): boolean {
    return !this.element.hidden;
  }

  show(index: number, fly = true): void {
    const camera = this.world.cameras.list[index];
    if (!camera) return;
    this.index = index;
    this.world.cameras.select(index);
    this.element.hidden = false;
    fill(this.title, camera.name);
    if (camera.photo !== null) this.title.href = link("photograph", [camera.photo]);
    this.picture.src = camera.photo === null ? "" : pictureOf(camera.photo);
    this.picture.alt = camera.name;
    this.box.style.aspectRatio = `${camera.lens.width} / ${camera.lens.height}`;
    this.canvas.hidden = true;
    this.box.classList.remove("both");
    this.cut();
    setText(this.facts, [
      camera.points !== null && `${count(camera.points)} points`,
      camera.error_px !== null && `${number(camera.error_px, 2)} px`,
      `${camera.lens.width} × ${camera.lens.height}`,
      `f ${number(camera.lens.fx, 4)} px`,
    ].filter(Boolean).join(" · "));
    this.ask(camera);
    if (fly) this.fly(camera);
    this.chosen(camera);
  }

  close(): void {
    this.element.hidden = true;
    this.world.cameras.select(-1);
    this.frames.rest();
    this.frames.close();
    this.chosen(null);
  }

  private step(by: number): void {
    const count = this.world.cameras.list.length;
    if (count) this.show((this.index + by + count) % count);
  }

  private cut(): void {
    this.canvas.style.clipPath = `inset(0 0 0 ${this.edge.value}%)`;
    this.box.style.setProperty("--edge", `${this.edge.value}%`);
  }

  private ask(camera: SceneCamera): void {
    const field = this.world.scene?.field;
    if (!canRender(field)) {
      setText(this.note, field?.why || "No field has been trained: there is no render to compare with.");
      return;
    }
    setText(this.note, "asking for a render");
    const { lens } = camera;
    const scale = Math.min(1, LONGEST_SIDE / Math.max(lens.width, lens.height));
    this.asked = this.frames.look({
      width: Math.round(lens.width * scale),
      height: Math.round(lens.height * scale),
      cam_from_world: camera.pose,
      intrinsics: [lens.fx * scale, lens.fy * scale, lens.cx * scale, lens.cy * scale],
      coarsest: 8,
      finest: 1,
      jpeg_quality: 85,
      depth: false,
    });
  }

  /** Stand where the photograph was taken, with what it shows in the middle. */
  private fly(camera: SceneCamera): void {
    const from = centerOf(camera.pose);
    const ahead = toWorld(camera.pose, new Vector3(0, 0, 1)).sub(from);
    const middle = new Vector3(...(this.world.points?.header?.center ?? this.world.cloud?.center ?? [0, 0, 0]));
    const depth = Math.max(this.view.radius * 0.2, middle.sub(from).dot(ahead));
    const to = from.clone().addScaledVector(ahead, depth);
    // A little behind, so that the edges of the frustum frame the view.
    const back = from.clone().addScaledVector(ahead, -this.world.cameras.size * 0.45);
    this.view.touched = true;
    void this.view.controls.setLookAt(back.x, back.y, back.z, to.x, to.y, to.z, true);
    this.view.invalidate();
  }
}
