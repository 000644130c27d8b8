// Looks for the chat of a link that this browser does not know, until the server has said what is so.
import { useEffect, useRef, useState } from "preact/hooks";
import { Refusal } from "../shared/http";
import { findChat } from "./chats";

/** `removed`: it was here since the page was loaded. */
export type Missing = "looking" | "unreachable" | "gone" | "removed";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15_000;

/** Why the chat `id` is not there; `here` is whether it is. Nothing is looked for while a key is wanted. */
export function useMissing(id: string | null, here: boolean, wantsKey: boolean): Missing {
  const [found, setFound] = useState<{ id: string; why: Missing } | null>(null);
  const seen = useRef(new Set<string>());
  if (id !== null && here) seen.current.add(id);
  const removed = id !== null && seen.current.has(id);
  useEffect(() => {
    if (id === null || here || removed || wantsKey) return;
    const ended = new AbortController();
    setFound(null);
    void look(id, ended.signal, (why) => setFound({ id, why }));
    return () => ended.abort();
  }, [id, here, wantsKey]);
  return removed ? "removed" : found?.id === id ? found.why : "looking";
}

async function look(id: string, signal: AbortSignal, tell: (why: Missing) => void): Promise<void> {
  for (let wait = FIRST_WAIT_MS; !signal.aborted; wait = Math.min(LONGEST_WAIT_MS, 2 * wait)) {
    try {
      const found = await findChat(id, signal);
      if (!signal.aborted && !found) tell("gone");
      return;
    } catch (error) {
      if (signal.aborted) return;
      // With another key it is looked for again.
      if (error instanceof Refusal && error.status === 401) return;
      const again = !(error instanceof Refusal) || error.passing || error.status >= 500;
      tell(again ? "unreachable" : "gone");
      if (!again) return;
      await pause(wait + (error instanceof Refusal ? (error.retryAfter ?? 0) : 0), signal);
    }
  }
}

/** Shorter when the line comes back. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    addEventListener("online", done);
    signal.addEventListener("abort", done);
  });
}
