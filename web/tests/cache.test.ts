import "fake-indexeddb/auto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { TranscriptCache } from "../src/stream/cache";
import type { Frame } from "../src/stream/frames";
import { apply, EMPTY, type Transcript } from "../src/stream/transcript";

function log(messages: number, epoch = "9"): Frame[] {
  const out: Frame[] = [];
  let seq = 0;
  const at = () => ({ seq: ++seq, cursor: `${epoch}-${seq}`, timestamp: "2026-01-02T03:04:05.000Z" });
  for (let i = 0; i < messages; ++i) out.push({ type: "client_message", chat_id: "c", message_id: `m${i}`, message: `ask ${i}`, ...at() });
  for (let i = 0; i < messages; ++i) {
    out.push({ type: "agent_step", chat_id: "c", step_type: "FinalAnswerStep", message: `answer ${i}`, message_id: `m${i}`, ...at() });
    out.push({ type: "message_end", chat_id: "c", status: "completed", message_id: `m${i}`, ...at() });
  }
  return out;
}

const seen = (transcript: Transcript) => transcript.runs.map(({ id, steps, outcome }) => ({ id, steps: steps.map((step) => step.text), outcome }));
let names = 0;

test("what two tabs keep in turn comes back whole, whoever is behind", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.record({ tab: fc.nat(1), heard: fc.nat(5), save: fc.boolean() }), { maxLength: 25 }),
      async (messages, moves) => {
        const frames = log(messages);
        const cache = new TranscriptCache(`test ${++names}`);
        const tabs = [0, 1].map(() => ({ at: 0, now: EMPTY, kept: EMPTY }));
        for (const { tab: which, heard, save } of moves) {
          const tab = tabs[which]!;
          tab.now = apply(tab.now, frames.slice(tab.at, tab.at + heard));
          tab.at = Math.min(frames.length, tab.at + heard);
          if (save && tab.now.seq > 0) tab.kept = await cache.save("c", tab.now, tab.kept);
        }
        const loaded = await cache.load("c");
        const missed = frames.filter((frame) => "seq" in frame && frame.seq! > loaded.seq);
        expect(seen(apply(loaded, missed))).toEqual(seen(apply(EMPTY, frames)));
      },
    ),
    { numRuns: 60 },
  );
});

test("a log of another store takes the place of the old one", async () => {
  const cache = new TranscriptCache(`test ${++names}`);
  const old = apply(EMPTY, log(3));
  await cache.save("c", old, EMPTY);
  const fresh = apply(EMPTY, log(1, "7"));
  await cache.save("c", fresh, EMPTY);
  expect(seen(await cache.load("c"))).toEqual(seen(fresh));
});

test("a chat that is forgotten is empty, and the others stay", async () => {
  const cache = new TranscriptCache(`test ${++names}`);
  const transcript = apply(EMPTY, log(2));
  await cache.save("c", transcript, EMPTY);
  await cache.save("cd", transcript, EMPTY);
  await cache.forget("c");
  expect((await cache.load("c")).runs).toEqual([]);
  expect((await cache.load("cd")).runs).toHaveLength(2);
});

test("runs of many chats are found by what they say", async () => {
  const cache = new TranscriptCache(`test ${++names}`);
  for (const chat of ["a", "b", "c"]) await cache.save(chat, apply(EMPTY, log(150)), EMPTY);
  await cache.save("d", apply(EMPTY, log(1)), EMPTY);
  const found = await cache.find((run) => (run.text === "ask 149" ? run.id : undefined), new AbortController().signal);
  expect([...found]).toEqual([["a", "m149"], ["b", "m149"], ["c", "m149"]]);
});
