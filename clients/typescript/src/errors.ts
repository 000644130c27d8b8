/** The server refused a call, or could not be reached. The one error of this package. */
export class ParlanceError extends Error {
  override readonly name = "ParlanceError";
  /** The HTTP status, also of refusals over a WebSocket; undefined where no answer came. */
  readonly status: number | undefined;
  /** What was wrong, as a sentence. */
  readonly detail: string;
  /** What the server's log calls the request. */
  readonly requestId: string | undefined;
  /** After how many seconds a new try makes sense, where the server says. */
  readonly retryAfter: number | undefined;

  constructor(
    detail: string,
    more: { status?: number | undefined; requestId?: string | undefined; retryAfter?: number | undefined; cause?: unknown } = {},
  ) {
    const about = [more.status, more.requestId && `request ${more.requestId}`].filter(Boolean);
    super(about.length > 0 ? `${detail} (${about.join(", ")})` : detail, more.cause === undefined ? undefined : { cause: more.cause });
    this.detail = detail;
    this.status = more.status;
    this.requestId = more.requestId;
    this.retryAfter = more.retryAfter;
  }

  /** Whether the same call may succeed later: the server was away, busy or starting. */
  get passing(): boolean {
    return this.status === undefined || [429, 502, 503, 504].includes(this.status);
  }
}

/** Whether a request can carry `key`, and a server can have it. */
export function possibleKey(key: string): boolean {
  return /^[\x21-\x7e]+$/.test(key);
}

/** A count of seconds as headers and close reasons have it; undefined for anything else. */
export function seconds(text: string | null | undefined): number | undefined {
  return text && /^\d+$/.test(text) ? Number(text) : undefined;
}
