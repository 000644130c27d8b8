// Escape ends one thing: the innermost of those that can be ended now.
import { useLayoutEffect, useRef } from "preact/hooks";

/** The innermost first. A dialog, and what takes the key in its own element, comes before all. */
const ORDER = ["search", "list", "recording", "sources", "answer", "composer"] as const;
type Ending = (typeof ORDER)[number];

const actions = new Map<Ending, () => void>();

/** Of an input method, which needs Enter and Escape for itself. Safari tells it by the code alone. */
export const composing = (event: KeyboardEvent) => event.isComposing || event.keyCode === 229;

addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || composing(event) || document.querySelector("dialog[open]")) return;
  const innermost = ORDER.find((what) => actions.has(what));
  if (!innermost) return;
  event.preventDefault();
  actions.get(innermost)!();
});

/** What Escape does to `what`; null while there is nothing to be ended. */
export function useEscape(what: Ending, action: (() => void) | null): void {
  const newest = useRef(action);
  newest.current = action;
  useLayoutEffect(() => {
    if (!newest.current) return;
    const act = () => newest.current?.();
    actions.set(what, act);
    return () => {
      if (actions.get(what) === act) actions.delete(what);
    };
  }, [what, action === null]);
}
