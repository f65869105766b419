// The scene's first requests, made before the code that draws has come.

import { get, getJson, getStream } from "../api";
import type { Cloud, SceneAnswer } from "../messages";
import { openingCloud } from "./opening";

const PATIENCE_MS = 150;
const FIRST_BYTES = 1 << 17; // as in viewer/page.py
let answer: Promise<SceneAnswer> | null = null;
const begun = new Map<string, Promise<Response>>(); // by address and part
let points: { url: string; first: Promise<Response> } | null = null;

/**
 * wanted: whether the scene is shown first. Ends when its points are asked for, or soon; tells
 * whether it is known that there are some.
 */
export function prefetchScene(wanted: boolean): Promise<boolean> {
  const asked = getJson<SceneAnswer>("/api/scene");
  if (wanted) answer = asked;
  const begun = asked.then(
    (scene) => {
      const cloud = openingCloud(scene);
      if (cloud?.format === "potree" && wanted) void prefetchOctree(cloud);
      if (cloud?.format !== "points") return cloud !== undefined;
      if (!wanted) return true;
      const url = `${cloud.url}points.bin`;
      const first = get(`${url}?first=${FIRST_BYTES}`);
      first.catch(() => undefined); // whoever takes it sees the error
      points = { url, first };
      return true;
    },
    () => false,
  );
  return Promise.race([begun, new Promise<boolean>((done) => setTimeout(() => done(false), PATIENCE_MS))]);
}

/** What an octree begins with: its code would ask for one after the other, once it has come. */
async function prefetchOctree({ url }: Cloud): Promise<void> {
  void import("./octree").catch(() => undefined); // whoever needs it sees the error
  const begin = (file: string, range = "") => {
    const asked = fetch(`${url}${file}`, range ? { headers: { Range: range } } : {});
    asked.catch(() => undefined);
    begun.set(`${url}${file} ${range}`, asked);
    return asked;
  };
  void begin("metadata.json");
  try {
    const answer = (await begin("hierarchy.bin")).clone();
    // The first node: a byte each of kind and children, uint32 of points, place and size in octree.bin.
    const root = new DataView(await answer.arrayBuffer());
    const [place, size] = [root.getBigUint64(6, true), root.getBigUint64(14, true)];
    void begin("octree.bin", `bytes=${place}-${place + size - 1n}`);
  } catch {
    // whoever needs it asks again
  }
}

/** The answer to a request that was made before it was needed; null: it was not, or is taken. */
export function begunRequest(url: string, { headers }: RequestInit): Promise<Response> | null {
  const key = `${new URL(url, location.href).pathname} ${new Headers(headers).get("Range") ?? ""}`;
  const asked = begun.get(key);
  begun.delete(key);
  return asked ?? null;
}

/** The answer that was asked for first, or a new one. */
export function sceneAnswer(): Promise<SceneAnswer> {
  const taken = answer ?? getJson<SceneAnswer>("/api/scene");
  answer = null;
  return taken;
}

/** A cloud from its beginning, which may be here already; the rest is asked for now that all code has come. */
export async function pointsStream(url: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  if (points?.url !== url) return getStream(url, signal);
  const asked = points.first;
  points = null; // whoever tries again asks anew
  const first = await asked;
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const isWhole = Number(first.headers.get("X-Whole-Length")) <= FIRST_BYTES;
  const rest = isWhole ? null : getStream(url, signal, { Range: `bytes=${FIRST_BYTES}-` });
  const send = async () => {
    await first.body!.pipeTo(writable, { preventClose: rest !== null });
    await (await rest)?.pipeTo(writable);
  };
  send().catch((error) => writable.abort(error).catch(() => undefined));
  rest?.catch(() => undefined); // `send` sees the error, later
  return readable;
}
