// The page of the scene: view, panels, pointer and keys.

import { Vector3 } from "three";
import { address, keep, link } from "../address";
import { inWords } from "../api";
import { button, fill, h, setText } from "../dom";
import { age, count, short } from "../format";
import type { Page } from "../page";
import type { Run } from "../run";
import { throttled } from "../signal";
import { Fly } from "./fly";
import { gizmo } from "./gizmo";
import { Measure } from "./measure";
import { NovelView } from "./novel";
import { type LayerName, Panel } from "./panel";
import { CameraPath } from "./path";
import { PhotoPanel } from "./photo_panel";
import type { Colouring } from "./point_material";
import { View } from "./view";
import { World } from "./world";

const CLICK_PX = 4;
const LAYERS: LayerName[] = ["points", "strays", "cameras", "thumbnails", "mesh", "grid", "axes", "live", "depth"];

export function scenePage(run: Run): Page {
  const view = new View();
  const world = new World(view, run);
  const novel = new NovelView(view);
  view.scene.add(novel.mesh);
  const fly = new Fly(view);
  const measure = new Measure(view, (x, y) => world.pick(x, y));
  view.scene.add(measure.group);
  const path = new CameraPath(view);
  const panel = new Panel({ view, world, novel, fly, measure, path, run });
  const photo = new PhotoPanel(view, world, (camera) => keep({ camera: camera?.photo?.toString() ?? null }));
  let help: HTMLDialogElement | null = null;

  const status = h("div", { class: "status", role: "status" });
  const renderStatus = h("div", { class: "status render-status", hidden: true });
  const empty = h("div", { class: "nothing", hidden: true });
  const stage = h("div", { class: "stage" }, view.canvas, empty, gizmo(view), measure.label,
    h("div", { class: "statuses" }, renderStatus, status));
  const hide = button("☰", () => togglePanel(), { class: "panel-button", title: "Panel (H)", "aria-label": "Panel" });
  const ask = button("?", () => void showHelp(), { class: "help-button", title: "Keys (?)", "aria-label": "Keys" });
  const element = h("div", { class: "scene" }, stage, panel.element, photo.element, hide, ask);
  if (matchMedia("(max-width: 700px)").matches) element.classList.add("no-panel");
  const togglePanel = () => element.classList.toggle("no-panel");
  // Few ask for it, and a first visit waits for all of this page: so it comes later.
  const showHelp = async () => {
    try {
      const { helpSheet } = await import("./help");
      if (!help) element.append((help = helpSheet()));
      if (!help.open) help.showModal();
    } catch (error) {
      world.problem = `The keys could not be loaded: ${inWords(error)}`;
      world.changed.emit();
    }
  };

  new ResizeObserver(() => view.resize(stage.clientWidth, stage.clientHeight)).observe(stage);

  // The address says where the camera stands, so that a link shows what its sender saw.
  const { options } = address();
  const pose = (options.get("view") ?? "").split(",").map(Number);
  const posed = pose.length >= 6 && pose.every(Number.isFinite);
  const begin = async () => {
    panel.applyLayers(options.get("layers"));
    if (options.get("colour")) panel.colour(options.get("colour") as Colouring);
    await world.begin(options.get("cloud"), options.get("cameras"));
    if (options.get("render")) panel.switchRender(true);
  };
  if (posed) {
    const [x, y, z, tx, ty, tz] = pose as [number, number, number, number, number, number];
    view.touched = true;
    // `up` comes with the scene, and turns the camera; so the place is set again after it.
    const place = () => void view.controls.setLookAt(x, y, z, tx, ty, tz, false);
    place();
    void begin().then(place);
  } else {
    void begin();
  }
  // Also when this page was shown before, and a link leads to another camera.
  let wanted: string | null = null;
  let fliesThere = !posed;
  const lookFor = (camera: string | null) => {
    wanted = camera;
    showWanted();
  };
  const showWanted = () => {
    const index = wanted === null ? -1 : world.cameras.list.findIndex((camera) => String(camera.photo) === wanted);
    if (index < 0) return;
    wanted = null;
    photo.show(index, fliesThere);
    fliesThere = true;
  };
  const follow = (given: URLSearchParams) => {
    const camera = given.get("camera");
    const { selected, list } = world.cameras;
    if (camera !== null && camera !== wanted && String(list[selected]?.photo) !== camera) lookFor(camera);
  };
  world.changed.on(showWanted);
  lookFor(options.get("camera"));
  const remember = throttled(500, () => {
    if (!element.isConnected || !view.touched) return;
    const position = view.controls.getPosition(new Vector3());
    const target = view.controls.getTarget(new Vector3());
    keep({ view: [...position, ...target].map((value) => Number(value.toPrecision(6))).join(",") });
  });
  view.rested.on(remember);

  bindPointer();
  bindKeys();

  const showStatus = throttled(120, () => {
    const parts = [meshWords(), pointsWords()].filter(Boolean);
    if (world.guides.grid.visible && world.cloud) parts.push(`grid ${world.guides.cell}`);
    if (view.software) parts.push("software rendering");
    setText(status, parts.join(" · "));
  });
  const meshWords = () => {
    const { group, shown, loading } = world.mesh;
    if (!group.visible) return "";
    if (loading) return "the mesh is loading";
    return shown?.faces ? `${count(shown.faces)} triangles` : "";
  };
  const pointsWords = () => {
    if (!panel.layers.points.input.checked) return "";
    const total = world.points?.header?.count ?? world.cloud?.count ?? 0;
    const loaded = world.points?.loaded ?? 0;
    if (world.octree) return `${short(world.drawn)} of ${short(total)} points, ${world.octree.megabytes.toFixed(0)} MB`;
    if (total && loaded < total) return `${short(loaded)} of ${short(total)} points`;
    if (world.drawn && world.drawn < total) return `${short(world.drawn)} points while moving`;
    return world.drawn ? `${count(world.drawn)} points` : "";
  };
  view.drawn.on(showStatus);
  world.changed.on(showStatus);

  // Before there are points: what the run does, and where there is something to see already.
  const showEmpty = () => {
    const preparing = world.scene?.preparing[0];
    const meshAlone = !preparing && world.mesh.shown && world.mesh.group.visible;
    const nothing = !world.cloud && !world.live.count && !meshAlone;
    empty.hidden = !nothing;
    if (!nothing || !run.view) return;
    const active = run.view.stages.find((one) => one.state === "started");
    const isOver = ["done", "failed", "stopped"].includes(run.view.state);
    const words = world.problem || world.scene?.troubles[0] || (preparing
      ? `The cloud ${preparing.name} is being prepared`
      : active
        ? `${active.name}${active.total ? `: ${count(active.done)} of ${count(active.total)} ${active.unit}` : ""}`
        : `The run is ${run.view.state}`);
    fill(empty, h("strong", {}, words),
      h("p", {}, preparing ? preparing.why : isOver ? "There are no points to show." : "Points and cameras appear here as mapping registers photographs."),
      h("p", {}, h("a", { href: link("photographs") }, "Photographs"), " · ", h("a", { href: link("method") }, "Method"), " · ", h("a", { href: link("log") }, "Log")));
  };
  world.changed.on(showEmpty);
  run.changed.on(showEmpty);
  novel.changed.on(() => showRender());
  novel.frames.problem.on((words) => showRender(words));
  const clock = setInterval(() => element.isConnected && novel.on && showRender(), 1000);
  let problem = "";
  function showRender(words?: string): void {
    problem = words ?? problem;
    renderStatus.hidden = !novel.on;
    const { frame } = novel;
    const how = frame
      ? `${frame.header.width} × ${frame.header.height} ${frame.header.final && frame.header.level === 1 ? "full" : view.moving ? "preview" : "refining"}` +
        ` · step ${count(frame.header.step)} · ${Math.round(frame.header.render_s * 1000)} ms, ${Math.round(frame.lag)} ms in all` +
        ` · ${age((performance.now() - novel.shownAt) / 1000)}`
      : "waiting for the first picture";
    setText(renderStatus, problem || how);
  }

  // A field in training changes: look again now and then.
  run.event.on((event) => {
    if (event.kind === "metric" && event.stage === "radiance" && event.name === "psnr") {
      if (world.scene?.field) world.scene.field.step = event.step;
      renewSoon();
    }
  });
  const renewSoon = throttled(5000, () => element.isConnected && novel.renew());

  function bindPointer(): void {
    let down: { x: number; y: number } | null = null;
    const at = (event: PointerEvent) => {
      const box = view.canvas.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    view.canvas.addEventListener("pointerdown", (event) => {
      down = at(event);
      view.canvas.focus({ preventScroll: true });
    });
    view.canvas.addEventListener("pointerup", (event) => {
      const up = at(event);
      const still = down && Math.hypot(up.x - down.x, up.y - down.y) < CLICK_PX;
      down = null;
      if (!still || event.button !== 0) return;
      if (measure.on) {
        measure.click(up.x, up.y);
        return;
      }
      const index = world.cameras.at(up.x, up.y);
      if (index >= 0) photo.show(index);
    });
    view.canvas.addEventListener("pointermove", (event) => {
      if (event.buttons || event.pointerType === "touch") return;
      const { x, y } = at(event);
      const index = world.cameras.at(x, y);
      world.cameras.hover(index);
      view.canvas.title = index >= 0 ? (world.cameras.list[index]?.name ?? "") : "";
    });
  }

  function bindKeys(): void {
    const flip = (control: { input: HTMLInputElement }) => control.input.disabled || control.input.click();
    const resize = (factor: number) => {
      const { size } = world.look.uniforms;
      size.value = Math.min(12, Math.max(0.5, size.value * factor));
      view.invalidate();
    };
    const actions: { [key: string]: () => void } = {
      r: () => flip(panel.render),
      f: () => flip(panel.flying),
      m: () => flip(panel.measuring),
      k: () => path.add(),
      p: () => void panel.screenshot(),
      h: () => togglePanel(),
      c: () => panel.element.querySelector<HTMLInputElement>(".clip")?.previousElementSibling?.querySelector("input")?.click(),
      "?": () => void showHelp(),
      "[": () => resize(1 / 1.2),
      "]": () => resize(1.2),
      Home: () => {
        view.touched = false;
        keep({ view: null });
        world.goHome(true);
      },
      Escape: () => {
        if (photo.open) photo.close();
        else if (measure.on) flip(panel.measuring);
      },
    };
    LAYERS.forEach((name, n) => {
      actions[String(n + 1)] = () => flip(panel.layers[name]);
    });
    addEventListener("keydown", (event) => {
      const typing = event.target instanceof HTMLElement && event.target.closest("input:not([type=checkbox],[type=range]), select, textarea");
      if (!element.isConnected || typing || event.ctrlKey || event.metaKey || event.altKey || help?.open) return;
      actions[event.key]?.();
    });
  }

  return {
    id: "scene",
    element,
    show(_, given) {
      view.resize(stage.clientWidth, stage.clientHeight);
      if (novel.on) novel.renew();
      follow(given);
    },
    moved: follow,
    hide() {
      novel.frames.rest();
    },
    close() {
      clearInterval(clock);
    },
    stats: () => ({
      points: world.points?.loaded ?? world.cloud?.count ?? world.live.count,
      total: world.cloud?.count ?? 0,
      drawn: world.drawn,
      cloud: world.cloud?.id ?? "",
      version: world.scene?.version ?? "",
      mesh: (world.mesh.group.visible && world.mesh.shown?.id) || "",
      meshLoading: world.mesh.loading,
      cameras: world.cameras.list.length,
      cameraSet: world.cameraSet,
      selected: world.cameras.selected,
      thumbnails: world.cameras.thumbnails.loaded,
      live: world.live.snapshots,
      livePoints: world.live.count,
      layers: Object.fromEntries(LAYERS.map((name) => [name, panel.layers[name].input.checked])),
      draws: view.frames,
      software: view.software,
      frames: novel.frames.received,
      compared: photo.rendered,
      render: novel.frame && { ...novel.frame.header },
      rendering: novel.on,
      problem: world.problem,
      measured: measure.length,
      firstPointsMs: world.firstPointsMs,
      allPointsMs: world.allPointsMs,
      moving: view.moving,
      frusta: world.cameras.size,
      cameraPlaces: world.cameras.places(),
      megabytes: world.octree?.megabytes ?? 0,
    }),
  };
}
