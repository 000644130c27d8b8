import { expect, test, vi } from "vitest";
import { Outbox, type Sent, type Unsent } from "../src/stream/outbox";

/** What two outboxes may share; without `room` it keeps nothing new. */
function keeping(text: string | null = null) {
  const kept = { text, room: true, get: () => kept.text, set: (value: string | null) => void (kept.room && (kept.text = value)) };
  return kept;
}

const message = (id: string): Unsent => ({ id, text: `text of ${id}`, at: 0 });

test("messages are sent in order, and again under their own id until they are taken", async () => {
  vi.useFakeTimers();
  const sent: string[] = [];
  const answers: Sent[] = [{ ok: false }, { ok: false, retryAfter: 50 }, { ok: true }, { ok: true }];
  const outbox = new Outbox({ kept: keeping(), send: async ({ id }) => (sent.push(id), answers.shift()!), onChange: () => {} });
  outbox.add(message("a"));
  outbox.add(message("b"));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(sent).toEqual(["a", "a", "a", "b"]);
  vi.useRealTimers();
});

test("a message stays until the log has it, also over a reload", async () => {
  const kept = keeping();
  new Outbox({ kept, send: async () => ({ ok: false }), onChange: () => {} }).add(message("a"));
  const sent: string[] = [];
  const outbox = new Outbox({ kept, send: async ({ id }) => (sent.push(id), { ok: true }), onChange: () => {} });
  outbox.flush();
  await vi.waitFor(() => expect(sent).toEqual(["a"]));
  expect(outbox.all.map(({ id }) => id)).toEqual(["a"]);
  outbox.drop(["a"]);
  expect(kept.text).toBeNull();
});

test("a message that is refused waits for its writer and holds up no other", async () => {
  let refuse = true;
  const sent: string[] = [];
  const send = async ({ id }: Unsent): Promise<Sent> => (sent.push(id), id === "a" && refuse ? { ok: false, refused: "too long" } : { ok: true });
  const outbox = new Outbox({ kept: keeping(), send, onChange: () => {} });
  outbox.add(message("a"));
  outbox.add(message("b"));
  await vi.waitFor(() => expect(sent).toEqual(["a", "b"]));
  expect(outbox.all[0]).toMatchObject({ id: "a", refused: "too long" });
  refuse = false;
  outbox.retry("a");
  await vi.waitFor(() => expect(sent).toEqual(["a", "b", "a"]));
});

test("where nothing can be kept every message is sent all the same, and a refusal stays told", async () => {
  const kept = keeping(JSON.stringify([message("a")]));
  kept.room = false;
  const sent: string[] = [];
  const send = async ({ id }: Unsent): Promise<Sent> => (sent.push(id), id === "b" ? { ok: false, refused: "too long" } : { ok: true });
  const outbox = new Outbox({ kept, send, onChange: () => {} });
  for (const id of ["b", "c"]) outbox.add(message(id));
  await vi.waitFor(() => expect(sent).toEqual(["a", "b", "c"]));
  outbox.drop(["a", "c"]);
  expect(outbox.all).toEqual([{ ...message("b"), refused: "too long" }]);
  outbox.add(message("d"));
  expect(outbox.all.map(({ id }) => id)).toEqual(["b", "d"]);
});

test("what another tab takes out is out here, and what it has added stays kept", () => {
  const kept = keeping();
  const never = () => new Promise<Sent>(() => {});
  const one = new Outbox({ kept, send: never, onChange: () => {} });
  one.add(message("a"));
  const other = new Outbox({ kept, send: never, onChange: () => {} });
  other.add(message("b"));
  one.add(message("c"));
  expect(JSON.parse(kept.text!).map(({ id }: Unsent) => id)).toEqual(["a", "b", "c"]);
  const before = kept.text;
  other.drop(["a"]);
  one.follow(before, kept.text);
  expect(one.all.map(({ id }) => id)).toEqual(["b", "c"]);
});

test("a message that is to be tried later is overtaken by none", async () => {
  vi.useFakeTimers();
  const sent: string[] = [];
  const answers: Sent[] = [{ ok: false, retryAfter: 1000 }, { ok: true }, { ok: true }];
  const outbox = new Outbox({ kept: keeping(), send: async ({ id }) => (sent.push(id), answers.shift()!), onChange: () => {} });
  outbox.add(message("a"));
  await vi.advanceTimersByTimeAsync(0);
  outbox.add(message("b"));
  await vi.advanceTimersByTimeAsync(900);
  expect(sent).toEqual(["a"]);
  await vi.advanceTimersByTimeAsync(1000);
  expect(sent).toEqual(["a", "a", "b"]);
  vi.useRealTimers();
});

test("what holds a message up is told until it is taken, and of none that nobody wants any more", async () => {
  vi.useFakeTimers();
  const told: unknown[] = [];
  const answers: Sent[] = [{ ok: false, held: "full" }, { ok: false }, { ok: false, held: "busy" }, { ok: true }, { ok: false, held: "full" }];
  const outbox = new Outbox({ kept: keeping(), send: async () => answers.shift()!, onChange: () => {}, onHeld: (held) => told.push(held) });
  outbox.add(message("a"));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(told).toEqual(["full", undefined, "busy", undefined, undefined]);
  outbox.add(message("b"));
  await vi.advanceTimersByTimeAsync(0);
  outbox.drop(["b"]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(told.slice(5)).toEqual(["full", undefined]);
  vi.useRealTimers();
});

test("a message that is discarded on its way is out at once, and told when it has arrived", async () => {
  let arrive: (sent: Sent) => void = () => {};
  const outbox = new Outbox({ kept: keeping(), send: () => new Promise((resolve) => (arrive = resolve)), onChange: () => {} });
  outbox.add(message("a"));
  let told = false;
  const discarded = outbox.discard("a").then(() => (told = true));
  expect(outbox.all).toEqual([]);
  await Promise.resolve();
  expect([told, outbox.isSending("a")]).toEqual([false, true]);
  arrive({ ok: true });
  await discarded;
  expect(outbox.isSending("a")).toBe(false);
});

test("after the log turned out to be another one, what the one before had accepted is sent again", async () => {
  const sent: string[] = [];
  const outbox = new Outbox({ kept: keeping(), send: async ({ id }) => (sent.push(id), { ok: true }), onChange: () => {} });
  outbox.add(message("a"));
  await vi.waitFor(() => expect(sent).toEqual(["a"]));
  outbox.flush();
  outbox.forgetAccepted();
  outbox.flush();
  await vi.waitFor(() => expect(sent).toEqual(["a", "a"]));
});
