// One open chat: its transcript, the state of its stream, and what is on the way to the server.
import { apiKey, call, newId, Refusal, signInWanted } from "../shared/http";
import { Store } from "../shared/store";
import { apply, EMPTY, type Frame, leave, Outbox, type Sent, StreamConnection, type StreamState, TranscriptCache, type Transcript, type Unsent } from "../stream";
import { type Chat, chatOf, forgetChats, touchChat } from "./chats";
import { KEYED } from "./documents";

export const cache = new TranscriptCache();

const SAVE_MS = 800;

const OUTBOX = "parlance.outbox.";
export const outboxOf = (chat: Chat) => `${OUTBOX}${chat.id}`;

/** Everything of all chats that this browser keeps. */
export async function forgetEverything(): Promise<void> {
  forgetChats();
  for (const name of Object.keys(localStorage)) if (name.startsWith(OUTBOX)) localStorage.removeItem(name);
  for (const name of Object.keys(sessionStorage)) if (name.startsWith("parlance.draft.")) sessionStorage.removeItem(name);
  await cache.forgetAll();
}

/** Of a documents chat the sources are asked for by the key of its message. */
function messageFor(chat: Chat, text: string): Unsent {
  return { id: (chat.kind === "documents" ? KEYED : "") + newId(), text, at: Date.now() };
}

/** The first message of a chat that is about to be opened. */
export function sayFirst(chat: Chat, text: string): void {
  leave({ storage: localStorage, name: outboxOf(chat) }, messageFor(chat, text));
}

export class ChatSession {
  readonly transcript = new Store<Transcript>(EMPTY);
  readonly state = new Store<StreamState>("connecting");
  readonly unsent = new Store<readonly Unsent[]>([]);
  /** False until what this browser keeps of the chat was looked at. */
  readonly loaded = new Store(false);
  /** True after the server's data turned out to be others. */
  readonly replaced = new Store(false);

  private saved: Transcript = EMPTY;
  private saving: ReturnType<typeof setTimeout> | undefined;
  private closed = false;
  private readonly outbox: Outbox;
  private readonly connection: StreamConnection;
  private readonly unwatch: () => void;
  private readonly saveNow = () => void this.save();

  constructor(readonly chat: Chat) {
    this.outbox = new Outbox({
      storage: localStorage,
      name: outboxOf(chat),
      send: (message) => this.post(message),
      onChange: (messages) => this.unsent.set(messages),
    });
    this.unsent.set(this.outbox.all);
    this.connection = new StreamConnection({
      chatId: chat.id,
      origin: location.origin,
      key: () => apiKey.get(),
      cursor: () => this.transcript.get().cursor,
      onFrames: (frames) => this.take(frames),
      onState: (state) => {
        this.state.set(state);
        if (state === "live") this.outbox.flush();
      },
      onUnauthorized: () => signInWanted.set(true),
    });
    this.unwatch = apiKey.watch(() => {
      this.connection.wake();
      this.outbox.flush();
    });
    addEventListener("pagehide", this.saveNow);
    void this.open();
  }

  close(): void {
    void this.save();
    this.closed = true;
    this.connection.close();
    this.outbox.close();
    this.unwatch();
    removeEventListener("pagehide", this.saveNow);
  }

  reconnect(): void {
    this.connection.wake();
  }

  send(text: string): void {
    this.outbox.add(messageFor(this.chat, text));
    touchChat(this.chat.id, Date.now());
  }

  resend(id: string): void {
    this.outbox.retry(id);
  }

  discard(id: string): void {
    this.outbox.drop([id]);
    // It may have arrived although nothing said so.
    void this.cancel(id).catch(() => {});
  }

  async cancel(id: string): Promise<void> {
    try {
      await call("POST", `/chat/${this.chat.id}/cancel`, { body: { message_id: id } });
    } catch (error) {
      // It has ended meanwhile.
      if (!(error instanceof Refusal && (error.status === 404 || error.status === 409))) throw error;
    }
  }

  private async open(): Promise<void> {
    const kept = await cache.load(this.chat.id).catch(() => EMPTY);
    if (this.closed) return;
    this.saved = kept;
    this.transcript.set(kept);
    this.loaded.set(true);
    this.dropArrived();
    this.connection.start();
    this.outbox.flush();
  }

  private take(frames: Frame[]): void {
    if (this.closed) return;
    if (frames.some((frame) => frame.type === "gap")) {
      this.replaced.set(this.transcript.get().runs.length > 0);
      void cache.forget(this.chat.id).catch(() => {});
      this.saved = EMPTY;
    }
    const before = this.transcript.get();
    const after = apply(before, frames);
    this.transcript.set(after);
    if (after.seq === before.seq) return;
    this.dropArrived();
    this.saving ??= setTimeout(this.saveNow, SAVE_MS);
    const newest = after.runs.at(-1);
    if (newest) touchChat(this.chat.id, newest.at);
  }

  private dropArrived(): void {
    const { index } = this.transcript.get();
    const arrived = this.outbox.all.filter(({ id }) => index.has(id)).map(({ id }) => id);
    if (arrived.length > 0) this.outbox.drop(arrived);
  }

  private async save(): Promise<void> {
    clearTimeout(this.saving);
    this.saving = undefined;
    const transcript = this.transcript.get();
    if (this.closed || transcript.seq === this.saved.seq) return;
    // One that was deleted meanwhile stays so.
    if (!chatOf(this.chat.id)) return;
    this.saved = await cache.save(this.chat.id, transcript, this.saved).catch(() => this.saved);
  }

  private async post({ id, text }: Unsent): Promise<Sent> {
    const keyed = id.startsWith(KEYED);
    try {
      await call("POST", `/chat/${this.chat.id}/messages`, {
        body: { message: text, ...(!keyed && { message_id: id }) },
        headers: keyed ? { "Idempotency-Key": id.slice(KEYED.length) } : {},
      });
      return { ok: true };
    } catch (error) {
      if (!(error instanceof Refusal) || error.passing || error.status === 401) {
        return { ok: false, ...(error instanceof Refusal && error.retryAfter && { retryAfter: error.retryAfter }) };
      }
      return { ok: false, refused: error.message };
    }
  }
}
