// One open chat: its transcript, the state of its stream, and what is on the way to the server.
import { apiKey, call, newId, Refusal, signInWanted } from "../shared/http";
import { forget, kept, Store } from "../shared/store";
import { apply, EMPTY, type Frame, type Held, nextGrowth, Outbox, type Sent, StreamConnection, type StreamState, TranscriptCache, type Transcript, type Unsent } from "../stream";
import { type Chat, chatOf, forgetChats, touchChat } from "./chats";
import { KEYED } from "./documents";

export const cache = new TranscriptCache();

const SAVE_MS = 800;

/** A browser whose database hangs does not hold up a chat; the server has all of it. */
const LOAD_MS = 2000;

const OUTBOX = "parlance.outbox.";
const outboxOf = (chat: Chat) => `${OUTBOX}${chat.id}`;
/** What is to be said in chats that were not opened yet. */
const first = new Map<string, Unsent>();

/** Of each chat the message that is on its way, from here. */
const posting = new Map<string, Promise<Sent>>();

/** When none of a chat is on its way any more. */
export async function posted(chat: Chat): Promise<void> {
  await posting.get(chat.id);
}

/** Forgets what this browser keeps of one chat; nobody waits for its database. */
export function forgetChat(chat: Chat): void {
  kept(outboxOf(chat)).set(null);
  void cache.forget(chat.id).catch(() => {});
}

/** Everything of all chats that this browser keeps. */
export async function forgetEverything(): Promise<void> {
  forgetChats();
  forget(OUTBOX);
  forget("parlance.draft.", () => sessionStorage);
  await cache.forgetAll();
}

/** Of a documents chat the sources are asked for by the key of its message. */
function messageFor(chat: Chat, text: string): Unsent {
  return { id: (chat.kind === "documents" ? KEYED : "") + newId(), text, at: Date.now() };
}

/** The first message of a chat that is about to be opened. */
export function sayFirst(chat: Chat, text: string): void {
  first.set(chat.id, messageFor(chat, text));
}

export class ChatSession {
  readonly transcript = new Store<Transcript>(EMPTY);
  readonly state = new Store<StreamState>("connecting");
  readonly unsent = new Store<readonly Unsent[]>([]);
  readonly held = new Store<Held | undefined>(undefined);
  /** False until what this browser keeps of the chat was looked at. */
  readonly loaded = new Store(false);
  /** True after the server's data turned out to be others. */
  readonly replaced = new Store(false);

  private saved: Transcript = EMPTY;
  private saving: ReturnType<typeof setTimeout> | undefined;
  private closed = false;
  /** Ids of messages that were discarded, until the server was told. */
  private readonly unwanted = new Set<string>();
  private readonly outbox: Outbox;
  private readonly connection: StreamConnection;
  private readonly unwatch: () => void;
  private readonly saveNow = () => void this.save();
  private readonly onStorage = ({ key, oldValue, newValue }: StorageEvent) => {
    if (key === outboxOf(this.chat)) this.outbox.follow(oldValue, newValue);
  };

  constructor(readonly chat: Chat) {
    this.outbox = new Outbox({
      kept: kept(outboxOf(chat)),
      send: (message) => this.post(message),
      onChange: (messages) => this.unsent.set(messages),
      onHeld: (held) => this.held.set(held),
    });
    this.unsent.set(this.outbox.all);
    const said = first.get(chat.id);
    first.delete(chat.id);
    if (said) this.outbox.add(said);
    this.connection = new StreamConnection({
      url: `${location.origin}/chat/${chat.id}`,
      key: () => apiKey.get(),
      tokens: true,
      cursor: () => this.transcript.get().cursor,
      onFrames: (frames) => this.take(frames),
      onState: (state) => {
        this.state.set(state);
        if (state !== "live") return;
        this.outbox.flush();
        this.cancelUnwanted();
      },
      onFailure: ({ status, cause }) => {
        if (cause !== undefined) {
          // A fault of the page, to be seen as one.
          this.state.set("offline");
          throw cause;
        }
        if (status === 401) signInWanted.set(true);
        return true;
      },
      schedule: nextGrowth,
    });
    this.unwatch = apiKey.watch(() => {
      this.connection.wake();
      this.outbox.flush();
    });
    addEventListener("pagehide", this.saveNow);
    addEventListener("storage", this.onStorage);
    void this.open();
  }

  close(): void {
    void this.save();
    this.closed = true;
    this.connection.close();
    this.outbox.close();
    this.unwatch();
    removeEventListener("pagehide", this.saveNow);
    removeEventListener("storage", this.onStorage);
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
    this.unwanted.add(id);
    // It may have arrived although nothing said so, or arrive still.
    void this.outbox.discard(id).then(() => this.cancelUnwanted());
  }

  private cancelUnwanted(): void {
    for (const id of this.unwanted) {
      if (this.outbox.isSending(id)) continue;
      void this.cancel(id).then(
        () => this.unwanted.delete(id),
        () => {}, // Told when the stream is live again.
      );
    }
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
    const late = new Promise<Transcript>((resolve) => setTimeout(() => resolve(EMPTY), LOAD_MS));
    const there = await Promise.race([cache.load(this.chat.id).catch(() => EMPTY), late]);
    if (this.closed) return;
    this.saved = there;
    this.transcript.set(there);
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
      this.outbox.forgetAccepted();
    }
    const before = this.transcript.get();
    const after = apply(before, frames);
    this.transcript.set(after);
    if (after.seq === before.seq) return;
    this.dropArrived();
    if (this.held.get() === "full" && frames.some(({ type }) => type === "message_end")) this.outbox.flush();
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

  private heldBy({ status }: Refusal): Held | undefined {
    // A queue that lets nothing in is behind a run; without one it is another of the server's limits.
    if (status === 429) return this.transcript.get().runs.some(({ outcome }) => outcome === null) ? "full" : "busy";
    return status === 503 || status === 507 ? "busy" : undefined;
  }

  private post(message: Unsent): Promise<Sent> {
    const { id } = this.chat;
    const done = this.postOnce(message);
    posting.set(id, done);
    void done.then(() => posting.get(id) === done && posting.delete(id));
    return done;
  }

  private async postOnce({ id, text }: Unsent): Promise<Sent> {
    const keyed = id.startsWith(KEYED);
    try {
      await call("POST", `/chat/${this.chat.id}/messages`, {
        body: { message: text, ...(!keyed && { message_id: id }) },
        headers: keyed ? { "Idempotency-Key": id.slice(KEYED.length) } : {},
      });
      return { ok: true };
    } catch (error) {
      if (!(error instanceof Refusal) || error.passing || error.status === 401) {
        return { ok: false, ...(error instanceof Refusal && { held: this.heldBy(error), ...(error.retryAfter && { retryAfter: error.retryAfter }) }) };
      }
      return { ok: false, refused: error.message };
    }
  }
}
