const FIRST_MS = 100;
const MAX_MS = 10_000;
// A server that takes a connection and drops it at once is no better than one that is away.
const SOUND_MS = 2_000;

/**
 * Waits longer after each failure that follows soon upon another, and gives up once nothing has
 * succeeded for `limitSeconds` since the first.
 */
export class Backoff {
  private failures = 0;
  private failingSince: number | undefined;
  private succeedingSince: number | undefined;

  constructor(private readonly limitSeconds: number) {}

  succeeded(): void {
    this.failingSince = undefined;
    this.succeedingSince ??= Date.now();
  }

  /** How many milliseconds to wait after one more failure, at least `retryAfter` seconds; undefined where that is too long. */
  next(retryAfter: number | undefined): number | undefined {
    const now = Date.now();
    this.failingSince ??= now;
    if (this.succeedingSince !== undefined && now - this.succeedingSince > SOUND_MS) this.failures = 0;
    this.succeedingSince = undefined;
    const grown = Math.min(MAX_MS, FIRST_MS * 2 ** Math.min(this.failures, 16));
    // Clients that lost the same server must not come back in the same moment.
    const wait = grown * (0.5 + Math.random() / 2) + (retryAfter ?? 0) * 1000;
    if (now + wait > this.failingSince + this.limitSeconds * 1000) return undefined;
    this.failures += 1;
    return wait;
  }

  /** Waits as `next` says; throws `error` where that is too long. */
  async failed(error: Error, retryAfter: number | undefined): Promise<void> {
    const wait = this.next(retryAfter);
    if (wait === undefined) throw error;
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}
