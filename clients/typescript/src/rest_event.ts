import { Backoff } from "./backoff.js";
import { ParlanceError } from "./errors.js";
import { JsonClient } from "./http.js";
import { Authorization, Credentials, documentsBody, FileToStore, queryBody } from "./stack.js";
import type { Answer, Session } from "./types.js";

export interface RestOptions {
  /** Seconds after which a call fails; 300. */
  timeout?: number;
  /** Seconds for which a query or a store is tried again while the server is away or busy; 30. */
  retryFor?: number;
}

/**
 * One session of the KISS stack; every call is an HTTP request. All calls throw ParlanceError.
 * A query or a store that is tried again runs once: it is answered as the first time.
 */
export class RestEvent {
  private readonly http: JsonClient;
  private readonly authorization: Authorization;
  private readonly retryFor: number;

  /** `hostname` without a protocol, such as `example.com` or `localhost:8080`. */
  constructor(hostname: string, secureProtocol = true, { timeout = 300, retryFor = 30 }: RestOptions = {}) {
    this.http = new JsonClient(`http${secureProtocol ? "s" : ""}://${hostname}`, timeout);
    this.authorization = new Authorization(this.http);
    this.retryFor = retryFor;
  }

  /** The present authorization; undefined before authorizeStack and after destroyStack. */
  get session(): Session | undefined {
    return this.authorization.session;
  }

  /**
   * A new session of a scope, or, with the id and secret of a persistent one, a new access token for
   * it. Persistent sessions renew theirs by themselves.
   */
  authorizeStack(credentials: Credentials): Promise<Session> {
    return this.authorization.authorize(credentials);
  }

  /** Starts the session, which must come before queries and documents. `data` is a greeting. */
  bootstrapStack({ data }: { data?: string } = {}): Promise<Answer> {
    return this.call("/sessions?action=init", queryBody(data));
  }

  /** The answer to a question, as `result`. */
  generateAnswer({ data }: { data: string }): Promise<Answer> {
    return this.callOnce("/queries", queryBody(data));
  }

  /** Stores files, all or none. `metadata` is kept with each of them. */
  async storeData({ files, metadata }: { files: Iterable<FileToStore>; metadata?: Record<string, unknown> }): Promise<Answer> {
    return this.callOnce("/documents", await documentsBody(files, metadata));
  }

  /** Ends the session; what a temporary one stored is deleted. `data` is a farewell. */
  async destroyStack({ data }: { data?: string } = {}): Promise<Answer> {
    if (!this.session) return { stack_id: null, result: "No active session", extras: {} };
    const answer = await this.call("/sessions?action=close", queryBody(data));
    this.authorization.session = undefined;
    return answer;
  }

  private async callOnce(path: string, body: object): Promise<Answer> {
    const headers = { "Idempotency-Key": newId() };
    const backoff = new Backoff(this.retryFor);
    for (;;) {
      try {
        return await this.call(path, body, headers);
      } catch (error) {
        if (!(error instanceof ParlanceError && error.passing)) throw error;
        await backoff.failed(error, error.retryAfter);
      }
    }
  }

  private async call(path: string, body: object, headers: Record<string, string> = {}): Promise<Answer> {
    const token = await this.authorization.token();
    try {
      return await this.http.post(path, body, { ...headers, Authorization: `Bearer ${token}` });
    } catch (error) {
      if (!(error instanceof ParlanceError && error.status === 401)) throw error;
      if (!(await this.authorization.renew(token))) throw error;
    }
    const fresh = await this.authorization.token();
    return this.http.post(path, body, { ...headers, Authorization: `Bearer ${fresh}` });
  }
}

/** 128 random bits. */
export function newId(): string {
  // crypto.randomUUID is not there on pages without https.
  const draw = () => Math.floor(Math.random() * 2 ** 32);
  const words = globalThis.crypto?.getRandomValues(new Uint32Array(4)) ?? [draw(), draw(), draw(), draw()];
  return Array.from(words, (word) => word.toString(16).padStart(8, "0")).join("");
}
