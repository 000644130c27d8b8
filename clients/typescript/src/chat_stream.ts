import { Backoff } from "./backoff.js";
import { Channel } from "./connection.js";
import { ParlanceError, possibleKey } from "./errors.js";
import { JsonClient } from "./http.js";
import { makeSocket } from "./node_socket.js";
import { newId } from "./rest_event.js";
import { StreamConnection, type StreamState } from "./stream_connection.js";
import { type ChatEvent, type Frame, FROM_START } from "./types.js";

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
  /** Called with each new state of the connection of `events`. */
  onState?: (state: StreamState) => void;
}

/** Up to where a chat was read. */
interface Place {
  cursor: string;
  seq: number; // Of its last event; no more than that is known of a gap.
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
  private place: Place;
  private reading: { events: Channel<[ChatEvent, Place]>; connection: StreamConnection } | undefined;
  private closed = false;

  /** `hostname` without a protocol; `chatId` is 1 to 128 of `A-Z a-z 0-9 . _ ~ -`. What cannot be one is thrown as RangeError or TypeError. */
  constructor(hostname: string, chatId: string, secureProtocol = true, options: ChatOptions = {}) {
    // Anything else might be another path.
    if (!/^[A-Za-z0-9._~-]{1,128}$/.test(chatId) || /^\.\.?$/.test(chatId)) {
      throw new RangeError("chatId must be 1 to 128 of A-Z a-z 0-9 . _ ~ -");
    }
    const secure = secureProtocol ? "s" : "";
    if (options.apiKey !== undefined && !possibleKey(options.apiKey)) {
      throw new RangeError("apiKey must be visible ASCII characters");
    }
    this.path = `/chat/${chatId}`;
    this.url = new URL(`http${secure}://${hostname}${this.path}`).href;
    this.http = new JsonClient(`http${secure}://${hostname}`, options.timeout ?? 30);
    this.options = options;
    this.reconnectFor = options.reconnectFor ?? 60;
    this.place = { cursor: options.after ?? FROM_START, seq: 0 };
  }

  /** Where the events told so far end. Keep it, and a later stream goes on after it. */
  get cursor(): string {
    return this.place.cursor;
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
    if (this.closed) return;
    const events = new Channel<[ChatEvent, Place]>();
    let received = this.place;
    let failure: ParlanceError | undefined;
    const connection = new StreamConnection({
      url: this.url,
      key: () => this.options.apiKey,
      tokens: this.options.tokens ?? false,
      cursor: () => received.cursor,
      onFrames: (frames) => {
        for (const frame of frames) {
          const place = after(received, frame);
          if (!place || frame.type === "resumed") continue;
          received = place;
          events.push([frame, place]);
        }
      },
      onState: this.options.onState,
      onFailure: (error) => {
        failure = error;
        events.end();
        return false;
      },
      reconnectFor: this.reconnectFor,
      makeSocket,
    });
    this.reading = { events, connection };
    connection.start();
    try {
      for (;;) {
        const next = await events.next();
        if (!next || this.closed) break;
        this.place = next[1];
        yield next[0];
      }
    } finally {
      connection.close();
      this.reading = undefined;
    }
    if (failure && !this.closed) throw failure;
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
    this.closed = true;
    this.reading?.connection.close();
    this.reading?.events.end();
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

/** The place after a frame; undefined where that was told before. */
function after(place: Place, frame: Frame): Place | undefined {
  if (frame.type === "gap") {
    // The history has no ends of messages, and no cursor to go on from. So the chat is asked for
    // anew, from its beginning, and what the history has is dropped.
    return { cursor: FROM_START, seq: frame.history.reduce((most, entry) => Math.max(most, entry.seq), 0) };
  }
  if (!("seq" in frame) || frame.seq === undefined || frame.cursor === undefined) return place;
  // Told again, because somebody sent its message's id again.
  return frame.seq > place.seq ? { cursor: frame.cursor, seq: frame.seq } : undefined;
}
