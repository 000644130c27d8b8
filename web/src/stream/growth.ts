/** Text that grows twenty times a second flows; a frame of the screen each would cost three times as much. */
const GROWTH_MS = 50;
let grownAt = 0;

/** Runs it with a frame of the screen, soon. */
export function nextGrowth(run: () => void): void {
  const wait = grownAt + GROWTH_MS - performance.now();
  setTimeout(() => {
    const now = () => {
      grownAt = performance.now();
      run();
    };
    // A page that is not looked at draws no frames.
    if (globalThis.document && document.visibilityState === "visible") requestAnimationFrame(now);
    else setTimeout(now, 100);
  }, Math.max(0, wait));
}
