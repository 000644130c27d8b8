import { expect, test, vi } from "vitest";
import { leave, Outbox, type Sent, type Unsent } from "../src/stream/outbox";

function storage() {
  const values = new Map<string, string>();
  return {
    getItem: (name: string) => values.get(name) ?? null,
    setItem: (name: string, value: string) => void values.set(name, value),
    removeItem: (name: string) => void values.delete(name),
  };
}

const message = (id: string): Unsent => ({ id, text: `text of ${id}`, at: 0 });

test("messages are sent in order, and again under their own id until they are taken", async () => {
  vi.useFakeTimers();
  const sent: string[] = [];
  const answers: Sent[] = [{ ok: false }, { ok: false, retryAfter: 50 }, { ok: true }, { ok: true }];
  const outbox = new Outbox({ storage: storage(), name: "o", send: async ({ id }) => (sent.push(id), answers.shift()!), onChange: () => {} });
  outbox.add(message("a"));
  outbox.add(message("b"));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(sent).toEqual(["a", "a", "a", "b"]);
  vi.useRealTimers();
});

test("a message stays until the log has it, also over a reload", async () => {
  const kept = storage();
  leave({ storage: kept, name: "o" }, message("a"));
  const sent: string[] = [];
  const outbox = new Outbox({ storage: kept, name: "o", send: async ({ id }) => (sent.push(id), { ok: true }), onChange: () => {} });
  outbox.flush();
  await vi.waitFor(() => expect(sent).toEqual(["a"]));
  expect(outbox.all.map(({ id }) => id)).toEqual(["a"]);
  outbox.drop(["a"]);
  expect(kept.getItem("o")).toBeNull();
});

test("a message that is refused waits for its writer and holds up no other", async () => {
  let refuse = true;
  const sent: string[] = [];
  const send = async ({ id }: Unsent): Promise<Sent> => (sent.push(id), id === "a" && refuse ? { ok: false, refused: "too long" } : { ok: true });
  const outbox = new Outbox({ storage: storage(), name: "o", send, onChange: () => {} });
  outbox.add(message("a"));
  outbox.add(message("b"));
  await vi.waitFor(() => expect(sent).toEqual(["a", "b"]));
  expect(outbox.all[0]).toMatchObject({ id: "a", refused: "too long" });
  refuse = false;
  outbox.retry("a");
  await vi.waitFor(() => expect(sent).toEqual(["a", "b", "a"]));
});
