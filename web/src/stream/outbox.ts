// Messages of one chat that are not known to be in the server's log yet. They outlive a reload where
// the browser keeps what it is given, and are sent again until the log has them; since their ids stay
// the same, each runs once.

export interface Unsent {
  id: string;
  text: string;
  at: number;
  /** Why the server will not take it; it waits for its writer then. */
  refused?: string;
}

/** Why the server takes nothing for now: the chat's queue is full, or it is busy otherwise. */
export type Held = "full" | "busy";

export interface Sent {
  ok: boolean;
  /** The server's sentence, where trying again changes nothing. */
  refused?: string;
  /** Absent where it was not reached. */
  held?: Held | undefined;
  retryAfter?: number;
}

export interface OutboxOptions {
  /** What this browser keeps of it, shared by all tabs; it may keep nothing. Throws never. */
  kept: { get(): string | null; set(value: string | null): void };
  send: (message: Unsent) => Promise<Sent>;
  onChange: (messages: readonly Unsent[]) => void;
  /** Of the last try, until the next one ends. */
  onHeld?: (held: Held | undefined) => void;
}

const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 8_000;

export class Outbox {
  /** What is here counts; what is kept only adds to it. */
  private messages: readonly Unsent[];
  private sending: { id: string; done: Promise<unknown> } | undefined;
  private working = false;
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private closed = false;
  private readonly accepted = new Set<string>();
  private readonly dropped = new Set<string>();

  constructor(private readonly options: OutboxOptions) {
    this.messages = read(options.kept.get());
  }

  get all(): readonly Unsent[] {
    return this.messages;
  }

  add(message: Unsent): void {
    this.change((all) => [...all, message]);
    // One that follows a message which is to be tried later does not hurry it.
    if (this.timer === undefined) this.flush();
  }

  /** The log has these, or nobody wants them any more. */
  drop(ids: ReadonlySet<string> | readonly string[]): void {
    const gone = new Set(ids);
    for (const id of gone) this.dropped.add(id);
    if (!this.messages.some((each) => gone.has(each.id))) return;
    this.change((all) => all.filter((each) => !gone.has(each.id)));
  }

  /** Drops one that nobody wants; resolves when no request with it is under way any more. */
  async discard(id: string): Promise<void> {
    this.drop([id]);
    if (this.sending?.id === id) await this.sending.done.catch(() => {});
  }

  isSending(id: string): boolean {
    return this.sending?.id === id;
  }

  /** Another tab changed what is kept: what it took out is out here, too. */
  follow(before: string | null, after: string | null): void {
    const left = new Set(read(after).map(({ id }) => id));
    this.drop(read(before).flatMap(({ id }) => (left.has(id) ? [] : [id])));
  }

  retry(id: string): void {
    this.change((all) => all.map(({ refused, ...each }) => (each.id === id || !refused ? each : { ...each, refused })));
    this.flush();
  }

  /** The log is another one: what the one before had accepted is to be sent again. */
  forgetAccepted(): void {
    this.accepted.clear();
  }

  /** Sends now what is there to send. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    void this.work();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }

  /** In order, one at a time: the log has them in the order in which they were written. */
  private async work(): Promise<void> {
    if (this.working || this.closed) return;
    this.working = true;
    try {
      for (;;) {
        const next = this.messages.find((each) => !each.refused && !this.accepted.has(each.id));
        if (!next) this.options.onHeld?.(undefined);
        if (!next || this.closed) return;
        const done = this.options.send(next);
        this.sending = { id: next.id, done };
        const sent = await done;
        this.sending = undefined;
        if (this.closed) return;
        this.options.onHeld?.(sent.held);
        if (sent.ok) {
          this.failures = 0;
          this.accepted.add(next.id);
        } else if (sent.refused !== undefined) {
          const refused = sent.refused;
          this.change((all) => all.map((each) => (each.id === next.id ? { ...each, refused } : each)));
        } else {
          const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.failures++) + (sent.retryAfter ?? 0);
          this.timer = setTimeout(() => this.flush(), wait);
          return;
        }
      }
    } finally {
      this.working = false;
    }
  }

  private change(changed: (all: readonly Unsent[]) => readonly Unsent[]): void {
    const known = new Set(this.messages.map(({ id }) => id));
    const others = read(this.options.kept.get()).filter(({ id }) => !known.has(id) && !this.dropped.has(id));
    this.messages = changed([...this.messages, ...others]);
    this.options.kept.set(this.messages.length > 0 ? JSON.stringify(this.messages) : null);
    this.options.onChange(this.messages);
  }
}

function read(text: string | null): Unsent[] {
  try {
    const kept = JSON.parse(text ?? "[]");
    return Array.isArray(kept) ? kept : [];
  } catch {
    return [];
  }
}
