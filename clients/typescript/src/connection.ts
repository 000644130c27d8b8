import { ParlanceError, seconds } from "./errors.js";

const OPEN_MS = 10_000;
// The server's answers to a handshake that say the same of any request.
const SERVERS_OWN = [401, 426, 429, 503];

/** What is used of a browser's WebSocket. */
export interface SocketLike {
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: (() => void) | null;
  send(text: string): void;
  close(code?: number): void;
  /** Of an answer that refused the handshake; a browser does not tell. */
  readonly refused?: Refused | undefined;
}

export interface Refused {
  status: number;
  header(name: string): string | null | undefined;
}

/** May throw where a protocol cannot be one. */
export type MakeSocket = (url: string, protocols: string[]) => SocketLike;

/** Values that one side puts in and the other takes out, in order. */
export class Channel<T> {
  private readonly values: T[] = [];
  private takers: Array<(value: T | undefined) => void> = [];
  private ended = false;

  push(value: T): void {
    if (this.ended) return;
    const taker = this.takers.shift();
    if (taker) taker(value);
    else this.values.push(value);
  }

  /** Nothing comes any more; what is there can still be taken. */
  end(): void {
    this.ended = true;
    for (const taker of this.takers.splice(0)) taker(undefined);
  }

  /** The next value; undefined after the last. */
  next(): Promise<T | undefined> {
    if (this.values.length > 0) return Promise.resolve(this.values.shift());
    if (this.ended) return Promise.resolve(undefined);
    return new Promise((resolve) => this.takers.push(resolve));
  }
}

/** An open WebSocket whose messages are taken one by one. */
export class Connection {
  readonly messages = new Channel<string>();
  /** How it ended, once it has. */
  closed: { code: number; reason: string } | undefined;
  /** When a message came last, in milliseconds. */
  heardAt = Date.now();

  private constructor(private readonly socket: SocketLike) {}

  /**
   * Throws ParlanceError; with the status where the server refused. That is 426 where it can be
   * reached, and something on the way lets no WebSocket pass. `signal` gives the opening up.
   */
  static async open(url: string, token: string | undefined, makeSocket: MakeSocket, signal?: AbortSignal): Promise<Connection> {
    let socket: SocketLike;
    try {
      socket = makeSocket(url, token ? [`bearer.${token}`] : []);
    } catch {
      throw await asked(url, token, signal);
    }
    const connection = new Connection(socket);
    const opened = await new Promise<boolean>((resolve) => {
      const giveUp = () => {
        socket.close();
        resolve(false);
      };
      const limit = setTimeout(giveUp, OPEN_MS);
      if (signal?.aborted) giveUp();
      signal?.addEventListener("abort", giveUp, { once: true });
      const decided = (isOpen: boolean) => {
        clearTimeout(limit);
        signal?.removeEventListener("abort", giveUp);
        resolve(isOpen);
      };
      socket.onerror = () => {};
      socket.onmessage = (event) => {
        connection.heardAt = Date.now();
        connection.messages.push(String(event.data));
      };
      socket.onopen = () => decided(true);
      socket.onclose = ({ code, reason }) => {
        connection.closed = { code, reason };
        connection.messages.end();
        decided(false);
      };
    });
    if (opened && !signal?.aborted) return connection;
    const refused = socket.refused && refusalOf(socket.refused);
    if (refused && SERVERS_OWN.includes(refused.status!)) throw refused;
    // Perhaps not by the server, but by something on the way that knows no WebSockets.
    const why = await asked(url, token, signal);
    throw why.status === 426 ? why : refused ?? why;
  }

  send(text: string): void {
    if (!this.closed) this.socket.send(text);
  }

  close(): void {
    this.socket.close(1000);
  }
}

/** What a response that is no success says. */
export function refusalOf({ status, header }: Refused): ParlanceError {
  return new ParlanceError(`the server answered ${status}`, {
    status,
    requestId: header("x-request-id") ?? undefined,
    retryAfter: seconds(header("retry-after")),
  });
}

export function refusedBy(response: Response): ParlanceError {
  return refusalOf({ status: response.status, header: (name) => response.headers.get(name) });
}

/** A browser does not tell why a handshake failed; the same request without an upgrade does. */
async function asked(url: string, token: string | undefined, signal: AbortSignal | undefined): Promise<ParlanceError> {
  const limit = new AbortController();
  const giveUp = () => limit.abort();
  const timer = setTimeout(giveUp, OPEN_MS);
  if (signal?.aborted) giveUp();
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    const response = await fetch(url.replace(/^ws/, "http"), {
      headers: token ? { Authorization: `Bearer ${token}` } : {},
      signal: limit.signal,
    });
    await response.body?.cancel();
    if (!response.ok) return refusedBy(response);
  } catch {
    // It cannot be reached, which is what is said anyway.
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
  }
  return new ParlanceError(`no connection to ${url}`);
}
