// The first thing that runs: begins the download of the scene, connects, and shows the page of the address.

import { address, go, moved } from "./address";
import { type PageName, topBar } from "./bar";
import { button, fill, h } from "./dom";
import { getJson, inWords } from "./api";
import type { PlanarAnswer } from "./messages";
import type { Page } from "./page";
import { Run } from "./run";
import { prefetchScene } from "./scene/prefetch";

const PAGES: PageName[] = [
  { id: "scene", label: "Scene" },
  { id: "photographs", label: "Photographs", also: ["photograph"] },
  { id: "pairs", label: "Pairs", also: ["pair"] },
  { id: "method", label: "Method" },
  { id: "log", label: "Log" },
];
const PLANAR: PageName = { id: "planar", label: "Planar" };

// The page has asked for it already, so that it is here before the large part of the code is read.
const sceneComes = prefetchScene(!address().page || address().page === "scene");

const run = new Run();
run.stream.connect();

let planar: PlanarAnswer | null = null;
const isPlanar = () => run.view?.stages.some((stage) => stage.name === "planar") ?? false;
const pages = () => (isPlanar() ? [PLANAR, { id: "method", label: "Method" }, { id: "log", label: "Log" }] : PAGES);
let noWebgl = "";

async function load(id: string): Promise<Page> {
  switch (id) {
    case "photographs":
      return (await import("./pages/photographs")).photographsPage();
    case "photograph":
      return (await import("./pages/photograph")).photographPage();
    case "pairs":
      return (await import("./pages/pairs")).pairsPage();
    case "pair":
      return (await import("./pages/pair")).pairPage();
    case "method":
      return (await import("./pages/method")).methodPage(run);
    case "log":
      return (await import("./pages/log")).logPage(run);
    case "planar":
      return (await import("./pages/planar")).planarPage(run);
    default:
      await sceneComes;
      try {
        return (await import("./scene/page")).scenePage(run);
      } catch (error) {
        noWebgl = inWords(error);
        return (await import("./pages/no_webgl")).noWebglPage(noWebgl);
      }
  }
}

const main = h("main", { tabindex: "-1" }, h("p", { class: "starting" }, "Connecting"));
const bar = topBar(run, pages);
const app = document.getElementById("app")!;
fill(app, bar.element, main);

const kept = new Map<string, Page>();
let sceneLoads: Promise<Page> | null = null; // one only, however often it is asked for meanwhile
let shown = "";
let current: Page | null = null;

async function show(): Promise<void> {
  const { page, parts, options } = address();
  // Without points it may be a run that has no scene at all: its state tells, as soon as it comes.
  if (!page && !run.view && !(await sceneComes)) return;
  const id = page || (isPlanar() ? "planar" : "scene");
  if (!page && run.view) return go(id);
  const key = [id, ...parts].join("/");
  if (key === shown) return current?.moved?.(options);
  shown = key;
  try {
    const scene = id === "scene";
    const next = await (scene ? (sceneLoads ??= load(id)) : load(id));
    if (scene) kept.set(id, next);
    if (shown !== key) {
      if (!scene) next.close?.(); // another page was asked for meanwhile
      return;
    }
    current?.hide?.();
    if (current && !kept.has(current.id)) current.close?.();
    current = next;
    main.className = `page-${id}`;
    fill(main, next.element);
    main.scrollTop = 0;
    next.show?.(parts, options);
  } catch (error) {
    shown = "";
    if (id === "scene") sceneLoads = null;
    // A browser that could not get a part of the code never asks for that part again.
    const again = button("Load again", () => location.reload());
    fill(main, h("p", { class: "empty" }, `This page could not be loaded: ${inWords(error)} `, again));
  }
}

moved.on(() => void show());
run.renewed.on(async () => {
  document.title = `${run.view?.run ?? "run"} · barfield`;
  if (isPlanar() && !planar) {
    planar = await getJson<PlanarAnswer>("/api/planar").catch(() => null);
    bar.refresh();
  }
  if (!address().page) void show();
});
void show();

export interface Stats {
  page: string;
  connection: string;
  engine: string;
  attempts: number;
  seq: number;
  webgl: string;
  [key: string]: unknown;
}

declare global {
  interface Window {
    __viewer: { stats(): Stats };
  }
}

window.__viewer = {
  stats: () => ({
    page: current?.id ?? "",
    connection: run.stream.state,
    engine: run.view?.engine ?? "",
    attempts: run.stream.attempts,
    seq: run.view?.seq ?? 0,
    state: run.view?.state ?? "",
    webgl: noWebgl,
    ...kept.get("scene")?.stats?.(),
    ...(current && !kept.has(current.id) ? current.stats?.() : {}),
  }),
};
