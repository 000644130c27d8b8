import { ParlanceError } from "./errors.js";
import { JsonClient } from "./http.js";
import type { Scope, Session } from "./types.js";

// A token is renewed so long before its end, or after nine tenths of its life if that is sooner.
const RENEW_BEFORE_SECONDS = 30;

/** A path (Node only), a `File`, or a name with its content. */
export type FileToStore = string | File | { name: string; content: string | Blob | Uint8Array };

/** A new session of a scope, or the id and secret of a persistent one. */
export type Credentials = { scope: Scope } | { clientId: string; clientSecret: string };

/** Makes a session, and keeps the access token of a persistent one fresh. */
export class Authorization {
  session: Session | undefined;
  private renewAt = Infinity;
  private renewing: Promise<void> | undefined;

  constructor(private readonly http: JsonClient) {}

  async authorize(credentials: Credentials): Promise<Session> {
    const body =
      "scope" in credentials
        ? { scope: credentials.scope }
        : { client_id: credentials.clientId, client_secret: credentials.clientSecret };
    const session: Session = await this.http.post("/auth", body);
    const life = session.expires_in ?? Infinity;
    this.renewAt = Date.now() + Math.max(life - RENEW_BEFORE_SECONDS, life * 0.9) * 1000;
    this.session = session;
    return session;
  }

  /** An access token that has not expired, as far as this can be had. */
  async token(): Promise<string> {
    if (!this.session) throw new ParlanceError("no session: call authorizeStack first", { status: 401 });
    if (Date.now() >= this.renewAt) await this.renew(this.session.access_token);
    return this.session.access_token;
  }

  /** Gets another token than `refused`. False where there is no way: a temporary session. */
  async renew(refused: string): Promise<boolean> {
    const { session } = this;
    if (session?.scope !== "persistent") return false;
    // Another call may have renewed it meanwhile, or be about to.
    if (session.access_token === refused) {
      this.renewing ??= this.authorize({ clientId: session.client_id, clientSecret: session.client_secret })
        .then(() => {})
        .finally(() => (this.renewing = undefined));
      await this.renewing;
    }
    return true;
  }
}

export function queryBody(data: string | undefined): { query?: string } {
  return data === undefined ? {} : { query: data };
}

export async function documentsBody(files: Iterable<FileToStore>, metadata?: Record<string, unknown>): Promise<object> {
  const encoded = await Promise.all(Array.from(files, encode));
  return metadata ? { files: encoded, metadata } : { files: encoded };
}

async function encode(file: FileToStore): Promise<{ name: string; content: string }> {
  if (typeof file === "string") {
    const { readFile } = await import("node:fs/promises");
    const name = file.split(/[\\/]/).pop() ?? file;
    return { name, content: base64(await readFile(file)) };
  }
  const content = "content" in file ? file.content : file;
  if (typeof content === "string") return { name: file.name, content: base64(new TextEncoder().encode(content)) };
  if (content instanceof Uint8Array) return { name: file.name, content: base64(content) };
  return { name: file.name, content: base64(new Uint8Array(await content.arrayBuffer())) };
}

function base64(bytes: Uint8Array): string {
  let text = "";
  // As many arguments as any engine takes.
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}
