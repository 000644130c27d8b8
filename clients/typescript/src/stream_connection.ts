// Keeps one chat's stream open: over a WebSocket, or over server-sent events where something on the
// way lets no WebSocket pass. Goes on from the place that it is given, after whatever happened.
// `ChatStream` stands on it, and so does what draws a chat and wants to say how its stream is.

import { Backoff } from "./backoff.js";
import { Connection, type MakeSocket, refusedBy, type SocketLike } from "./connection.js";
import { ParlanceError, possibleKey, seconds } from "./errors.js";
import { readEvents } from "./event_source.js";
import { decoded } from "./http.js";
import type { Frame } from "./types.js";

/**
 * `catching-up`: what was missed is coming. `live`: nothing is missing. `offline`: it is tried again
 * after a while. `refused`: the server has said no.
 */
export type StreamState = "connecting" | "catching-up" | "live" | "offline" | "refused";

export interface StreamConnectionOptions {
  /** Of the chat, such as "https://chat.example.org/chat/my-chat". TypeError where it is none. */
  url: string;
  /** The API key, where the server asks for one. Asked at every attempt. */
  key?: () => string | null | undefined;
  /** Where to go on from; "0-0" is the beginning. Asked at every attempt. */
  cursor: () => string;
  /** Also the text of answers while it is written. */
  tokens?: boolean;
  /** Frames in order, several at a time. Each recorded one may come again, and so may text. */
  onFrames: (frames: Frame[]) => void;
  onState?: ((state: StreamState) => void) | undefined;
  /**
   * The server refuses, or was not reached for `reconnectFor` seconds. True: to try on, every ten
   * seconds, and after a 401 when `wake` is called. Else this is the end; and so it is always where
   * one of these functions threw, or the key can be none: `cause` is what was thrown.
   */
  onFailure?: (error: ParlanceError) => boolean;
  /** Without an end by default. */
  reconnectFor?: number;
  /** When to hand over what has come; by default at once. A page may want less than a call for each token. */
  schedule?: (run: () => void) => void;
  /** By default the browser's own. */
  makeSocket?: MakeSocket;
}

// Nothing heard for twice as long: the line is given up.
const QUIET_MS = 20_000;
const REFUSED_WAIT_MS = 10_000;
// What follows `resumed` may end with events that are not shown; after so long nothing is missing.
const SETTLED_MS = 400;
// So many handshakes that failed although the server answers: something on the way breaks WebSockets.
const BROKEN_HANDSHAKES = 2;

// A pong only says that the server is there; what else may come in time is not for us.
const TOLD: ReadonlySet<string> = new Set<Frame["type"]>([
  "client_message", "agent_step", "message_end", "agent_error", "agent_delta", "agent_snapshot", "agent_reset", "resumed", "gap",
]);

const browsersOwn: MakeSocket = (url, protocols) => new WebSocket(url, protocols) as unknown as SocketLike;

/** What an attempt is made with. */
interface Target {
  key: string | undefined;
  query: string;
}

export class StreamConnection {
  private readonly backoff: Backoff;
  private readonly schedule: (run: () => void) => void;
  private pending: Frame[] = [];
  private scheduled = false;
  private state: StreamState | undefined;
  private attempt = new AbortController();
  private closed = false;
  private brokenHandshakes = 0;
  private until = "";
  private gap: "none" | "now" | "before" = "none"; // Before: and nothing recorded came after it.
  private wakeUp: (() => void) | undefined;
  private settled: ReturnType<typeof setTimeout> | undefined;
  private readonly comeBack = () => this.wake();
  private readonly goAway = () => this.attempt.abort();

  constructor(private readonly options: StreamConnectionOptions) {
    new URL(options.url);
    this.backoff = new Backoff(options.reconnectFor ?? Infinity);
    this.schedule = options.schedule ?? ((run) => run());
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
    while (!this.closed) {
      this.attempt = new AbortController();
      this.tell("connecting");
      const target = this.guarded(() => this.target());
      if (!target || this.closed) return;
      const failure = await this.attach(target, this.attempt.signal);
      this.attempt.abort();
      this.flush();
      clearTimeout(this.settled);
      if (this.closed) return;
      if (this.gap === "now") {
        // The server is there; it only has another place to go on from.
        this.gap = "before";
        continue;
      }
      const wait = this.backoff.next(failure.retryAfter);
      const unauthorized = failure.status === 401;
      const refused = !failure.passing && failure.status !== 426;
      this.tell(refused && !unauthorized ? "refused" : "offline");
      if (this.closed) return;
      if ((refused || wait === undefined) && !this.options.onFailure?.(failure)) return this.close();
      await this.sleep(unauthorized ? undefined : refused ? REFUSED_WAIT_MS : wait ?? REFUSED_WAIT_MS);
    }
  }

  /** Calls what the caller gave. Where that throws, this connection ends. */
  private guarded<T>(call: () => T): T | undefined {
    if (this.closed) return undefined;
    try {
      return call();
    } catch (cause) {
      this.close();
      const why = cause instanceof Error ? cause.message : String(cause);
      this.options.onFailure?.(new ParlanceError(`the connection was given up: ${why}`, { cause }));
      return undefined;
    }
  }

  /** Where to attach now, and with what. */
  private target(): Target {
    const key = this.options.key?.() || undefined;
    if (key !== undefined && !possibleKey(key)) throw new RangeError("the API key must be visible ASCII characters");
    const query = new URLSearchParams({ after: this.options.cursor(), acks: "1", ...(this.options.tokens && { tokens: "1" }) });
    return { key, query: `?${query}` };
  }

  /** Reads one connection to its end. */
  private async attach(target: Target, signal: AbortSignal): Promise<ParlanceError> {
    try {
      return await (this.brokenHandshakes < BROKEN_HANDSHAKES ? this.overWebSocket(target, signal) : this.overEvents(target, signal));
    } catch (error) {
      // Not reached, refused, or cut off; by us, too.
      return error instanceof ParlanceError ? error : new ParlanceError(`the connection was lost: ${error}`);
    }
  }

  private async overWebSocket({ key, query }: Target, signal: AbortSignal): Promise<ParlanceError> {
    let connection: Connection;
    try {
      const url = this.options.url.replace(/^http/, "ws") + query;
      connection = await Connection.open(url, key, this.options.makeSocket ?? browsersOwn, signal);
    } catch (error) {
      if (error instanceof ParlanceError && error.status === 426) ++this.brokenHandshakes;
      throw error;
    }
    this.brokenHandshakes = 0;
    signal.addEventListener("abort", () => {
      connection.close();
      connection.messages.end();
    });
    // A line that is dead does not say so.
    const watch = setInterval(() => {
      const quiet = Date.now() - connection.heardAt;
      if (quiet > 2 * QUIET_MS) this.attempt.abort();
      else if (quiet > QUIET_MS / 2) connection.send('{"type":"ping"}');
    }, QUIET_MS / 4);
    try {
      for (;;) {
        const text = await connection.messages.next();
        if (text === undefined || signal.aborted) break;
        const why = this.take(text);
        if (why !== undefined) return new ParlanceError(why);
      }
    } finally {
      clearInterval(watch);
    }
    const { code, reason } = connection.closed ?? { code: 1006, reason: "" };
    return new ParlanceError(`the connection was lost: ${code} ${reason}`.trimEnd(), {
      retryAfter: seconds(/retry_after=(\d+)/.exec(reason)?.[1]),
    });
  }

  private async overEvents({ key, query }: Target, signal: AbortSignal): Promise<ParlanceError> {
    let heardAt = Date.now();
    const watch = setInterval(() => Date.now() - heardAt > 3 * QUIET_MS && this.attempt.abort(), QUIET_MS);
    try {
      const headers = { Accept: "text/event-stream", ...(key && { Authorization: `Bearer ${key}` }) };
      const response = await fetch(`${this.options.url}/events${query}`, { headers, signal });
      if (!response.ok || !response.body) return refusedBy(response);
      for await (const data of readEvents(response.body, () => (heardAt = Date.now()))) {
        const why = this.take(data);
        if (why !== undefined) return new ParlanceError(why);
      }
      return new ParlanceError("the connection was lost");
    } finally {
      clearInterval(watch);
    }
  }

  /** Why the connection is to be made anew, where it is. */
  private take(data: string): string | undefined {
    const frame: Frame | undefined = decoded(data);
    if (typeof frame?.type !== "string") return "the server sent a frame without a type";
    this.backoff.succeeded();
    if (!TOLD.has(frame.type)) return undefined;
    if (frame.type === "resumed") {
      this.tell("catching-up");
      this.until = frame.to;
    }
    this.pending.push(frame);
    if (frame.type === "gap") {
      // The chat is read from its beginning; the next attempt asks for that place.
      this.flush();
      if (this.gap === "none") this.gap = "now";
      return "the place could not be served";
    }
    if ("cursor" in frame) this.gap = "none";
    // Text of an answer in progress follows what was missed.
    if (this.state === "catching-up") this.settle(this.reaches(frame));
    if (!this.scheduled) {
      this.scheduled = true;
      this.guarded(() => this.schedule(() => this.flush()));
    }
    return undefined;
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
    if (frames.length > 0) this.guarded(() => this.options.onFrames(frames));
  }

  private tell(state: StreamState): void {
    if (this.state === state || this.closed) return;
    this.state = state;
    this.guarded(() => this.options.onState?.(state));
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
