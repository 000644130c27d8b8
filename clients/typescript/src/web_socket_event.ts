import { Channel, Connection } from "./connection.js";
import { ParlanceError } from "./errors.js";
import { decoded, JsonClient } from "./http.js";
import { makeSocket } from "./node_socket.js";
import { Authorization, Credentials, documentsBody, FileToStore, queryBody } from "./stack.js";
import type { Answer, QueryEvent, Session } from "./types.js";

type Frame = { event: QueryEvent } | { answer: Answer } | { error: ParlanceError };

/** An open connection with the calls on it. The server answers them one after the other. */
class CallConnection {
  private readonly calls: Array<Channel<Frame>> = [];
  private retired = false;

  constructor(
    private readonly connection: Connection,
    readonly token: string,
  ) {
    void this.read();
  }

  get open(): boolean {
    return !this.connection.closed;
  }

  send(event: string, data: object): Channel<Frame> {
    const call = new Channel<Frame>();
    this.calls.push(call);
    this.connection.send(JSON.stringify({ event, data }));
    return call;
  }

  close(): void {
    this.connection.close();
  }

  /** Closes it as soon as the calls that are on it have been answered. */
  retire(): void {
    this.retired = true;
    if (this.calls.length === 0) this.close();
  }

  private async read(): Promise<void> {
    for (let text; (text = await this.connection.messages.next()) !== undefined; ) {
      const frame = decoded(text);
      if (!frame || this.calls.length === 0) break;
      this.take(frame);
      if (this.retired && this.calls.length === 0) break;
    }
    this.connection.close();
    const { code, reason } = this.connection.closed ?? { code: 1002, reason: "an answer that nobody asked for" };
    this.failAll(new ParlanceError(`the connection was lost before the answer: ${code} ${reason}`.trimEnd()));
  }

  private take({ event: _, ...frame }: any): void {
    if (frame.error === true) {
      const error = new ParlanceError(String(frame.detail), { status: frame.status_code });
      this.calls.shift()?.push({ error });
      // After this one the server looks at no other: none of them was done.
      if (error.status === 401) this.failAll(error);
    } else if ("type" in frame) {
      this.calls[0]?.push({ event: frame });
    } else {
      this.calls.shift()?.push({ answer: frame });
    }
  }

  private failAll(error: ParlanceError): void {
    for (const call of this.calls.splice(0)) call.push({ error });
  }
}

export interface WebSocketOptions {
  /** Seconds without a frame after which a call fails; 300. */
  timeout?: number;
}

/**
 * One session of the KISS stack; its calls go over one WebSocket and are answered in order. All calls
 * throw ParlanceError. A connection that was lost between calls is opened again by the next one; one
 * that is lost in a call fails it, since it may or may not have been done.
 */
export class WebSocketEvent {
  private readonly url: string;
  private readonly authorization: Authorization;
  private readonly timeout: number;
  private connection: CallConnection | undefined;
  private opening: Promise<CallConnection> | undefined;

  /** `hostname` without a protocol, such as `example.com` or `localhost:8080`. */
  constructor(hostname: string, secureProtocol = true, { timeout = 300 }: WebSocketOptions = {}) {
    const secure = secureProtocol ? "s" : "";
    this.url = `ws${secure}://${hostname}/ws`;
    this.authorization = new Authorization(new JsonClient(`http${secure}://${hostname}`, timeout));
    this.timeout = timeout;
  }

  /** The present authorization; undefined before authorizeStack and after destroyStack. */
  get session(): Session | undefined {
    return this.authorization.session;
  }

  /**
   * A new session of a scope, or, with the id and secret of a persistent one, a new access token for
   * it. Persistent sessions renew theirs by themselves.
   */
  async authorizeStack(credentials: Credentials): Promise<Session> {
    const session = await this.authorization.authorize(credentials);
    await this.connected();
    return session;
  }

  /** Starts the session, which must come before queries and documents. `data` is a greeting. */
  bootstrapStack({ data }: { data?: string } = {}): Promise<Answer> {
    return this.call("on_init", queryBody(data));
  }

  /** The answer to a question; with `stream`, its steps and deltas on the way. */
  generateAnswer(query: { data: string; stream?: false }): Promise<Answer>;
  generateAnswer(query: { data: string; stream: true }): AnswerStream;
  generateAnswer({ data, stream = false }: { data: string; stream?: boolean }): Promise<Answer> | AnswerStream {
    if (!stream) return this.call("on_query", queryBody(data));
    return new AnswerStream(this.frames("on_query", { ...queryBody(data), parameters: { stream } }));
  }

  /** Stores files, all or none. `metadata` is kept with each of them. */
  async storeData({ files, metadata }: { files: Iterable<FileToStore>; metadata?: Record<string, unknown> }): Promise<Answer> {
    return this.call("on_store", await documentsBody(files, metadata));
  }

  /** Ends the session; what a temporary one stored is deleted. `data` is a farewell. */
  async destroyStack({ data }: { data?: string } = {}): Promise<Answer> {
    if (!this.session) return { stack_id: null, result: "No active session", extras: {} };
    const answer = await this.call("on_close", queryBody(data));
    this.authorization.session = undefined;
    this.close();
    return answer;
  }

  /** Closes the connection and leaves the session as it is. The next call opens a new one. */
  close(): void {
    this.connection?.close();
    this.connection = undefined;
  }

  private async connected(): Promise<CallConnection> {
    const token = await this.authorization.token();
    if (this.connection?.open && this.connection.token === token) return this.connection;
    this.connection?.retire();
    this.opening ??= this.open(token).finally(() => (this.opening = undefined));
    return (this.connection = await this.opening);
  }

  private async open(token: string): Promise<CallConnection> {
    try {
      return new CallConnection(await Connection.open(this.url, token, makeSocket), token);
    } catch (error) {
      if (!(error instanceof ParlanceError && error.status === 401)) throw error;
      if (!(await this.authorization.renew(token))) throw error;
    }
    const fresh = await this.authorization.token();
    return new CallConnection(await Connection.open(this.url, fresh, makeSocket), fresh);
  }

  private async call(event: string, body: object): Promise<Answer> {
    for await (const frame of this.frames(event, body)) {
      if ("answer" in frame) return frame.answer;
    }
    throw new ParlanceError("no answer came");
  }

  /** Sends one request; all frames about it, the answer as the last. */
  private async *frames(event: string, body: object): AsyncGenerator<Exclude<Frame, { error: ParlanceError }>> {
    for (let renewed = false; ; renewed = true) {
      const connection = await this.connected();
      const call = connection.send(event, body);
      let frame = await this.next(call);
      for (; !("error" in frame); frame = await this.next(call)) {
        yield frame;
        if ("answer" in frame) return;
      }
      // The token may have expired since it was looked at.
      if (frame.error.status !== 401 || renewed) throw frame.error;
      if (!(await this.authorization.renew(connection.token))) throw frame.error;
    }
  }

  private async next(call: Channel<Frame>): Promise<Frame> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<Frame>((resolve) => {
      const error = new ParlanceError(`no answer came for ${this.timeout} s`);
      timer = setTimeout(() => resolve({ error }), this.timeout * 1000);
    });
    const frame = await Promise.race([call.next(), late]);
    clearTimeout(timer);
    return frame!;
  }
}

/**
 * A query under way. Iterate over it for its events: agent_step, agent_delta (more text of the answer)
 * and agent_reset (the text so far is void). After the last one `answer` is there. Leaving the loop
 * early ends nothing in the server.
 */
export class AnswerStream implements AsyncIterable<QueryEvent> {
  answer: Answer | undefined;

  constructor(private readonly frames: AsyncIterable<{ event: QueryEvent } | { answer: Answer }>) {}

  async *[Symbol.asyncIterator](): AsyncIterator<QueryEvent> {
    for await (const frame of this.frames) {
      if ("answer" in frame) this.answer = frame.answer;
      else yield frame.event;
    }
  }
}
