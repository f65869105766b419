// What several pages ask for: photographs and pairs, asked once for all of them.

import { getJson } from "../api";
import type { PairRow, PairsAnswer, Photograph, PhotographsAnswer } from "../messages";

const FRESH_MS = 5000;

function shared<T>(path: string): () => Promise<T> {
  let asked = -Infinity;
  let answer: Promise<T> | null = null;
  return () => {
    if (answer && performance.now() - asked < FRESH_MS) return answer;
    asked = performance.now();
    const next = getJson<T>(path);
    next.catch(() => {
      if (answer === next) answer = null;
    });
    answer = next;
    return next;
  };
}

export const photographs = shared<PhotographsAnswer>("/api/photographs");
export const pairs = shared<PairsAnswer>("/api/pairs");

/** What to say where an address names a photograph or a pair that there is not. */
export function noSuch(what: string, { photographs: all, gaps }: PhotographsAnswer): Error {
  const known = all.length ? `photographs have numbers from 0 to ${all.length - 1}` : gaps.join("; ") || "there are no photographs yet";
  return new Error(`There is no ${what}: ${known}.`);
}

export interface Neighbour {
  photo: Photograph;
  pair: PairRow;
}

/** Photographs that were matched with one, the most inliers first. */
export function neighbours(index: number, all: Photograph[], rows: PairRow[]): Neighbour[] {
  return rows
    .filter(([a, b]) => a === index || b === index)
    .flatMap((pair) => {
      const photo = all[pair[0] === index ? pair[1] : pair[0]];
      return photo ? [{ photo, pair }] : [];
    })
    .sort((a, b) => (b.pair[3] ?? 0) - (a.pair[3] ?? 0) || b.pair[2] - a.pair[2]);
}
