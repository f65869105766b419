// The panel beside the view: layers, points, cameras, render, camera path.

import type { Vector3 } from "three";
import { keep } from "../address";
import { button, choice, download, fill, fillLegend, h, setText, slider, type Switch, toggle } from "../dom";
import { count, duration, number } from "../format";
import { canRender } from "../messages";
import { inWords } from "../api";
import type { Run } from "../run";
import { filmMaker } from "./film_maker";
import { filmList } from "./films";
import type { Fly } from "./fly";
import type { Measure } from "./measure";
import type { NovelView } from "./novel";
import { type Offer, openingSurfaces } from "./opening";
import type { CameraPath } from "./path";
import type { Colouring } from "./point_material";
import type { View } from "./view";
import type { World } from "./world";

export interface Parts {
  view: View;
  world: World;
  novel: NovelView;
  fly: Fly;
  measure: Measure;
  path: CameraPath;
  run: Run;
}

export type LayerName = "points" | "strays" | "cameras" | "thumbnails" | "mesh" | "grid" | "axes" | "live" | "depth";

const COLOURINGS: [Colouring, string][] = [
  ["photo", "photographs"],
  ["error", "reprojection error"],
  ["track", "track length"],
  ["stage", "stage of mapping"],
  ["height", "height"],
  ["plain", "one colour"],
];

function section(title: string, open: boolean, ...children: (Node | null)[]): HTMLDetailsElement {
  return h("details", { open }, h("summary", {}, title), ...children);
}

export class Panel {
  readonly element = h("aside", { class: "panel", "aria-label": "What is shown" });
  readonly layers: { [name in LayerName]: Switch };
  readonly render: Switch;
  readonly measuring: Switch;
  readonly flying: Switch;
  private readonly set: { [name in LayerName]: (on: boolean) => void };
  private readonly about = h("p", { class: "about" });
  private readonly choices = h("div");
  private readonly opacity;
  private readonly composite: Switch;
  private readonly legend = h("div", { class: "legend", hidden: true });
  private readonly depthLegend = h("div", { class: "legend reversed", hidden: true });

  constructor(private readonly parts: Parts) {
    const { view, world, novel, fly, measure, path, run } = parts;
    const films = filmList();
    this.set = {
      points: (on) => world.setPointsVisible(on),
      strays: (on) => {
        world.look.uniforms.strays.value = on;
      },
      cameras: (on) => world.setCamerasVisible(on),
      thumbnails: (on) => world.cameras.thumbnails.setVisible(on),
      mesh: (on) => {
        world.mesh.group.visible = on;
        if (on) world.showMesh();
      },
      grid: (on) => {
        world.guides.grid.visible = on;
      },
      axes: (on) => {
        world.guides.axes.visible = on;
      },
      live: (on) => world.setLive(on),
      depth: (on) => {
        novel.setDepth(on);
        if (on) this.switchRender(true); // no other picture has depths
      },
    };
    const layer = (name: LayerName, label: string, on: boolean, title = "") =>
      toggle(label, on, (value) => this.switch(name, value), title);
    this.layers = {
      points: layer("points", "Points", true),
      strays: layer("strays", "Strays", false, "Points that the statistical filter took out"),
      cameras: layer("cameras", "Cameras", true),
      thumbnails: layer("thumbnails", "Thumbnails", true),
      mesh: layer("mesh", "Mesh", false),
      grid: layer("grid", "Grid", true),
      axes: layer("axes", "Axes", false),
      live: layer("live", "Live", true, "Show the scene while it is being found"),
      depth: layer("depth", "Depth", false, "Novel views show how far away things are"),
    };
    const colouring = choice("Colour", COLOURINGS, "photo", (by) => this.colour(by));
    this.colouring = colouring.input;
    const size = slider("Size", { min: 1, max: 8, step: 0.1, value: 2.2 }, (value) => {
      world.look.uniforms.size.value = value;
      world.octree?.setPointScale(value / 2.2);
      view.invalidate();
    }, (value) => value.toFixed(1));
    const frusta = slider("Frusta", { min: -2, max: 2, step: 0.05, value: 0 }, (value) => {
      const length = (this.frustum ??= world.cameras.size);
      world.cameras.resize(length * 2 ** value);
    }, (value) => `${(2 ** value).toFixed(2)}×`);
    const fov = slider("Lens", { min: 15, max: 100, step: 1, value: view.camera.fov }, (value) => view.setFov(value), (value) => `${value}°`);
    const clip = toggle("Clip box", false, (on) => world.clip.set(on));

    this.render = toggle("Render here", false, (on) => this.switchRender(on), "Novel views, rendered where the camera stands (R)");
    this.composite = toggle("With the points, by depth", true, (on) => novel.setComposite(on));
    this.opacity = slider("Opacity", { min: 0, max: 1, step: 0.02, value: 1 }, (value) => novel.setOpacity(value), (value) => `${Math.round(value * 100)} %`);
    this.renderNote = h("p", { class: "about" });

    this.measuring = toggle("Measure two points", false, (on) => measure.set(on), "M");
    this.flying = toggle("Fly", false, (on) => fly.set(on), "Dragging turns the head; W A S D move (F)");

    const rest = h("div", { class: "rest" });
    this.element.append(this.about, rest);
    rest.append(
      section("Layers", true, h("div", { class: "switches" }, ...Object.values(this.layers).map((one) => one.element))),
      section("Points", true, this.choices, colouring.element, this.legend, size.element, clip.element, world.clip.element),
      section("Novel view", true, this.render.element, this.depthLegend, this.composite.element, this.opacity.element, this.renderNote),
      section("View", false, this.measuring.element, this.flying.element, fov.element, frusta.element,
        h("div", { class: "row" },
          button("Whole scene", () => { view.touched = false; world.goHome(true); }, { title: "Home" }),
          button("Picture", () => void this.screenshot(), { title: "P" }))),
      section("Camera path", false, pathEditor(path), filmMaker(run, path, films.refresh)),
      films.element,
    );
    view.moved.on(() => fov.set(view.camera.fov)); // a camera path has lenses of its own
    world.changed.on(() => this.refresh());
    novel.changed.on(() => this.showDepths());
    this.refresh();
  }

  private readonly chosen: { [name in LayerName]?: boolean } = {};
  private frustum: number | null = null;
  private readonly renderNote: HTMLElement;
  private readonly colouring: HTMLSelectElement;

  /** Somebody wants a layer, or does not: by hand or by the address. */
  switch(name: LayerName, on: boolean): void {
    this.chosen[name] = on;
    this.put(name, on);
    this.showBest();
    const told = (Object.keys(this.layers) as LayerName[]).filter(
      (one) => this.chosen[one] !== undefined && this.chosen[one] !== this.usual(one),
    );
    keep({ layers: told.map((one) => (this.chosen[one] ? one : `-${one}`)).join(",") || null });
  }

  /** What the address says: names of layers that are on, with a minus those that are off. */
  applyLayers(text: string | null): void {
    for (const part of (text ?? "").split(",").filter(Boolean)) {
      const name = part.replace("-", "") as LayerName;
      if (Object.hasOwn(this.layers, name)) this.switch(name, !part.startsWith("-"));
    }
  }

  private put(name: LayerName, on: boolean): void {
    this.layers[name].set(on);
    this.set[name](on);
    this.parts.view.invalidate();
  }

  /** How a layer is where nobody has chosen; undefined: that is not known yet. */
  private usual(name: LayerName): boolean | undefined {
    if (name !== "points" && name !== "mesh") return this.layers[name].input.defaultChecked;
    return this.parts.world.scene ? openingSurfaces(this.offer, {})[name] : undefined;
  }

  private get offer(): Offer {
    const { world, novel } = this.parts;
    return { best: world.bestMesh, shown: world.mesh.shown?.id ?? "", rendering: novel.on, picked: world.isCloudChosen };
  }

  /** Points or mesh, as the run goes on, where nobody has chosen. */
  private showBest(): void {
    const { points, mesh } = openingSurfaces(this.offer, this.chosen);
    if (this.layers.points.input.checked !== points) this.put("points", points);
    if (this.layers.mesh.input.checked !== mesh) this.put("mesh", mesh);
  }

  colour(by: Colouring): void {
    if (!COLOURINGS.some(([known]) => known === by)) return; // an address may say anything
    this.colouring.value = by;
    this.parts.world.colour(by);
    keep({ colour: by === "photo" ? null : by });
    this.showLegend(by);
  }

  switchRender(on: boolean): void {
    this.render.set(on);
    this.parts.novel.set(on);
    this.showBest();
    keep({ render: on ? "1" : null });
    if (!on && this.layers.depth.input.checked) this.switch("depth", false);
  }

  async screenshot(): Promise<void> {
    const blob = await this.parts.view.screenshot();
    if (blob) download(`barfield-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.png`, blob);
  }

  private showLegend(by: Colouring): void {
    const { world } = this.parts;
    const max = world.points?.header?.error_max_px ?? 1;
    const ends: { [key in Colouring]?: () => [string, string] } = {
      error: () => ["0 px", `${number((world.look.uniforms.errors.value[1]! / 255) * max, 2)} px`],
      track: () => ["2 photographs", `${world.look.uniforms.tracks.value[1]}`],
      stage: () => ["early", `late, of ${count(world.cloud?.steps)} photographs`],
      height: () => ["low", "high"],
    };
    fillLegend(this.legend, ends[by]?.());
  }

  private showDepths(): void {
    const { range } = this.parts.novel;
    fillLegend(this.depthLegend, range ? [`near ${number(range.near)}`, `${number(range.far)} far`] : undefined);
  }

  private refresh(): void {
    this.showBest();
    const { world } = this.parts;
    const { cloud, scene, snapshot } = world;
    const words: string[] = [];
    if (cloud) {
      words.push(`${count(cloud.count)} points`);
      if (cloud.strays) words.push(`${count(cloud.strays)} strays`);
    }
    const mesh = world.bestMesh;
    if (mesh?.faces) words.push(`${mesh.name === "draft" ? "draft mesh" : "mesh"} of ${count(mesh.faces)} triangles`);
    if (world.cameras.list.length) words.push(`${world.cameras.list.length} cameras`);
    if (snapshot && world.liveOn && world.live.group.visible && snapshot.points) {
      words.push(`live: ${snapshot.header.registered} of ${snapshot.header.of}`);
    }
    if (scene?.preparing.length) words.push(`preparing ${scene.preparing.map((one) => one.name).join(", ")}`);
    if (cloud?.note) words.push(cloud.note);
    words.push(...(scene?.troubles ?? []));
    if (world.problem) words.push(world.problem);
    setText(this.about, words.join(" · ") || "No points yet: they appear as photographs are registered.");
    const field = scene?.field;
    const without = !canRender(field);
    this.render.input.disabled = without;
    this.composite.input.disabled = without;
    this.layers.depth.input.disabled = without;
    this.opacity.input.disabled = without;
    setText(
      this.renderNote,
      !field ? "" : without ? field.why || "No field has been trained yet." : field.state === "none" ? `from a checkpoint, step ${count(field.step)}` : field.state === "training" ? field.step === null ? "in training" : `in training, step ${count(field.step)}` : `trained, step ${count(field.step)}`,
    );
    this.layers.mesh.input.disabled = !scene?.meshes.length;
    this.layers.strays.input.disabled = cloud?.format === "potree" || cloud?.strays === 0;
    for (const option of this.colouring.options) {
      option.disabled = cloud?.format === "potree" && option.value !== "photo";
      if (option.value === "stage") option.hidden = option.disabled = !cloud?.steps;
      if (option.value === "error" && world.points?.header?.error_max_px === null) option.disabled = true;
    }
    // What the address has asked for before it was known that there is no such thing.
    if (cloud && this.colouring.selectedOptions[0]?.disabled) this.colour("photo");
    const choices: HTMLElement[] = [];
    if ((scene?.clouds.length ?? 0) > 1) {
      const options = scene!.clouds.map((one): [string, string] => [one.id, `${one.name}, ${count(one.count)}`]);
      choices.push(choice("Cloud", options, cloud?.id ?? "", (id) => {
        const picked = scene!.clouds.find((one) => one.id === id)!;
        world.chooseCloud(picked);
        keep({ cloud: picked.name });
        if (this.chosen.points === false) this.switch("points", true); // it is to be seen
        else this.showBest();
      }).element);
    }
    if (world.cameraSets.length > 1) {
      const options = world.cameraSets.map((one): [string, string] => [one.id, one.id]);
      choices.push(choice("Cameras", options, world.cameraSet, (id) => {
        void world.chooseCameras(id);
        keep({ cameras: id });
      }).element);
    }
    fill(this.choices, ...choices);
    this.showLegend(this.colouring.value as Colouring); // a range is known with the details
  }
}

function pathEditor(path: CameraPath): HTMLElement {
  const list = h("ol", { class: "places" });
  const play = button("Play", () => (path.playing ? path.stop() : path.play()));
  const note = h("p", { class: "about" });
  const file = h("input", { type: "file", accept: ".json,application/json", hidden: true });
  file.addEventListener("change", async () => {
    const chosen = file.files?.[0];
    file.value = "";
    if (!chosen) return;
    try {
      path.fromJson(JSON.parse(await chosen.text()));
    } catch (error) {
      setText(note, `${chosen.name}: ${inWords(error)}`);
    }
  });
  const each = slider("Seconds each", { min: 0.5, max: 10, step: 0.5, value: path.secondsEach }, (value) => {
    path.secondsEach = value;
    refresh();
  });
  const save = button("Save", () =>
    download("camera-path.json", new Blob([JSON.stringify(path.toJson(), null, 1)], { type: "application/json" })));
  const refresh = () => {
    fill(list, ...path.places.map((place, n) =>
      h("li", {},
        button(words(place.position), () => path.show(n), { class: "link", title: "Look from here" }),
        button("×", () => path.remove(n), { class: "link", "aria-label": `Remove place ${n + 1}` }))));
    setText(play, path.playing ? "Stop" : "Play");
    play.disabled = path.places.length < 2;
    save.disabled = !path.places.length;
    setText(note, path.places.length < 2 ? "Keep two or more places (K), then play them." : `${path.places.length} places, ${duration(path.seconds)}. barfield render RUN --path FILE takes what is saved.`);
  };
  path.changed.on(refresh);
  refresh();
  return h("div", {},
    h("div", { class: "row" }, button("Keep this place", () => path.add(), { title: "K" }), play),
    list, each.element,
    h("div", { class: "row" }, save, button("Load", () => file.click()), button("Clear", () => path.clear()), file),
    note);
}

function words(place: Vector3): string {
  return [place.x, place.y, place.z].map((value) => number(value, 3)).join(", ");
}
