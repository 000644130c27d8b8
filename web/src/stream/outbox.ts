// Messages of one chat that are not known to be in the server's log yet. They outlive a reload, and
// are sent again until the log has them; since their ids stay the same, each runs once.

export interface Unsent {
  id: string;
  text: string;
  at: number;
  /** Why the server will not take it; it waits for its writer then. */
  refused?: string;
}

export interface Sent {
  ok: boolean;
  /** The server's sentence, where trying again changes nothing. */
  refused?: string;
  retryAfter?: number;
}

export interface OutboxOptions {
  /** Where it is kept: like localStorage. */
  storage: Pick<Storage, "getItem" | "setItem" | "removeItem">;
  name: string;
  send: (message: Unsent) => Promise<Sent>;
  onChange: (messages: readonly Unsent[]) => void;
}

const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 8_000;

export class Outbox {
  private messages: readonly Unsent[];
  private sending = false;
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private closed = false;
  private readonly accepted = new Set<string>();

  constructor(private readonly options: OutboxOptions) {
    this.messages = read(options);
  }

  get all(): readonly Unsent[] {
    return this.messages;
  }

  add(message: Unsent): void {
    this.keep([...read(this.options), message]);
    this.flush();
  }

  /** The log has these, or nobody wants them any more. */
  drop(ids: ReadonlySet<string> | readonly string[]): void {
    const gone = new Set(ids);
    if (!this.messages.some((each) => gone.has(each.id))) return;
    this.keep(read(this.options).filter((each) => !gone.has(each.id)));
  }

  retry(id: string): void {
    this.keep(read(this.options).map(({ refused, ...each }) => (each.id === id || !refused ? each : { ...each, refused })));
    this.flush();
  }

  /** Sends now what is there to send. */
  flush(): void {
    clearTimeout(this.timer);
    void this.work();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }

  /** In order, one at a time: the log has them in the order in which they were written. */
  private async work(): Promise<void> {
    if (this.sending || this.closed) return;
    this.sending = true;
    try {
      for (;;) {
        const next = this.messages.find((each) => !each.refused && !this.accepted.has(each.id));
        if (!next || this.closed) return;
        const sent = await this.options.send(next);
        if (this.closed) return;
        if (sent.ok) {
          this.failures = 0;
          this.accepted.add(next.id);
        } else if (sent.refused !== undefined) {
          const refused = sent.refused;
          this.keep(read(this.options).map((each) => (each.id === next.id ? { ...each, refused } : each)));
        } else {
          const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.failures++) + (sent.retryAfter ?? 0);
          this.timer = setTimeout(() => this.flush(), wait);
          return;
        }
      }
    } finally {
      this.sending = false;
    }
  }

  private keep(messages: readonly Unsent[]): void {
    this.messages = messages;
    if (messages.length > 0) this.options.storage.setItem(this.options.name, JSON.stringify(messages));
    else this.options.storage.removeItem(this.options.name);
    this.options.onChange(messages);
  }
}

/** Puts a message where the next outbox of that name finds it. */
export function leave(kept: Pick<OutboxOptions, "storage" | "name">, message: Unsent): void {
  kept.storage.setItem(kept.name, JSON.stringify([...read(kept), message]));
}

function read({ storage, name }: Pick<OutboxOptions, "storage" | "name">): Unsent[] {
  try {
    const kept = JSON.parse(storage.getItem(name) ?? "[]");
    return Array.isArray(kept) ? kept : [];
  } catch {
    return [];
  }
}
