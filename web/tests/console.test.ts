import { afterEach, expect, test, vi } from "vitest";
import { consoleKey, history, link, run, spanOf, state, trouble } from "../src/console/feed";

const HOUR = { step_ms: 5000, at_ms: [], series: {} };

/** A server that tells the hour, and answers `events` to who follows it. */
function serve(events: () => Response): void {
  vi.stubGlobal("fetch", (path: string) =>
    Promise.resolve(path === "/console/api/history" ? Response.json(HOUR) : events()),
  );
}

afterEach(() => {
  vi.unstubAllGlobals();
  for (const store of [state, history, trouble]) store.set(null);
});

test("the axis of one sample ends with it and is minutes long", () => {
  expect(spanOf([1_000_000])).toEqual([1_000_000 - 120, 1_000_000]);
});

test("the axis of many samples is as long as they are", () => {
  expect(spanOf([1000, 1005, 4600])).toEqual([1000, 4600]);
});

test("what a refusal says is kept while it is tried again", async () => {
  serve(() => Response.json({ status: 503, detail: "16 consoles are open" }, { status: 503 }));
  const ended = new AbortController();
  const running = run("key", ended.signal);
  await vi.waitFor(() => expect(link.get()).toBe("offline"));
  expect(trouble.get()).toBe("16 consoles are open");
  ended.abort();
  await running;
});

test("a key that is refused is asked for again", async () => {
  consoleKey.set("key");
  serve(() => Response.json({ status: 401, detail: "no" }, { status: 401 }));
  await run("key", new AbortController().signal);
  expect(consoleKey.get()).toBe(null);
});

test("states are shown as they come, whatever ends their lines, and end the trouble", async () => {
  trouble.set("16 consoles are open");
  serve(() => new Response('event: state\r\ndata: {"at_ms":1}\r\n\r\n'));
  const ended = new AbortController();
  const running = run("key", ended.signal);
  await vi.waitFor(() => expect(state.get()).toEqual({ at_ms: 1 }));
  expect(trouble.get()).toBe(null);
  ended.abort();
  await running;
});
