import { ParlanceError, seconds } from "./errors.js";
import { NodeSocket } from "./node_socket.js";

const OPEN_MS = 10_000;

interface SocketLike {
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: (() => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

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

  /** Throws ParlanceError; with the status where the server refused. */
  static async open(url: string, token: string | undefined): Promise<Connection> {
    const Native = (globalThis as { WebSocket?: typeof WebSocket }).WebSocket;
    const protocols = token ? [`bearer.${token}`] : [];
    const socket: SocketLike = Native
      ? (new Native(url, protocols) as unknown as SocketLike)
      : new NodeSocket(url, protocols);
    const connection = new Connection(socket);
    const opened = await new Promise<boolean>((resolve) => {
      const limit = setTimeout(() => {
        socket.close();
        resolve(false);
      }, OPEN_MS);
      socket.onerror = () => {};
      socket.onmessage = (event) => {
        connection.heardAt = Date.now();
        connection.messages.push(String(event.data));
      };
      socket.onopen = () => {
        clearTimeout(limit);
        resolve(true);
      };
      socket.onclose = ({ code, reason }) => {
        clearTimeout(limit);
        connection.closed = { code, reason };
        connection.messages.end();
        resolve(false);
      };
    });
    if (opened) return connection;
    throw socket instanceof NodeSocket ? refusal(url, socket) : await asked(url, token);
  }

  send(text: string): void {
    if (!this.closed) this.socket.send(text);
  }

  close(): void {
    this.socket.close(1000);
  }
}

function refusal(url: string, socket: NodeSocket): ParlanceError {
  if (socket.refusedStatus === undefined) return new ParlanceError(`no connection to ${url}`);
  return new ParlanceError(`the server answered ${socket.refusedStatus}`, {
    status: socket.refusedStatus,
    requestId: socket.refusedHeaders["x-request-id"],
    retryAfter: seconds(socket.refusedHeaders["retry-after"]),
  });
}

/** A browser does not tell why a handshake failed; the same request without an upgrade does. */
async function asked(url: string, token: string | undefined): Promise<ParlanceError> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), OPEN_MS);
  try {
    const response = await fetch(url.replace(/^ws/, "http"), {
      headers: token ? { Authorization: `Bearer ${token}` } : {},
      signal: limit.signal,
    });
    await response.body?.cancel();
    if (response.status !== 426 && !response.ok) {
      return new ParlanceError(`the server answered ${response.status}`, {
        status: response.status,
        requestId: response.headers.get("X-Request-Id") ?? undefined,
        retryAfter: seconds(response.headers.get("Retry-After")),
      });
    }
  } catch {
    // It cannot be reached, which is what is said anyway.
  } finally {
    clearTimeout(timer);
  }
  return new ParlanceError(`no connection to ${url}`);
}
