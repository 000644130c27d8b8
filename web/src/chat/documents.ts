// The documents of a chat: it is then a persistent session of the stack, opened with a secret that
// this browser keeps. The chat itself is read and written like any other.
import { call, LONG_PATIENCE_MS, newId, Refusal } from "../shared/http";
import { addChat, changeChat, type Chat, chatOf } from "./chats";

interface Authorization {
  client_id: string;
  client_secret: string;
  access_token: string;
  expires_in: number;
}

interface Answer {
  result: string;
  extras: { supporting_documents?: Passage[]; tool?: string };
}

/** A passage that an answer was made from. `text` is null where it is long; `href` has it then. */
export interface Passage {
  id: string;
  name: string;
  span: [number, number];
  distance: number | null;
  text: string | null;
  href?: string;
  bytes?: number;
}

/** What a run's message id begins with when it was sent with an idempotency key. */
export const KEYED = "idem-";

const tokens = new Map<string, { token: string; until: number }>();

function remember(authorization: Authorization): string {
  const token = authorization.access_token;
  // Renewed well before its end: the clocks of both sides may differ.
  tokens.set(authorization.client_id, { token, until: Date.now() + authorization.expires_in * 800 });
  return token;
}

async function initialized(token: string): Promise<void> {
  try {
    await call("POST", "/sessions?action=init", { body: {}, token });
  } catch (error) {
    if (!(error instanceof Refusal && error.status === 409)) throw error;
  }
}

export async function newDocumentsChat(title: string): Promise<Chat> {
  const authorization = await call<Authorization>("POST", "/auth", { body: { scope: "persistent" }, token: "" });
  await initialized(remember(authorization));
  const now = Date.now();
  const chat: Chat = {
    id: authorization.client_id,
    kind: "documents",
    title,
    secret: authorization.client_secret,
    files: [],
    createdAt: now,
    updatedAt: now,
  };
  addChat(chat);
  return chat;
}

async function tokenOf(chat: Chat): Promise<string> {
  const known = tokens.get(chat.id);
  if (known && known.until > Date.now()) return known.token;
  const body = { client_id: chat.id, client_secret: chat.secret ?? "" };
  const token = remember(await call<Authorization>("POST", "/auth", { body, token: "" }));
  await initialized(token);
  return token;
}

async function authorized<T>(chat: Chat, method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<T> {
  const options = { ...(body && { body }), headers, patience: LONG_PATIENCE_MS };
  try {
    return await call<T>(method, path, { ...options, token: await tokenOf(chat) });
  } catch (error) {
    if (!(error instanceof Refusal && error.status === 401)) throw error;
    tokens.delete(chat.id);
    return call<T>(method, path, { ...options, token: await tokenOf(chat) });
  }
}

async function base64(file: File): Promise<string> {
  const url = await new Promise<string>((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
  return url.slice(url.indexOf(",") + 1);
}

/** Stores all files or none. */
export async function storeFiles(chat: Chat, files: readonly File[], key = newId()): Promise<void> {
  const body = { files: await Promise.all(files.map(async (file) => ({ name: file.name, content: await base64(file) }))) };
  await authorized(chat, "POST", "/documents", body, { "Idempotency-Key": key });
  const stored = files.map((file) => ({ name: file.name, at: Date.now() }));
  changeChat(chat.id, { files: [...(chatOf(chat.id)?.files ?? []), ...stored], updatedAt: Date.now() });
}

/** With its messages and documents. Throws a Refusal of 404 where the server does not know it. */
export async function deleteSession(chat: Chat): Promise<void> {
  try {
    await authorized(chat, "DELETE", "/sessions");
  } catch (error) {
    if (!(error instanceof Refusal && error.status === 401)) throw error;
    // Its secret is refused, so nobody can come to it any more.
    throw new Refusal(404, error.message);
  }
  tokens.delete(chat.id);
}

/** The passages of an answer: the question with its key once more is answered as it was. */
export async function passagesOf(chat: Chat, messageId: string, question: string): Promise<Passage[]> {
  if (!messageId.startsWith(KEYED)) return [];
  const headers = { "Idempotency-Key": messageId.slice(KEYED.length) };
  const answer = await authorized<Answer>(chat, "POST", "/queries", { query: question }, headers);
  return answer.extras.supporting_documents ?? [];
}

export async function passageText(chat: Chat, id: string): Promise<string> {
  return (await authorized<{ text: string }>(chat, "GET", `/passages/${encodeURIComponent(id)}`)).text;
}
