// The scene's first requests, made before the code that draws has come.

import { getJson, getStream } from "../api";
import type { Cloud, SceneAnswer } from "../messages";

let answer: Promise<SceneAnswer> | null = null;
let points: { url: string; body: Promise<ReadableStream<Uint8Array>> } | null = null;

export function firstCloud(scene: SceneAnswer, id?: string | null): Cloud | undefined {
  const wanted = id ? scene.clouds.find((cloud) => cloud.id === id || cloud.name === id) : undefined;
  return wanted ?? scene.clouds.find((cloud) => cloud.format === "points") ?? scene.clouds[0];
}

export function prefetchScene(): void {
  answer = getJson<SceneAnswer>("/api/scene");
  answer.then(
    (scene) => {
      const cloud = firstCloud(scene);
      if (cloud?.format !== "points") return;
      const url = `${cloud.url}points.bin`;
      points = { url, body: getStream(url) };
      points.body.catch(() => undefined); // whoever takes it sees the error
    },
    () => undefined,
  );
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
