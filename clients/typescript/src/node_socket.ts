// A WebSocket for versions of Node that have none of their own (before 22): the client's side of
// RFC 6455, without extensions. It has the few members of the browsers' class that are used here.

import type { MakeSocket, Refused, SocketLike } from "./connection.js";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const MESSAGE_BYTES_MAX = 64 * 2 ** 20;
const CLOSE_MS = 2000;

const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

type Crypto = typeof import("node:crypto");
type Socket = import("node:http").Socket;

class NodeSocket implements SocketLike {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  readyState = 0;
  refused: Refused | undefined;

  private socket: Socket | undefined;
  private crypto: Crypto | undefined;
  private received: Uint8Array = new Uint8Array(0);
  private parts: Uint8Array[] = [];
  private partsBytes = 0;
  private closing = { code: 1006, reason: "" };
  private abort: (() => void) | undefined;
  private givenUp = false;

  constructor(url: string, protocols: string[] = []) {
    this.open(url, protocols).catch(() => this.ended());
  }

  send(text: string): void {
    if (this.readyState === 1) this.write(TEXT, new TextEncoder().encode(text));
  }

  close(code = 1000): void {
    if (this.readyState === 0) {
      this.givenUp = true;
      this.abort?.();
    }
    if (this.readyState !== 1) return;
    this.readyState = 2;
    this.write(CLOSE, new Uint8Array([code >> 8, code & 255]));
    setTimeout(() => this.socket?.destroy(), CLOSE_MS);
  }

  private async open(url: string, protocols: string[]): Promise<void> {
    const secure = url.startsWith("wss:");
    const { request } = await (secure ? import("node:https") : import("node:http"));
    this.crypto = await import("node:crypto");
    if (this.givenUp) return this.ended();
    const key = base64(this.crypto.randomBytes(16));
    const accept = this.crypto.createHash("sha1").update(key + GUID).digest("base64");
    const headers: Record<string, string> = {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": key,
    };
    if (protocols.length > 0) headers["Sec-WebSocket-Protocol"] = protocols.join(", ");
    const handshake = request(url.replace(/^ws/, "http"), { headers, agent: false });
    this.abort = () => handshake.destroy();
    handshake.on("error", () => this.ended());
    handshake.on("response", (response) => {
      this.refused = { status: response.statusCode, header: (name) => response.headers[name] };
      handshake.destroy();
      this.ended();
    });
    handshake.on("upgrade", (response, socket, head) => {
      const chosen = response.headers["sec-websocket-protocol"];
      if (response.headers["sec-websocket-accept"] !== accept || (chosen && !protocols.includes(chosen))) {
        socket.destroy();
        return this.ended();
      }
      this.attach(socket, head);
    });
    handshake.end();
  }

  private attach(socket: Socket, head: Uint8Array): void {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.setTimeout(0);
    socket.on("error", () => socket.destroy());
    socket.on("end", () => socket.destroy());
    socket.on("close", () => this.ended());
    socket.on("data", (bytes) => this.take(bytes));
    this.readyState = 1;
    this.onopen?.();
    if (head.length > 0) this.take(head);
  }

  private take(bytes: Uint8Array): void {
    this.received = this.received.length > 0 ? joined([this.received, bytes]) : bytes;
    while (this.readyState === 1 || this.readyState === 2) {
      const length = this.frameBytes();
      if (length === undefined || this.received.length < length.total) return;
      const payload = this.received.slice(length.head, length.total);
      const first = this.received[0]!;
      this.received = this.received.subarray(length.total);
      this.frame(first, payload);
    }
  }

  /** How long the next frame and its head are; undefined while that cannot be told. */
  private frameBytes(): { head: number; total: number } | undefined {
    const bytes = this.received;
    if (bytes.length < 2) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const short = bytes[1]!;
    const head = short === 127 ? 10 : short === 126 ? 4 : 2;
    if (bytes.length < head) return undefined;
    const payload = head === 10 ? Number(view.getBigUint64(2)) : head === 4 ? view.getUint16(2) : short;
    // A server masks nothing, and no extension was asked for.
    if (short > 127 || (bytes[0]! & 0x70) !== 0 || payload + this.partsBytes > MESSAGE_BYTES_MAX) {
      this.socket?.destroy();
      return undefined;
    }
    return { head, total: head + payload };
  }

  private frame(first: number, payload: Uint8Array): void {
    const opcode = first & 15;
    if (opcode === PING) {
      if (this.readyState === 1) this.write(PONG, payload);
    } else if (opcode === CLOSE) {
      if (payload.length >= 2) {
        const reason = new TextDecoder().decode(payload.subarray(2));
        this.closing = { code: (payload[0]! << 8) | payload[1]!, reason };
      }
      if (this.readyState === 1) this.close(payload.length >= 2 ? this.closing.code : 1000);
      this.socket?.end();
    } else if (opcode === TEXT || opcode === BINARY || opcode === CONTINUATION) {
      this.parts.push(payload);
      this.partsBytes += payload.length;
      if ((first & 0x80) === 0) return;
      const message = joined(this.parts);
      this.parts = [];
      this.partsBytes = 0;
      this.onmessage?.({ data: new TextDecoder().decode(message) });
    }
  }

  private write(opcode: number, payload: Uint8Array): void {
    const { length } = payload;
    const head = new Uint8Array(length < 126 ? 2 : length < 65536 ? 4 : 10);
    head[0] = 0x80 | opcode;
    const view = new DataView(head.buffer);
    if (head.length === 4) view.setUint16(2, length);
    if (head.length === 10) view.setBigUint64(2, BigInt(length));
    head[1] = 0x80 | (head.length === 2 ? length : head.length === 4 ? 126 : 127);
    const mask = this.crypto!.randomBytes(4);
    const masked = payload.map((byte, at) => byte ^ mask[at & 3]!);
    this.socket?.write(joined([head, mask, masked]));
  }

  private ended(): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.(this.closing);
  }
}

function joined(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

/** The browser's own, or that of a Node which has one; else a small one. */
export const makeSocket: MakeSocket = (url, protocols) => {
  const Native = (globalThis as { WebSocket?: typeof WebSocket }).WebSocket;
  return Native ? (new Native(url, protocols) as unknown as SocketLike) : new NodeSocket(url, protocols);
};
