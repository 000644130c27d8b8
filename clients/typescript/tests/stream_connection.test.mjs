// How a chat's stream says that it is, and what it does where no WebSocket passes.
import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";

import { ChatStream, isTerminal, StreamConnection } from "parlance-client";

import { using, within } from "./server.mjs";

/** Until all that was told has been looked at. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A connection to a socket of ours: what it tells, in order, and what its sockets are told. */
function connected(options = {}) {
  const sockets = [];
  const told = [];
  const connection = new StreamConnection({
    url: "http://127.0.0.1/chat/c",
    cursor: () => "1-0",
    onFrames: (frames) => told.push(frames.map(({ type }) => type).join()),
    onState: (state) => told.push(state),
    makeSocket: () => {
      const socket = { closed: false, send() {}, close: () => (socket.closed = true) };
      sockets.push(socket);
      return socket;
    },
    ...options,
  });
  connection.start();
  const tell = async (...frames) => {
    const socket = sockets.at(-1);
    socket.onopen();
    for (const frame of frames) socket.onmessage({ data: JSON.stringify(frame) });
    await turn();
  };
  return { connection, sockets, tell, told };
}

async function told(frames) {
  const { connection, tell, told } = connected({ schedule: () => {} });
  await tell(...frames);
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

test("after a gap the place it leads to is asked for at once, but not again and again", async () => {
  const { connection, sockets, tell, told } = connected();
  await tell({ type: "gap", history: [] });
  assert.equal(sockets.length, 2);
  assert.deepEqual(told, ["connecting", "gap"]);
  await tell({ type: "gap", history: [] });
  assert.equal(sockets.length, 2, "the second waits");
  assert.deepEqual(told.slice(2), ["gap", "offline"]);
  connection.close();
});

test("nothing is handed over after the end", async () => {
  let run;
  const { connection, tell, told } = connected({ schedule: (later) => (run = later) });
  await tell({ type: "resumed", from: "1-0", to: "1-9" });
  connection.close();
  run();
  await turn();
  assert.deepEqual(told, ["connecting", "catching-up"]);
});

test("an end that comes while it begins is one", async () => {
  const { connection, sockets } = connected();
  connection.close();
  const told = [];
  const other = new StreamConnection({
    url: "http://127.0.0.1/chat/c",
    cursor: () => "0-0",
    onFrames: () => {},
    onState: (state) => (told.push(state), other.close()),
    makeSocket: () => assert.fail("it attaches"),
  });
  other.start();
  await turn();
  assert.deepEqual(told, ["connecting"]);
  assert.equal(sockets[0].closed, true);
});

test("an end that comes when the connection is lost is one", async () => {
  const states = [];
  const ended = connected({
    onState: (state) => (states.push(state), state === "offline" && ended.connection.close()),
    onFailure: () => assert.fail("nobody asked"),
    reconnectFor: 0,
  });
  await ended.tell();
  ended.sockets[0].onclose({ code: 1006, reason: "" });
  await turn();
  assert.deepEqual(states, ["connecting", "offline"]);
  assert.equal(ended.sockets.length, 1);
});

test("what the caller's functions throw ends the connection, and is told", async () => {
  const wrong = new Error("this is wrong");
  for (const [name, happens] of [
    ["cursor", () => {}],
    ["key", () => {}],
    ["onFrames", (tell) => tell({ type: "resumed", from: "1-0", to: "1-0" })],
    ["onState", () => {}],
  ]) {
    const failures = [];
    const { sockets, tell } = connected({
      [name]: () => {
        throw wrong;
      },
      onFailure: (error) => failures.push(error),
    });
    await happens(tell);
    assert.deepEqual(failures.map(({ cause }) => cause), [wrong], name);
    assert.ok(sockets.every((socket) => socket.closed), name);
  }
});

test("what can be no address and no key is refused here", async () => {
  const options = { cursor: () => "0-0", onFrames: () => {} };
  assert.throws(() => new StreamConnection({ ...options, url: "no address" }), TypeError);
  assert.throws(() => new ChatStream("no host", "c"), TypeError);
  assert.throws(() => new ChatStream("localhost", "c", true, { apiKey: "ключ" }), RangeError);
});

test("a stream that is closed as it begins leaves no connection", using(["--tokens", "5"], async (server) => {
  for (let i = 0; i < 30; ++i) {
    const chat = new ChatStream(server.host, "leaves", false);
    const first = chat.events().next();
    for (let turns = i; turns > 0; --turns) await turn();
    chat.close();
    assert.equal((await within(first, "the end")).done, true);
  }
  const watchers = async () => /^parlance_watchers (\d+)/m.exec(await (await fetch(`http://${server.host}/metrics`)).text())[1];
  const gone = async () => {
    while ((await watchers()) !== "0") await turn();
  };
  await within(gone(), "the end of all connections");
}));

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

/** A proxy that knows no WebSockets, as there are: it hands requests for them on as others, or answers them with `status`. */
async function withProxy(server, status, walk) {
  let upgrades = 0;
  const proxy = http.createServer((request, response) => {
    const { upgrade, connection, ...headers } = request.headers;
    if (upgrade) ++upgrades;
    if (upgrade && status) return response.writeHead(status).end();
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

for (const status of [undefined, 400, 405, 502]) test(`where no WebSocket comes through (${status}), events do, also through a restart`, using(["--tokens", "60", "--token-ms", "10"], async (server) => {
  await withProxy(server, status, async (host, upgrades) => {
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
