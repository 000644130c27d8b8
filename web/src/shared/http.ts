// Requests to the server, with the API key that was signed in with. Failures are thrown as Refusal.
import { kept, Store } from "./store";

export { possibleKey } from "parlance-client/errors";

const keptKey = kept("parlance.key", () => sessionStorage);

/** The API key; null where none was needed yet. Kept for this tab alone. */
export const apiKey = new Store<string | null>(keptKey.get());
apiKey.watch((key) => keptKey.set(key));

/** True while the server is known to want a key that it was not given. */
export const signInWanted = new Store(false);

export interface FieldProblem {
  pointer: string;
  message: string;
}

export class Refusal extends Error {
  constructor(
    /** 0 when the server could not be reached. */
    readonly status: number,
    detail: string,
    readonly retryAfter: number | undefined = undefined,
    readonly fields: FieldProblem[] = [],
    readonly messageId: string | undefined = undefined,
  ) {
    super(detail);
  }

  /** Whether the same request may well work later. */
  get passing(): boolean {
    if (this.status === 429 || this.status === 507) return this.retryAfter !== undefined;
    return this.status === 0 || this.status === 408 || this.status === 502 || this.status === 503 || this.status === 504;
  }
}

/** Throws what a response that is no success says. */
export async function refusalOf(response: Response): Promise<Refusal> {
  let problem: { detail?: unknown; errors?: FieldProblem[]; message_id?: string } = {};
  try {
    problem = await response.json();
  } catch {
    // Of something in between; the status has to do.
  }
  const retryAfter = Number(response.headers.get("Retry-After") ?? "") * 1000 || undefined;
  const fields = Array.isArray(problem.errors) ? problem.errors : [];
  const detail = typeof problem.detail === "string" ? problem.detail : `${response.status} ${response.statusText}`.trim();
  return new Refusal(response.status, detail, retryAfter, fields, problem.message_id);
}

/** How long a server may take to begin its answer, in milliseconds: a line that is dead does not say so. */
const PATIENCE_MS = 60_000;
/** Where it works through documents or recordings before. */
export const LONG_PATIENCE_MS = 15 * 60_000;

export interface Options {
  body?: object | FormData;
  headers?: Record<string, string>;
  /** Instead of the API key. */
  token?: string;
  signal?: AbortSignal;
  /** In milliseconds, until the head of the response. */
  patience?: number;
}

/** The response, which is a success. */
export async function send(method: string, path: string, { body, headers = {}, token, signal, patience = PATIENCE_MS }: Options = {}): Promise<Response> {
  const bearer = token ?? apiKey.get();
  const form = body instanceof FormData;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), patience);
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: {
        ...(bearer && { Authorization: `Bearer ${bearer}` }),
        ...(body && !form && { "Content-Type": "application/json" }),
        ...headers,
      },
      ...(body && { body: form ? body : JSON.stringify(body) }),
      signal: signal ? AbortSignal.any([signal, late.signal]) : late.signal,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(0, "");
  } finally {
    clearTimeout(timer);
  }
  if (response.ok) return response;
  if (response.status === 401 && token === undefined) signInWanted.set(true);
  throw await refusalOf(response);
}

export async function call<T>(method: string, path: string, options?: Options): Promise<T> {
  const response = await send(method, path, options);
  return response.status === 204 ? (undefined as T) : ((await response.json()) as T);
}

/** A random UUID, also on pages without https, where crypto.randomUUID is not there. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
