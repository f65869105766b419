// The socket on which rendered pictures come. At most two are on their way; each is acknowledged
// when it has been drawn, and a page that nobody looks at asks for none.

import { readBundle } from "../bundle";
import type { FrameHeader, ViewRequest } from "../messages";
import { Signal } from "../signal";

export interface Frame {
  header: FrameHeader;
  picture: ImageBitmap;
  depth: Uint16Array<ArrayBuffer> | null;
  request: ViewRequest;
  /** Milliseconds from the request to the picture. */
  lag: number;
  /** Acknowledges it: it was drawn, or is not wanted any more. */
  shown(): void;
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
const MOST_REQUESTS = 32;

export class Frames {
  readonly frame = new Signal<Frame>();
  readonly problem = new Signal<string>();
  open = false;
  received = 0;
  private socket: WebSocket | null = null;
  private wanted = false;
  private seq = 0;
  private newest = 0; // by the order in which they came, of those that were shown
  private failures = 0;
  private timer = 0;
  private last: Omit<ViewRequest, "seq"> | null = null;
  private readonly sent = new Map<number, { request: ViewRequest; at: number }>();

  constructor() {
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.rest();
      else if (this.wanted && this.last) this.look(this.last);
    });
  }

  /** Ask for pictures from a camera; a newer request takes its place. Returns what its number is at least. */
  look(request: Omit<ViewRequest, "seq">): number {
    this.last = request;
    this.wanted = true;
    this.seq += 1;
    if (document.hidden) return this.seq;
    if (!this.socket) this.connect();
    if (this.socket?.readyState === WebSocket.OPEN) {
      const full = { ...request, seq: this.seq };
      this.sent.set(this.seq, { request: full, at: performance.now() });
      for (const old of this.sent.keys()) {
        if (this.sent.size <= MOST_REQUESTS) break;
        this.sent.delete(old);
      }
      this.socket.send(JSON.stringify({ look: full }));
    }
    return this.seq;
  }

  /** No more pictures until the next request. */
  rest(): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ rest: true }));
  }

  close(): void {
    this.wanted = false;
    clearTimeout(this.timer);
    this.socket?.close();
    this.socket = null;
    this.open = false;
  }

  private connect(): void {
    clearTimeout(this.timer);
    const socket = new WebSocket(new URL("/api/frames", location.href.replace(/^http/, "ws")));
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => {
      this.open = true;
      this.failures = 0;
      this.problem.emit("");
      if (this.last) this.look(this.last);
    };
    socket.onmessage = (message) => {
      if (message.data instanceof ArrayBuffer) void this.take(message.data, socket);
    };
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.open = false;
      this.sent.clear();
      this.problem.emit(event.reason || "No pictures come: trying again.");
      this.failures += 1;
      const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (this.failures - 1));
      this.timer = window.setTimeout(
        () => !document.hidden && !this.socket && this.connect(),
        wait * (0.5 + Math.random()),
      );
    };
  }

  private async take(data: ArrayBuffer, socket: WebSocket): Promise<void> {
    // Each connection counts for itself.
    const shown = () => {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ shown: true }));
    };
    const bundle = readBundle<FrameHeader>(data);
    const { header } = bundle;
    const asked = this.sent.get(header.seq);
    const place = ++this.received;
    if (header.error || !bundle.has("picture") || !asked) {
      if (header.error) this.problem.emit(header.error);
      shown();
      return;
    }
    try {
      const picture = await createImageBitmap(new Blob([bundle.get("picture", "u8")], { type: "image/jpeg" }));
      const depth = bundle.has("depth") ? bundle.get("depth", "f16") : null;
      if (place < this.newest) {
        picture.close(); // a smaller one that came later was read sooner
        return shown();
      }
      this.newest = place;
      this.problem.emit("");
      this.frame.emit({ header, picture, depth, request: asked.request, lag: performance.now() - asked.at, shown });
    } catch {
      shown(); // the next one may be whole
    }
  }
}
