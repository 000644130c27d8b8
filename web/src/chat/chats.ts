// The list of chats: those kept in this browser, and the sessions of the agent platform with them.
import { apiKey, call, newId, Refusal } from "../shared/http";
import { kept, Store } from "../shared/store";

export type Kind = "plain" | "agent" | "documents";

export interface StoredFile {
  name: string;
  at: number;
}

export interface Chat {
  id: string;
  kind: Kind;
  /** Empty until something was said. */
  title: string;
  agentId?: string;
  /** Opens the session of a documents chat again. */
  secret?: string;
  files?: StoredFile[];
  createdAt: number;
  /** When something was said last, as far as this browser knows. */
  updatedAt: number;
}

interface Session {
  id: string;
  agent_id: string;
  title: string | null;
  metadata: Record<string, unknown>;
  created_at: string;
  updated_at: string;
}

/** Of a chat's history. */
interface Entry {
  role: string;
  content: string;
  timestamp: string;
}

interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

const PAGE = 100;
const keptChats = kept("parlance.chats");

export const chats = new Store<readonly Chat[]>(read(keptChats.get()));
/** Where the platform's list goes on; null when all of it is here. */
export const moreSessions = new Store<string | null>(null);
let listed = false;
/** From that place up to the session that was made then none is missing here. */
let newest = 0;
/** The same when none was left to fetch: this browser keeps what is older, and need not offer it after a reload. */
const keptWhole = kept("parlance.chats.whole");

function read(text: string | null): Chat[] {
  try {
    const list = JSON.parse(text ?? "[]");
    return Array.isArray(list) ? list.filter((each) => typeof each?.id === "string") : [];
  } catch {
    return [];
  }
}

/** What the browser kept when it was last looked at; what is in memory goes beyond it where it keeps no more. */
let keptText = keptChats.get();
let unkept: ReadonlySet<string> = new Set();

/** The chats that other tabs kept, with those of this page that the browser did not keep. */
function merged(text: string | null): Chat[] {
  keptText = text;
  const theirs = read(text);
  return [...chats.get().filter(({ id }) => unkept.has(id) && !theirs.some((each) => each.id === id)), ...theirs];
}

/** Changes the list, on top of what other tabs kept meanwhile. */
function change(changed: (list: readonly Chat[]) => Chat[]): void {
  const there = keptChats.get();
  const list = changed(there === keptText ? chats.get() : merged(there));
  keptChats.set(JSON.stringify(list));
  keptText = keptChats.get();
  const kept = new Set(read(keptText).map(({ id }) => id));
  unkept = new Set(list.map(({ id }) => id).filter((id) => !kept.has(id)));
  chats.set(list);
}

addEventListener("storage", ({ key, newValue }) => {
  // With nothing at all somebody has signed out.
  if (key === "parlance.chats") chats.set(newValue === null ? [] : merged(newValue));
});

export function chatOf(id: string): Chat | undefined {
  return chats.get().find((each) => each.id === id);
}

export function addChat(chat: Chat): void {
  change((list) => [chat, ...list.filter((each) => each.id !== chat.id)]);
}

export function changeChat(id: string, changes: Partial<Chat>): void {
  change((list) => list.map((each) => (each.id === id ? { ...each, ...changes } : each)));
}

/** Moves a chat to the top: something was said in it at that time. */
export function touchChat(id: string, at: number): void {
  const chat = chatOf(id);
  if (chat && at > chat.updatedAt) changeChat(id, { updatedAt: at });
}

/** The first words, on one line. */
export function titleOf(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  if (line.length <= 60) return line;
  const cut = line.slice(0, 60);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(" "), 40))}…`;
}

export function newPlainChat(title: string): Chat {
  const now = Date.now();
  const chat: Chat = { id: newId(), kind: "plain", title, createdAt: now, updatedAt: now };
  addChat(chat);
  return chat;
}

function fromSession(session: Session, known: Chat | undefined): Chat {
  const created = Date.parse(session.created_at);
  return {
    id: session.id,
    kind: "agent",
    title: session.title ?? "",
    agentId: session.agent_id,
    createdAt: created,
    updatedAt: Math.max(known?.updatedAt ?? 0, Date.parse(session.updated_at)),
  };
}

export async function newAgentChat(agentId: string, title: string, key: string): Promise<Chat> {
  const session = await call<Session>("POST", "/api/v1/session", {
    body: { agent_id: agentId, title: title || null },
    headers: { "Idempotency-Key": key },
  });
  const chat = { ...fromSession(session, undefined), updatedAt: Date.now() };
  addChat(chat);
  return chat;
}

/** Takes over what the platform has: the newest page, or the one after those that are here. */
export async function loadSessions(more = false): Promise<void> {
  const cursor = more ? moreSessions.get() : null;
  if (more && !cursor) return;
  const [key, before] = [apiKey.get(), new Set(chats.get().map(({ id }) => id))];
  const query = new URLSearchParams({ limit: String(PAGE), ...(cursor && { cursor }) });
  const page = await call<Page<Session>>("GET", `/api/v1/session?${query}`);
  if (apiKey.get() !== key) return;
  const there = new Set(page.items.map((each) => each.id));
  // Of what a whole page spans, all that it does not name has been deleted.
  const oldest = page.next_cursor === null ? 0 : Date.parse(page.items.at(-1)?.created_at ?? "") || Date.now();
  change((list) => {
    const known = new Map(list.map((each) => [each.id, each]));
    // What was made or deleted since the request began is newer than its answer.
    const left = list.filter((each) => !there.has(each.id) && (more || each.kind !== "agent" || each.createdAt < oldest || !before.has(each.id)));
    const items = page.items.filter(({ id }) => known.has(id) || !before.has(id));
    return [...items.map((each) => fromSession(each, known.get(each.id))), ...left];
  });
  const whole = page.next_cursor === null || oldest <= Number(keptWhole.get() ?? 0);
  if (!more && (whole || !listed || oldest <= newest)) newest = Date.parse(page.items[0]?.created_at ?? "") || 0;
  if (whole && unkept.size === 0) keptWhole.set(String(newest));
  // Else the newest page says nothing new of where the list goes on.
  if (whole || more || !listed) moreSessions.set(whole ? null : page.next_cursor);
  listed = true;
}

/** One that a link names and this browser does not know: a session, or a log that is not empty. */
export async function findChat(id: string, signal: AbortSignal): Promise<Chat | undefined> {
  const chat = (await findSession(id, signal)) ?? (await findLog(id, signal));
  if (chat) addChat(chat);
  return chat;
}

async function findSession(id: string, signal: AbortSignal): Promise<Chat | undefined> {
  if (!/^[0-9a-f-]{36}$/.test(id)) return undefined;
  try {
    return fromSession(await call<Session>("GET", `/api/v1/session/${id}`, { signal }), undefined);
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return undefined;
    throw error;
  }
}

async function findLog(id: string, signal: AbortSignal): Promise<Chat | undefined> {
  const entries = await call<Entry[]>("GET", `/history/${id}?limit=${PAGE}`, { signal });
  if (entries.length === 0) return undefined;
  const at = (entry: Entry) => Date.parse(`${entry.timestamp.replace(" ", "T")}Z`);
  const title = titleOf(entries.find(({ role }) => role === "user")?.content ?? "");
  return { id, kind: "plain", title, createdAt: at(entries[0]!), updatedAt: at(entries.at(-1)!) };
}

export async function renameChat(chat: Chat, title: string): Promise<void> {
  if (chat.kind === "agent") {
    const session = await call<Session>("GET", `/api/v1/session/${chat.id}`);
    await call("PUT", `/api/v1/session/${chat.id}`, {
      body: { agent_id: session.agent_id, title, metadata: session.metadata },
    });
  }
  changeChat(chat.id, { title });
}

/** Has this browser forget a chat. */
export function dropChat(id: string): void {
  change((list) => list.filter((each) => each.id !== id));
}

export function forgetChats(): void {
  keptChats.set(null);
  keptWhole.set(null);
  chats.set([]);
  moreSessions.set(null);
  listed = false;
}
