import { Backoff } from "./backoff.js";
import { Connection } from "./connection.js";
import { ParlanceError, seconds } from "./errors.js";
import { decoded, JsonClient } from "./http.js";
import { newId } from "./rest_event.js";
import type { ChatEvent, Gap } from "./types.js";

/** The cursor of the beginning of a chat. */
export const FROM_START = "0-0";

// Nothing heard for so long: the server is asked whether it is there, and then the line is given up.
const QUIET_MS = 20_000;

export interface ChatOptions {
  /** Where the server asks for one. */
  apiKey?: string;
  /** Also the text of answers while it is written: agent_delta, agent_snapshot, agent_reset. */
  tokens?: boolean;
  /** A `cursor` kept from an earlier stream, to go on from there; else the whole chat is told. */
  after?: string;
  /** Seconds without a connection after which a call gives up; 60. */
  reconnectFor?: number;
  /** Seconds after which a request of `send` or `cancel` is tried again; 30. */
  timeout?: number;
}

export interface SendOptions {
  /** Give the same one to repeat a send that was cut off: the message runs once. */
  messageId?: string;
  /** What to do while another message runs. */
  onBusy?: "queue" | "reject" | "interrupt" | "steer";
}

/**
 * Reads and writes one chat of the step stream, also while the server is restarted and the network
 * comes and goes. All calls throw ParlanceError.
 */
export class ChatStream {
  private readonly url: string;
  private readonly path: string;
  private readonly http: JsonClient;
  private readonly options: ChatOptions;
  private readonly reconnectFor: number;
  private readonly closing = new AbortController();
  private place: string;
  private seq = 0; // Of the last event told.
  private connection: Connection | undefined;
  private reading = false;

  /** `hostname` without a protocol; `chatId` is 1 to 128 of `A-Z a-z 0-9 . _ ~ -`. */
  constructor(hostname: string, chatId: string, secureProtocol = true, options: ChatOptions = {}) {
    // Anything else might be another path.
    if (!/^[A-Za-z0-9._~-]{1,128}$/.test(chatId) || /^\.\.?$/.test(chatId)) {
      throw new RangeError("chatId must be 1 to 128 of A-Z a-z 0-9 . _ ~ -");
    }
    const secure = secureProtocol ? "s" : "";
    this.path = `/chat/${chatId}`;
    this.url = `ws${secure}://${hostname}${this.path}`;
    this.http = new JsonClient(`http${secure}://${hostname}`, options.timeout ?? 30);
    this.options = options;
    this.reconnectFor = options.reconnectFor ?? 60;
    this.place = options.after ?? FROM_START;
  }

  /** Where the events told so far end. Keep it, and a later stream goes on after it. */
  get cursor(): string {
    return this.place;
  }

  /**
   * All events after `cursor`, in order, each recorded one once, until close() or the end of the loop.
   * A connection that is lost is opened again, and what was missed comes first.
   *
   * Two kinds need more than to be shown: `gap` says that the place cannot be served, because the
   * server's data are others; what is shown is to be replaced by its `history`. And `agent_snapshot`
   * (with `tokens`) is all of an unfinished answer so far, also what was told. One reader at a time.
   */
  async *events(): AsyncGenerator<ChatEvent, void, void> {
    if (this.reading) throw new ParlanceError("this chat's events are being read already");
    this.reading = true;
    const backoff = new Backoff(this.reconnectFor);
    try {
      while (!this.closing.signal.aborted) {
        const failure = yield* this.oneConnection(backoff);
        if (this.closing.signal.aborted) return;
        if (!failure) continue;
        if (!failure.passing) throw failure;
        await backoff.failed(failure, failure.retryAfter, this.closing.signal);
      }
    } finally {
      this.reading = false;
    }
  }

  /**
   * Returns the message's id once the server has it for good. Tried again while the server is away or
   * busy; the message runs once, since its id is the same.
   */
  async send(message: string, { messageId = newId(), onBusy }: SendOptions = {}): Promise<string> {
    await this.post("/messages", { message, message_id: messageId, ...(onBusy && { on_busy: onBusy }) });
    return messageId;
  }

  /** Cancels a message, or the one that runs. Its events end with message_end as ever. */
  async cancel(messageId?: string): Promise<void> {
    await this.post("/cancel", messageId === undefined ? {} : { message_id: messageId });
  }

  /** Ends events() and its connection. The chat stays as it is. */
  close(): void {
    this.closing.abort();
    this.connection?.close();
    this.connection?.messages.end();
  }

  /** What is new on one connection, and why that was lost; nothing where another is to follow. */
  private async *oneConnection(backoff: Backoff): AsyncGenerator<ChatEvent, ParlanceError | undefined, void> {
    let connection: Connection;
    try {
      connection = await Connection.open(this.address(), this.options.apiKey);
    } catch (error) {
      if (error instanceof ParlanceError) return error;
      throw error;
    }
    this.connection = connection;
    const watch = setInterval(() => this.watch(connection), QUIET_MS);
    try {
      while (!this.closing.signal.aborted) {
        const text = await connection.messages.next();
        if (text === undefined) break;
        const frame = decoded(text);
        if (typeof frame?.type !== "string") throw new ParlanceError("the server sent a frame without a type");
        backoff.succeeded();
        if (this.isNew(frame)) yield frame;
        if (frame.type === "gap") return undefined;
      }
    } finally {
      clearInterval(watch);
      connection.close();
      this.connection = undefined;
    }
    const { code, reason } = connection.closed ?? { code: 1006, reason: "" };
    return new ParlanceError(`the connection was lost: ${code} ${reason}`.trimEnd(), {
      retryAfter: seconds(/retry_after=(\d+)/.exec(reason)?.[1]),
    });
  }

  private address(): string {
    const query = new URLSearchParams({ after: this.place, acks: "1" });
    if (this.options.tokens) query.set("tokens", "1");
    return `${this.url}?${query}`;
  }

  /** A line that is dead does not say so. */
  private watch(connection: Connection): void {
    const quiet = Date.now() - connection.heardAt;
    if (quiet > 2.5 * QUIET_MS) {
      connection.close();
      connection.messages.end();
    } else if (quiet > QUIET_MS / 2) {
      connection.send('{"type":"ping"}');
    }
  }

  /** Whether this is to be told; moves the place if so. */
  private isNew(frame: ChatEvent | { type: "resumed" | "pong" }): frame is ChatEvent {
    if (frame.type === "resumed" || frame.type === "pong") return false;
    if (frame.type === "gap") {
      // The history has no ends of messages, and no cursor to go on from. So the chat is asked for
      // anew, from its beginning, and what the history has is dropped.
      this.place = FROM_START;
      this.seq = (frame as Gap).history.reduce((most, entry) => Math.max(most, entry.seq), 0);
    } else if ("seq" in frame && frame.seq !== undefined && frame.cursor !== undefined) {
      // Told again, because somebody sent its message's id again.
      if (frame.seq <= this.seq) return false;
      this.seq = frame.seq;
      this.place = frame.cursor;
    }
    return true;
  }

  private async post(path: string, body: object): Promise<void> {
    const { apiKey } = this.options;
    const backoff = new Backoff(this.reconnectFor);
    for (;;) {
      try {
        await this.http.post(this.path + path, body, apiKey ? { Authorization: `Bearer ${apiKey}` } : {});
        return;
      } catch (error) {
        if (!(error instanceof ParlanceError && error.passing)) throw error;
        await backoff.failed(error, error.retryAfter);
      }
    }
  }
}
