// The console's feed: the past hour once, then one state a second over server-sent events, with the
// key that was signed in with. A lost connection is made again, and the hour is read anew then.
import { refusalOf, Refusal, send } from "../shared/http";
import { kept, Store } from "../shared/store";
import { readEvents } from "parlance-client/event_source";
import { SERIES, type History, type Sample, type State } from "./wire";

const keptKey = kept("parlance.console_key", () => sessionStorage);

/** The console's key; null while nobody is signed in. Kept for this tab alone. */
export const consoleKey = new Store<string | null>(keptKey.get());
consoleKey.watch((key) => keptKey.set(key));

export type Link = "connecting" | "live" | "offline";

export const state = new Store<State | null>(null);
export const history = new Store<History | null>(null);
export const link = new Store<Link>("connecting");
/** What the server said when it refused to be followed for now; null while it does not. */
export const trouble = new Store<string | null>(null);
/** Why the last sign-in was refused. */
export const refused = new Store<Refusal | null>(null);

const STEPS_MAX = 720;
/** A server that has just started has that much of an hour before it. */
const LEAST_S = 120;
const SILENCE_MAX_MS = 20_000;
const WAIT_MAX_MS = 15_000;

/** `hour` with one step more, and no more than an hour of them. */
export function extended(hour: History, sample: Sample): History {
  if ((hour.at_ms.at(-1) ?? 0) >= sample.at_ms) return hour;
  const last = <T>(list: T[], item: T) => [...list.slice(1 - STEPS_MAX), item];
  const series = Object.fromEntries(SERIES.map((name) => [name, last(hour.series[name], sample[name])])) as History["series"];
  return { step_ms: hour.step_ms, at_ms: last(hour.at_ms, sample.at_ms), series };
}

/** What a chart shows of the times `at`, in seconds: all. What uPlot proposes is years where there is one. */
export function spanOf(at: ArrayLike<number>): [number, number] {
  const end = at[at.length - 1] ?? Date.now() / 1000;
  return [Math.min(at[0] ?? end, end - LEAST_S), end];
}

function show(next: State): void {
  state.set(next);
  const hour = history.get();
  if (hour && next.sample) history.set(extended(hour, next.sample));
}

async function follow(token: string, signal: AbortSignal): Promise<void> {
  const past = await send("GET", "/console/api/history", { token, signal });
  history.set((await past.json()) as History);
  // One that goes silent is as good as gone.
  const silent = new AbortController();
  let timer = setTimeout(() => silent.abort(), SILENCE_MAX_MS);
  try {
    const response = await fetch("/console/api/events", {
      headers: { Authorization: `Bearer ${token}`, Accept: "text/event-stream" },
      signal: AbortSignal.any([signal, silent.signal]),
    });
    if (!response.ok) throw await refusalOf(response);
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENCE_MAX_MS);
    };
    for await (const event of readEvents(response.body!, heard)) {
      show(JSON.parse(event) as State);
      link.set("live");
      trouble.set(null);
      refused.set(null);
    }
  } finally {
    clearTimeout(timer);
  }
}

/** Follows the server with `token` until `signal`, or until it is refused. */
export async function run(token: string, signal: AbortSignal): Promise<void> {
  let wait = 500;
  while (!signal.aborted) {
    link.set("connecting");
    const began = Date.now();
    try {
      await follow(token, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refusal && (error.status === 401 || error.status === 403)) {
        refused.set(error);
        return consoleKey.set(null);
      }
      trouble.set(error instanceof Refusal ? error.message || null : null);
    }
    if (signal.aborted) return;
    link.set("offline");
    wait = Date.now() - began > WAIT_MAX_MS ? 500 : Math.min(wait * 1.6, WAIT_MAX_MS);
    await new Promise((resolve) => setTimeout(resolve, wait * (0.75 + Math.random() / 2)));
  }
}

export async function stop(session: string, messageId: string): Promise<void> {
  await send("POST", `/console/api/sessions/${encodeURIComponent(session)}/stop`, {
    token: consoleKey.get() ?? "",
    body: { message_id: messageId },
  });
}
