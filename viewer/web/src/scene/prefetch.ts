// The scene's first requests, made before the code that draws has come.

import { getJson, getStream } from "../api";
import type { Cloud, SceneAnswer } from "../messages";

const PATIENCE_MS = 150;
let answer: Promise<SceneAnswer> | null = null;
let points: { url: string; body: Promise<ReadableStream<Uint8Array>> } | null = null;

export function firstCloud(scene: SceneAnswer, id?: string | null): Cloud | undefined {
  const wanted = id ? scene.clouds.find((cloud) => cloud.id === id || cloud.name === id) : undefined;
  return wanted ?? scene.clouds.findLast((cloud) => cloud.format === "points") ?? scene.clouds.at(-1);
}

/**
 * wanted: whether the scene is shown first. Ends when its points are asked for, or soon; tells
 * whether it is known that there are some.
 */
export function prefetchScene(wanted: boolean): Promise<boolean> {
  const asked = getJson<SceneAnswer>("/api/scene");
  if (wanted) answer = asked;
  const begun = asked.then(
    (scene) => {
      const cloud = firstCloud(scene);
      if (cloud?.format === "potree" && wanted) prefetchOctree(cloud);
      if (cloud?.format !== "points") return cloud !== undefined;
      const url = `${cloud.url}points.bin`;
      const body = getStream(url);
      body.catch(() => undefined); // whoever takes it sees the error
      if (wanted) points = { url, body };
      // The server has told the browser of it with the page; what nobody wants ends here.
      else void body.then((stream) => stream.cancel(), () => undefined);
      return true;
    },
    () => false,
  );
  return Promise.race([begun, new Promise<boolean>((done) => setTimeout(() => done(false), PATIENCE_MS))]);
}

/** What an octree begins with, into the browser's cache: its code would ask for one after the other. */
function prefetchOctree(cloud: Cloud): void {
  void import("./octree").catch(() => undefined); // whoever needs it sees the error
  for (const file of ["metadata.json", "hierarchy.bin"]) void fetch(`${cloud.url}${file}`).catch(() => undefined);
}

/** The answer that was asked for first, or a new one. */
export function sceneAnswer(): Promise<SceneAnswer> {
  const taken = answer ?? getJson<SceneAnswer>("/api/scene");
  answer = null;
  return taken;
}

export function pointsStream(url: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  if (points?.url === url) {
    const { body } = points;
    points = null;
    return body;
  }
  return getStream(url, signal);
}
