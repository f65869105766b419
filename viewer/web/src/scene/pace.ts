// How often points are drawn that still come, and how many while the camera moves.

import type { View } from "./view";

const MOVING_MS = 45; // a frame while the camera moves takes no longer
const LEAST_POINTS = 30_000;
const LEAST_GAP_MS = 60; // between two pictures of a cloud that comes
const GAP_SHARE = 3; // of what the last picture took

export class Pace {
  /** As many points as this machine draws fluently. */
  most = Infinity;
  private timer = 0;

  constructor(private readonly view: View) {}

  /** Draw what has come: at once where that is urgent, else seldom enough to leave most of the time to what comes. */
  drawSoon(urgent: boolean): void {
    clearTimeout(this.timer);
    const { drawing, drawMs, lastDrawn } = this.view;
    const gap = Math.max(LEAST_GAP_MS, GAP_SHARE * drawMs);
    const wait = drawing ? gap : lastDrawn + gap - performance.now();
    if (urgent || wait <= 0) this.view.invalidate();
    else this.timer = window.setTimeout(() => this.drawSoon(false), wait);
  }

  /** loaded: so many points there are, of which the last frame drew as many as `most` allows. */
  learn(loaded: number): void {
    const { frameMs } = this.view;
    const factor = frameMs > MOVING_MS ? 0.8 : frameMs < MOVING_MS / 2 ? 1.15 : 1;
    if (factor !== 1) this.most = Math.max(LEAST_POINTS, Math.round(Math.min(this.most, loaded) * factor));
  }
}
