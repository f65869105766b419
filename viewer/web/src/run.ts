// What this page knows of the run: the state, kept up to date by its events.

import { getJson } from "./api";
import type { EventsAnswer, RunEvent, RunView, StageView } from "./messages";
import { Signal } from "./signal";
import { setPictureVersion } from "./pictures";
import { Stream } from "./stream";

const MOST_EVENTS = 3000;
const MOST_WARNINGS = 50;
const QUIET = new Set(["progress", "metric", "preview", "report", "scene", "film"]);

export class Run {
  readonly stream = new Stream();
  readonly changed = new Signal();
  readonly event = new Signal<RunEvent>();
  readonly renewed = new Signal<RunView>();
  readonly logged = new Signal();
  view: RunView | null = null;
  log: RunEvent[] = [];
  private viewedAt = performance.now();

  constructor() {
    this.stream.view.on((view) => this.renew(view));
    this.stream.events.on((events) => this.apply(events));
  }

  stage(name: string): StageView | undefined {
    return this.view?.stages.find((stage) => stage.name === name);
  }

  /** Run time so far. */
  get seconds(): number {
    if (!this.view) return 0;
    const moving = this.view.state === "running" || this.view.state === "paused";
    return this.view.seconds + (moving ? (performance.now() - this.viewedAt) / 1000 : 0);
  }

  private renew(view: RunView): void {
    const other = this.view?.engine !== view.engine;
    this.view = view;
    this.viewedAt = performance.now();
    setPictureVersion(view.engine, this.stage("ingest")?.seconds ?? 0);
    if (other) {
      this.log = [];
      void this.readHistory(view.engine);
    }
    this.renewed.emit(view);
    this.changed.emit();
  }

  private async readHistory(engine: string): Promise<void> {
    try {
      const answer = await getJson<EventsAnswer>(`/api/events?engine=${engine}&since=0`);
      if (this.view?.engine !== engine) return;
      const known = new Set(this.log.map((event) => event.seq));
      const missed = answer.events.filter((event) => !QUIET.has(event.kind) && !known.has(event.seq));
      this.log = [...missed, ...this.log].slice(-MOST_EVENTS);
      this.logged.emit();
    } catch {
      // the log then begins now
    }
  }

  private apply(events: RunEvent[]): void {
    const view = this.view;
    if (!view) return;
    let logged = false;
    for (const event of events) {
      view.seq = Math.max(view.seq, event.seq);
      fold(view, event);
      if (!QUIET.has(event.kind)) {
        this.log.push(event);
        logged = true;
      }
    }
    if (this.log.length > MOST_EVENTS) this.log.splice(0, this.log.length - MOST_EVENTS);
    for (const event of events) this.event.emit(event);
    if (logged) this.logged.emit();
    this.changed.emit();
  }
}

function fold(view: RunView, event: RunEvent): void {
  const stage = view.stages.find((one) => one.name === event.stage);
  switch (event.kind) {
    case "run":
      view.state = event.state;
      view.why = event.why;
      view.hint = event.hint;
      break;
    case "stage": {
      const seen = stage ?? { ...EMPTY, name: event.stage };
      if (!stage) view.stages.push(seen);
      if (event.state === "started") Object.assign(seen, { ...EMPTY, name: seen.name });
      seen.state = event.state;
      seen.why = event.why;
      seen.hint = event.hint;
      seen.log = event.log;
      if (event.state !== "started") {
        seen.doing = "";
        seen.left_s = seen.rate = null;
        seen.seconds = event.seconds || seen.seconds;
      }
      if (event.state === "done" && seen.total !== null) seen.done = seen.total;
      break;
    }
    case "progress":
      if (stage) {
        Object.assign(stage, { done: event.done, total: event.total, unit: event.unit, doing: event.doing });
      }
      break;
    case "metric": {
      const known = view.metrics.find((one) => one.stage === event.stage && one.name === event.name);
      const next = { stage: event.stage, name: event.name, value: event.value, step: event.step, unit: event.unit };
      if (known) Object.assign(known, next);
      else view.metrics.push(next);
      break;
    }
    case "warning":
      view.warnings = [...view.warnings, [event.subject, event.message].filter(Boolean).join(": ")].slice(-MOST_WARNINGS);
      if (stage) stage.warnings += 1;
      break;
    case "preview":
      if (!stage) break;
      if (event.file.endsWith(".scene")) stage.scene = event.file;
      else stage.preview = event.file;
      break;
    case "checkpoint":
      if (stage) stage.checkpoint_step = event.step;
      break;
    case "film": {
      const { name, state, done, total, left_s, file, why } = event;
      view.film = { name, state, done, total, left_s, file, why };
      break;
    }
    case "parameter":
      view.revision = Math.max(view.revision, event.revision);
      break;
  }
}

const EMPTY: StageView = {
  name: "",
  state: "waiting",
  done: 0,
  total: null,
  unit: "",
  doing: "",
  rate: null,
  left_s: null,
  seconds: 0,
  why: "",
  hint: "",
  log: [],
  warnings: 0,
  checkpoint_step: null,
  preview: "",
  scene: "",
};
