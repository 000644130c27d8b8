const FIRST_MS = 100;
const MAX_MS = 10_000;

/** Ends with the time, or at once when `signal` says so. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener("abort", done);
  });
}

/**
 * Waits longer after each failure that follows soon upon another, and gives up once nothing has
 * succeeded for `limitSeconds` since the first.
 */
export class Backoff {
  private failures = 0;
  private failingSince: number | undefined;
  private lastFailure = 0;

  constructor(private readonly limitSeconds: number) {}

  succeeded(): void {
    this.failingSince = undefined;
  }

  /** Waits, at least `retryAfter` seconds; throws `error` where that is too long. */
  async failed(error: Error, retryAfter: number | undefined, signal?: AbortSignal): Promise<void> {
    const now = Date.now();
    this.failingSince ??= now;
    // A server that takes a connection and drops it at once is no better than one that is away.
    if (now - this.lastFailure > 2 * MAX_MS) this.failures = 0;
    const grown = Math.min(MAX_MS, FIRST_MS * 2 ** Math.min(this.failures, 16));
    // Clients that lost the same server must not come back in the same moment.
    const wait = grown * (0.5 + Math.random() / 2) + (retryAfter ?? 0) * 1000;
    if (now + wait > this.failingSince + this.limitSeconds * 1000) throw error;
    this.failures += 1;
    this.lastFailure = now;
    await sleep(wait, signal);
  }
}
