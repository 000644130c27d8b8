// Keeps one chat's stream open: over a WebSocket, or over server-sent events where something on the
// way lets no WebSocket pass. Goes on from the place that it is given, after whatever happened.

import { readEvents } from "./events";
import type { Frame } from "./frames";

export type StreamState = "connecting" | "catching-up" | "live" | "offline" | "refused";

export interface ConnectionOptions {
  chatId: string;
  /** Of the server, such as "https://chat.example.org". */
  origin: string;
  /** The API key, where the server asks for one. */
  key: () => string | null;
  /** Where to go on from. Asked at every attach. */
  cursor: () => string;
  /** Frames in order, several at a time. */
  onFrames: (frames: Frame[]) => void;
  onState: (state: StreamState) => void;
  /** The server wants a key, or another one. Nothing more happens until `wake`. */
  onUnauthorized: () => void;
  /** When to hand over what came meanwhile; by default at a frame of the screen soon. */
  schedule?: (run: () => void) => void;
}

const FIRST_WAIT_MS = 150;
const LONGEST_WAIT_MS = 10_000;
const OPENING_MS = 10_000;
const QUIET_MS = 20_000;
// What follows `resumed` may end with events that are not shown; after so long nothing is missing.
const SETTLED_MS = 400;
// So many handshakes that failed although the server answers: something on the way breaks WebSockets.
const BROKEN_HANDSHAKES = 2;

// A pong only says that the server is there; what else may come in time is not for us.
const TOLD: ReadonlySet<string> = new Set<Frame["type"]>([
  "client_message", "agent_step", "message_end", "agent_error", "agent_delta", "agent_snapshot", "agent_reset", "resumed", "gap",
]);

/** How an attempt ended. */
interface Ending {
  /** Milliseconds that the server asked to wait. */
  retryAfter?: number;
  /** True when frames came. */
  worked: boolean;
  unauthorized?: boolean;
  /** The server said no for good. */
  refused?: boolean;
}

export class StreamConnection {
  private readonly schedule: (run: () => void) => void;
  private pending: Frame[] = [];
  private scheduled = false;
  private state: StreamState | undefined;
  private attempt = new AbortController();
  private closed = false;
  private brokenHandshakes = 0;
  private until = "";
  private wakeUp: (() => void) | undefined;
  private settled: ReturnType<typeof setTimeout> | undefined;
  private readonly comeBack = () => this.wake();
  private readonly goAway = () => this.attempt.abort();

  constructor(private readonly options: ConnectionOptions) {
    this.schedule = options.schedule ?? nextFrame;
  }

  start(): void {
    globalThis.addEventListener?.("online", this.comeBack);
    globalThis.addEventListener?.("offline", this.goAway);
    globalThis.document?.addEventListener("visibilitychange", this.comeBack);
    void this.run();
  }

  close(): void {
    this.closed = true;
    globalThis.removeEventListener?.("online", this.comeBack);
    globalThis.removeEventListener?.("offline", this.goAway);
    globalThis.document?.removeEventListener("visibilitychange", this.comeBack);
    this.attempt.abort();
    this.wakeUp?.();
    clearTimeout(this.settled);
  }

  /** Tries at once instead of after the present wait. */
  wake(): void {
    this.wakeUp?.();
  }

  private async run(): Promise<void> {
    let failures = 0;
    while (!this.closed) {
      this.tell("connecting");
      this.attempt = new AbortController();
      const ending = await this.attach(this.attempt.signal);
      this.flush();
      clearTimeout(this.settled);
      if (this.closed) return;
      if (ending.unauthorized || ending.refused) {
        this.tell(ending.refused ? "refused" : "offline");
        if (ending.unauthorized) this.options.onUnauthorized();
        await this.sleep(ending.unauthorized ? undefined : LONGEST_WAIT_MS);
        continue;
      }
      if (ending.worked) failures = 0;
      const grown = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures++);
      this.tell("offline");
      // Clients that lost the same server do not all come back in the same moment.
      await this.sleep((ending.retryAfter ?? 0) + grown * (0.5 + Math.random() / 2));
    }
  }

  private attach(signal: AbortSignal): Promise<Ending> {
    return this.brokenHandshakes < BROKEN_HANDSHAKES ? this.overWebSocket(signal) : this.overEvents(signal);
  }

  private path(of: string): string {
    const query = new URLSearchParams({ after: this.options.cursor(), tokens: "1", acks: "1" });
    return `${this.options.origin}/chat/${this.options.chatId}${of}?${query}`;
  }

  private async overWebSocket(signal: AbortSignal): Promise<Ending> {
    const key = this.options.key();
    const protocols = key ? [`bearer.${key}`] : [];
    let socket: WebSocket;
    try {
      socket = new WebSocket(this.path("").replace(/^http/, "ws"), protocols);
    } catch {
      return this.whyNot(signal); // A key that is no subprotocol.
    }
    let heardAt = Date.now();
    let opened = false;
    const ended = new Promise<{ code: number; reason: string }>((resolve) => {
      socket.onclose = ({ code, reason }) => resolve({ code, reason });
      signal.addEventListener("abort", () => {
        resolve({ code: 1000, reason: "" });
        socket.close();
      });
    });
    const opening = setTimeout(() => socket.close(), OPENING_MS);
    socket.onopen = () => {
      opened = true;
      this.brokenHandshakes = 0;
      clearTimeout(opening);
    };
    socket.onmessage = ({ data }) => {
      heardAt = Date.now();
      if (!signal.aborted && !this.take(String(data))) this.attempt.abort();
    };
    // A line that is dead does not say so.
    const watch = setInterval(() => {
      if (Date.now() - heardAt > 2 * QUIET_MS) this.attempt.abort();
      else if (opened && Date.now() - heardAt > QUIET_MS / 2) socket.send('{"type":"ping"}');
    }, QUIET_MS / 4);
    const { reason } = await ended;
    clearInterval(watch);
    clearTimeout(opening);
    if (!opened && !signal.aborted) return this.whyNot(signal);
    const retry = /retry_after=(\d+)/.exec(reason)?.[1];
    return { worked: opened, ...(retry && { retryAfter: Number(retry) * 1000 }) };
  }

  /** A browser does not tell why a handshake failed; the same request without an upgrade does. */
  private async whyNot(signal: AbortSignal): Promise<Ending> {
    try {
      const response = await fetch(this.path(""), { headers: this.headers(), signal });
      await response.body?.cancel();
      if (response.status === 426) ++this.brokenHandshakes;
      return endingOf(response);
    } catch {
      return { worked: false };
    }
  }

  private async overEvents(signal: AbortSignal): Promise<Ending> {
    let worked = false;
    let heardAt = Date.now();
    const watch = setInterval(() => Date.now() - heardAt > 3 * QUIET_MS && this.attempt.abort(), QUIET_MS);
    try {
      const response = await fetch(this.path("/events"), { headers: { ...this.headers(), Accept: "text/event-stream" }, signal });
      if (!response.ok || !response.body) return endingOf(response);
      for await (const data of readEvents(response.body, () => (heardAt = Date.now()))) {
        worked = true;
        if (!this.take(data)) break;
      }
    } catch {
      // Cut off, or closed by us.
    } finally {
      clearInterval(watch);
      this.attempt.abort();
    }
    return { worked };
  }

  private headers(): Record<string, string> {
    const key = this.options.key();
    return key ? { Authorization: `Bearer ${key}` } : {};
  }

  /** False when the connection is to be made anew. */
  private take(data: string): boolean {
    let frame: Frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return false;
    }
    if (!TOLD.has(frame.type)) return true;
    if (frame.type === "resumed") {
      this.tell("catching-up");
      this.until = frame.to;
    }
    this.pending.push(frame);
    if (frame.type === "gap") {
      // The chat is read from its beginning; the next attach asks for that place.
      this.flush();
      return false;
    }
    // Text of an answer in progress follows what was missed.
    if (this.state === "catching-up") this.settle(this.reaches(frame));
    if (!this.scheduled) {
      this.scheduled = true;
      this.schedule(() => this.flush());
    }
    return true;
  }

  /** Whether nothing is missing before this frame. */
  private reaches(frame: Frame): boolean {
    if (frame.type === "resumed") return frame.from === frame.to;
    return frame.type === "agent_delta" || frame.type === "agent_snapshot" || ("cursor" in frame && frame.cursor === this.until);
  }

  private settle(reached: boolean): void {
    clearTimeout(this.settled);
    const live = () => {
      if (this.state !== "catching-up") return;
      // Who is told so has everything.
      this.flush();
      this.tell("live");
    };
    if (reached) live();
    else this.settled = setTimeout(live, SETTLED_MS);
  }

  private flush(): void {
    this.scheduled = false;
    const frames = this.pending;
    this.pending = [];
    if (frames.length > 0) this.options.onFrames(frames);
  }

  private tell(state: StreamState): void {
    if (this.state === state || this.closed) return;
    this.state = state;
    this.options.onState(state);
  }

  private sleep(milliseconds: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const timer = milliseconds === undefined ? undefined : setTimeout(done, milliseconds);
      const self = this;
      function done() {
        clearTimeout(timer);
        self.wakeUp = undefined;
        resolve();
      }
      this.wakeUp = done;
    });
  }
}

function endingOf(response: Response): Ending {
  const { status } = response;
  const retryAfter = Number(response.headers.get("Retry-After") ?? 0) * 1000;
  if (status === 401) return { worked: false, unauthorized: true };
  if (status === 426 || status === 429 || status >= 500) return { worked: false, retryAfter };
  return { worked: false, refused: status >= 400 };
}

/** Text that grows twenty times a second flows; a frame each would cost three times as much. */
const GROWTH_MS = 50;
let grownAt = 0;

function nextFrame(run: () => void): void {
  const wait = grownAt + GROWTH_MS - performance.now();
  setTimeout(() => {
    const now = () => {
      grownAt = performance.now();
      run();
    };
    // A page that is not looked at draws no frames.
    if (globalThis.document && document.visibilityState === "visible") requestAnimationFrame(now);
    else setTimeout(now, 100);
  }, Math.max(0, wait));
}
