// A chat's stream through crashes, gaps and repeats, against the real server.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ChatStream, isTerminal, ParlanceError } from "parlance-client";

import { Server, Upstream, using, within } from "./server.mjs";

const QUICK = ["--tokens", "5"];
const SLOW = ["--tokens", "60", "--token-ms", "10"];

/** All events up to the end of this message. */
function readToEnd(chat, messageId, onEvent = async (_event) => {}) {
  const read = async () => {
    const events = [];
    for await (const event of chat.events()) {
      events.push(event);
      await onEvent(event);
      if (event.message_id === messageId && isTerminal(event)) break;
    }
    return events;
  };
  return within(read(), `the end of ${messageId}`);
}

const seqs = (events) => events.filter((event) => event.seq !== undefined).map((event) => event.seq);
const upTo = (count) => Array.from({ length: count }, (_, n) => n + 1);

test("a message is answered step by step", using(QUICK, async (server) => {
  const chat = new ChatStream(server.host, "steps", false);
  const events = await readToEnd(chat, await chat.send("مَرْحَبًا hello?"));
  assert.deepEqual(events.map((event) => event.type), ["client_message", "agent_step", "message_end"]);
  assert.equal(events[0].message, "مَرْحَبًا hello?");
  assert.equal(events[2].status, "completed");
  assert.equal(chat.cursor, events[2].cursor);
  chat.close();
}));

test("crashes in mid-answer leave no gap and no duplicate", using(SLOW, async (server) => {
  const chat = new ChatStream(server.host, "crashes", false, { tokens: true });
  const ids = [];
  for (let n = 0; n < 4; ++n) ids.push(await chat.send(`Question ${n}?`));
  let crashes = 0;
  const events = await readToEnd(chat, ids.at(-1), async (event) => {
    if (event.type !== "agent_delta" || crashes === 3) return;
    crashes += 1;
    await server.restart();
  });
  assert.equal(crashes, 3);
  assert.deepEqual(seqs(events), upTo(seqs(events).length));
  assert.deepEqual(events.filter(isTerminal).map((event) => event.message_id), ids);
  chat.close();
}));

test("a stream goes on after a kept cursor", using(QUICK, async (server) => {
  const chat = new ChatStream(server.host, "kept", false);
  const first = await readToEnd(chat, await chat.send("One?"));
  const later = new ChatStream(server.host, "kept", false, { after: first[1].cursor });
  const events = await readToEnd(later, await later.send("Two?"));
  assert.deepEqual(events[0], first[2]);
  assert.deepEqual(seqs(events), [3, 4, 5, 6]);
}));

test("a place that cannot be served is told as a gap, and nothing of it again", using(QUICK, async (server) => {
  const chat = new ChatStream(server.host, "gap", false);
  await readToEnd(chat, await chat.send("One?"));
  const lost = new ChatStream(server.host, "gap", false, { after: "1-2" });
  const events = await readToEnd(lost, "two", async (event) => {
    if (event.type !== "gap") return;
    await server.restart();
    await lost.send("Two?", { messageId: "two" });
  });
  assert.equal(events[0].type, "gap");
  assert.equal(events[0].history[0].content, "One?");
  const told = events[0].history.map((entry) => entry.seq);
  assert.ok(seqs(events).every((seq) => !told.includes(seq)));
  assert.deepEqual(seqs(events), [...new Set(seqs(events))].sort((a, b) => a - b));
}));

test("a message sent while the server is away runs once", using(QUICK, async (server) => {
  const chat = new ChatStream(server.host, "away", false);
  await readToEnd(chat, await chat.send("One?"));
  await server.kill9();
  const sent = [1, 2, 3].map(() => chat.send("Two?", { messageId: "two" }));
  await server.again();
  assert.deepEqual(await within(Promise.all(sent), "the sends"), ["two", "two", "two"]);
  const events = await readToEnd(chat, "two");
  assert.deepEqual(seqs(events), [4, 5, 6]);
}));

test("a message id with another text is refused", using(QUICK, async (server) => {
  const chat = new ChatStream(server.host, "same", false);
  await chat.send("Hello?", { messageId: "same" });
  await assert.rejects(
    chat.send("Goodbye?", { messageId: "same" }),
    (error) => error instanceof ParlanceError && [409, 422].includes(error.status) && !!error.requestId,
  );
}));

test("a cancelled message ends", using(SLOW, async (server) => {
  const chat = new ChatStream(server.host, "cancel", false, { tokens: true });
  const id = await chat.send("One?");
  let cancelled = false;
  const events = await readToEnd(chat, id, async (event) => {
    if (event.type !== "agent_delta" || cancelled) return;
    cancelled = true;
    await chat.cancel(id);
  });
  assert.equal(events.at(-1).status, "cancelled");
}));

test("close ends the events", using(QUICK, async (server) => {
  const chat = new ChatStream(server.host, "close", false);
  await chat.send("Hello?");
  const read = async () => {
    for await (const event of chat.events()) if (isTerminal(event)) setTimeout(() => chat.close(), 0);
  };
  await within(read(), "the end of the events");
}));

test("a server that stays away is given up", async () => {
  const chat = new ChatStream("127.0.0.1:1", "away", false, { reconnectFor: 0.3 });
  const away = (error) => error instanceof ParlanceError && error.status === undefined;
  await assert.rejects(within(chat.events().next(), "an end"), away);
  await assert.rejects(within(chat.send("Hello?"), "an end"), away);
});

test("a key is sent, and a wrong one refused", async () => {
  const key = "key-of-the-tests-0123456789";
  const upstream = await Upstream.start(...QUICK);
  const server = await Server.start({ upstream, environment: { PARLANCE_API_KEYS: key } });
  try {
    const chat = new ChatStream(server.host, "key", false, { apiKey: key });
    assert.ok(await readToEnd(chat, await chat.send("Hello?")));
    const wrong = new ChatStream(server.host, "key", false, { apiKey: "wrong" });
    const unauthorized = (error) => error instanceof ParlanceError && error.status === 401;
    await assert.rejects(within(wrong.events().next(), "an end"), unauthorized);
    await assert.rejects(wrong.send("Hello?"), unauthorized);
  } finally {
    await server.end();
    await upstream.kill9();
  }
});

for (const chatId of ["", "..", "a/b", "a?b", "x".repeat(129), "سلام"]) {
  test(`the chat id ${JSON.stringify(chatId.slice(0, 5))} is refused here`, () => {
    assert.throws(() => new ChatStream("localhost", chatId), RangeError);
  });
}
