import { afterEach, expect, test, vi } from "vitest";
import { StreamConnection } from "../src/stream/connection";
import type { Frame } from "../src/stream/frames";

class Socket {
  static last: Socket;
  onmessage: (event: { data: string }) => void = () => {};
  onclose: (event: { code: number; reason: string }) => void = () => {};
  constructor() {
    Socket.last = this;
  }
  close() {}
  send() {}
  tell(frame: Frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }
}

afterEach(() => vi.unstubAllGlobals());

function connected() {
  vi.stubGlobal("WebSocket", Socket);
  const told: string[] = [];
  const connection = new StreamConnection({
    chatId: "c",
    origin: "http://127.0.0.1",
    key: () => null,
    cursor: () => "1-0",
    onFrames: (frames) => told.push(frames.map(({ type }) => type).join()),
    onState: (state) => told.push(state),
    onUnauthorized: () => {},
    schedule: () => {},
  });
  connection.start();
  return { told, connection };
}

test("what was missed is handed over before the stream is called live", () => {
  const { told, connection } = connected();
  Socket.last.tell({ type: "resumed", from: "1-0", to: "1-1" });
  Socket.last.tell({ type: "client_message", message_id: "m", message: "hello", timestamp: "", seq: 1, cursor: "1-1" });
  expect(told).toEqual(["connecting", "catching-up", "resumed,client_message", "live"]);
  connection.close();
});

test("a stream that missed nothing is live at once", () => {
  const { told, connection } = connected();
  Socket.last.tell({ type: "resumed", from: "1-1", to: "1-1" });
  expect(told.at(-1)).toBe("live");
  connection.close();
});
