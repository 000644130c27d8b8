// How a chat's stream says that it is, and what it does where no WebSocket passes.
import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";

import { ChatStream, isTerminal, StreamConnection } from "parlance-client";

import { using, within } from "./server.mjs";

/** What a connection tells, in order, while a socket of ours tells it frames. */
async function told(frames) {
  const socket = { send() {}, close() {} };
  const told = [];
  const connection = new StreamConnection({
    url: "http://127.0.0.1/chat/c",
    cursor: () => "1-0",
    onFrames: (frames) => told.push(frames.map(({ type }) => type).join()),
    onState: (state) => told.push(state),
    schedule: () => {},
    makeSocket: () => socket,
  });
  connection.start();
  socket.onopen();
  for (const frame of frames) socket.onmessage({ data: JSON.stringify(frame) });
  await new Promise((resolve) => setImmediate(resolve)); // All that was told has been looked at.
  connection.close();
  return told;
}

test("what was missed is handed over before the stream is called live", async () => {
  const message = { type: "client_message", message_id: "m", message: "hello", seq: 1, cursor: "1-1" };
  assert.deepEqual(await told([{ type: "resumed", from: "1-0", to: "1-1" }, message]), [
    "connecting", "catching-up", "resumed,client_message", "live",
  ]);
});

test("a stream that missed nothing is live at once", async () => {
  assert.deepEqual(await told([{ type: "resumed", from: "1-1", to: "1-1" }]), ["connecting", "catching-up", "resumed", "live"]);
});

test("what is not known is not told", async () => {
  assert.deepEqual(await told([{ type: "pong" }, { type: "of_the_future", seq: 1 }]), ["connecting"]);
});

test("the states of a stream are told, also through a restart", using(["--tokens", "5"], async (server) => {
  const states = [];
  let changed = () => {};
  const chat = new ChatStream(server.host, "states", false, { onState: (state) => (states.push(state), changed(state)) });
  const becomes = (wanted) => within(new Promise((resolve) => (changed = (state) => state === wanted && resolve())), wanted);
  const live = becomes("live");
  const reading = (async () => {
    for await (const _ of chat.events());
  })();
  await live;
  assert.deepEqual(states.splice(0), ["connecting", "catching-up", "live"]);
  const again = becomes("live");
  await server.restart();
  await again;
  chat.close();
  await within(reading, "the end of the events");
  assert.equal(states[0], "offline");
  assert.deepEqual(states.slice(-3), ["connecting", "catching-up", "live"]);
}));

/** A proxy that knows no WebSockets, as there are. */
async function withProxy(server, walk) {
  let upgrades = 0;
  const proxy = http.createServer((request, response) => {
    const { upgrade, connection, ...headers } = request.headers;
    if (upgrade) ++upgrades;
    const onward = http.request({ host: "127.0.0.1", port: server.port, method: request.method, path: request.url, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  try {
    await walk(`127.0.0.1:${proxy.address().port}`, () => upgrades);
  } finally {
    proxy.closeAllConnections();
    await new Promise((resolve) => proxy.close(resolve));
  }
}

test("where no WebSocket comes through, events do, also through a restart", using(["--tokens", "60", "--token-ms", "10"], async (server) => {
  await withProxy(server, async (host, upgrades) => {
    const chat = new ChatStream(host, "events", false, { tokens: true });
    const id = await chat.send("Hello?");
    const read = async () => {
      const events = [];
      for await (const event of chat.events()) {
        events.push(event);
        if (event.type === "agent_delta" && events.filter(({ type }) => type === "agent_delta").length === 3) await server.restart();
        if (isTerminal(event) && event.message_id === id) return events;
      }
    };
    const events = await within(read(), "the end of the message");
    assert.deepEqual(events.filter(({ seq }) => seq !== undefined).map(({ seq }) => seq), [1, 2, 3]);
    assert.equal(upgrades(), 2);
    chat.close();
  });
}));

test("a server that speaks of something else is given up", async () => {
  const socket = { send() {}, close() {} };
  const failed = new Promise((resolve) => {
    const connection = new StreamConnection({
      url: "http://127.0.0.1/chat/c",
      cursor: () => "0-0",
      onFrames: () => {},
      reconnectFor: 0,
      onFailure: (error) => (resolve(error), false),
      makeSocket: () => socket,
    });
    connection.start();
    socket.onopen();
    socket.onmessage({ data: "<html>" });
  });
  assert.match((await within(failed, "the end")).detail, /a frame without a type/);
});
