// The connection to the engine: a WebSocket; where none can be had, long polls. It comes back by itself.

import { ApiError, getJson } from "./api";
import type { EventsAnswer, RunEvent, RunView, StreamMessage } from "./messages";
import { Signal } from "./signal";

export type Connection = "connecting" | "live" | "polling" | "lost" | "refused";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
const CONNECT_MS = 5_000;
const SILENCE_MS = 16_000; // the server says something every five seconds
const POLL_S = 20;
const POLLS_BEFORE_SOCKET = 6;

export class Stream {
  readonly changed = new Signal<Connection>();
  readonly view = new Signal<RunView>();
  readonly events = new Signal<RunEvent[]>();
  state: Connection = "connecting";
  heard = performance.now();
  attempts = 0;

  private socket: WebSocket | null = null;
  private timer = 0;
  private watchdog = 0;
  private failures = 0;
  private engine = "";
  private seq = 0;

  constructor() {
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => this.hurry());
  }

  /** Seconds since the server last said anything. */
  get age(): number {
    return (performance.now() - this.heard) / 1000;
  }

  connect(): void {
    clearTimeout(this.timer);
    this.attempts += 1;
    const socket = new WebSocket(new URL("/api/stream", location.href.replace(/^http/, "ws")));
    this.socket = socket;
    let greeted = false;
    const late = window.setTimeout(() => socket.close(), CONNECT_MS);
    socket.onmessage = (message) => {
      if (this.socket !== socket) return;
      const data: StreamMessage = JSON.parse(message.data);
      this.hear();
      if (data.type === "hello") {
        greeted = true;
        clearTimeout(late);
        this.failures = 0;
        this.take(data.view);
        this.set("live");
      } else if (data.type === "events") {
        this.seq = data.events.at(-1)?.seq ?? this.seq;
        this.events.emit(data.events);
      }
    };
    socket.onclose = () => {
      clearTimeout(late);
      if (this.socket !== socket) return;
      clearTimeout(this.watchdog);
      this.socket = null;
      this.failures += 1;
      void this.recover(greeted);
    };
  }

  private take(view: RunView): void {
    this.engine = view.engine;
    this.seq = view.seq;
    this.view.emit(view);
  }

  private hear(): void {
    this.heard = performance.now();
    clearTimeout(this.watchdog);
    this.watchdog = window.setTimeout(() => this.socket?.close(), SILENCE_MS);
  }

  private set(state: Connection): void {
    if (this.state === state) return;
    this.state = state;
    this.changed.emit(state);
  }

  private hurry(): void {
    if (document.hidden || this.socket || this.state === "polling") return;
    this.failures = Math.min(this.failures, 1);
    this.connect();
  }

  /** After a socket closed: find out why, and try again, or do without one. */
  private async recover(greeted: boolean): Promise<void> {
    if (greeted) this.set("connecting");
    if (!greeted) {
      try {
        await getJson<RunView>("/api/state", AbortSignal.timeout(CONNECT_MS));
        if (this.failures >= 2) return void this.poll();
        this.set("connecting");
      } catch (error) {
        const refused = error instanceof ApiError && (error.status === 401 || error.status === 403);
        this.set(refused ? "refused" : "lost");
      }
    }
    if (this.socket || document.hidden) return; // a hidden page waits until it is looked at
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (this.failures - 1));
    this.timer = window.setTimeout(() => this.connect(), wait * (0.5 + Math.random()));
  }

  private async poll(): Promise<void> {
    this.set("polling");
    for (let round = 0; round < POLLS_BEFORE_SOCKET; round++) {
      const query = `engine=${encodeURIComponent(this.engine)}&since=${this.seq}&wait=${round ? POLL_S : 0}`;
      try {
        const answer = await getJson<EventsAnswer>(
          `/api/events?${query}`,
          AbortSignal.timeout(POLL_S * 1000 + CONNECT_MS),
        );
        this.heard = performance.now();
        if (answer.view) this.take(answer.view);
        this.engine = answer.engine;
        this.seq = answer.seq;
        if (answer.events.length) this.events.emit(answer.events);
      } catch {
        this.set("lost");
        break;
      }
    }
    this.failures = 1;
    this.connect();
  }
}
