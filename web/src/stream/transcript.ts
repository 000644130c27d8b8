// What a chat looks like after some frames. Pure: the same recorded events give the same transcript,
// however often the connection was cut and whatever was told twice.

import { type Frame, FROM_START, type Usage } from "./frames";

export interface Step {
  seq: number;
  type: string;
  text: string;
  /** Milliseconds since 1970. */
  at: number;
}

export type Outcome = "completed" | "cancelled" | "failed";

/** One message of the user with everything that came of it. */
export interface Run {
  id: string;
  /** Of the message itself; runs are in this order. */
  seq: number;
  /** Of the newest event that is in here. */
  lastSeq: number;
  text: string;
  at: number;
  steps: readonly Step[];
  /** The answer while it is written; null when there is nothing to show. */
  live: string | null;
  /** The connection was lost since `live` was told: what comes next replaces it. */
  stale: boolean;
  /** Null while it waits or runs. */
  outcome: Outcome | null;
  error: string | null;
  usage: Usage | null;
}

export interface Transcript {
  /** Where to go on from. */
  cursor: string;
  seq: number;
  runs: readonly Run[];
  /** Place of a run in `runs` by its id. */
  index: ReadonlyMap<string, number>;
}

export const EMPTY: Transcript = { cursor: FROM_START, seq: 0, runs: [], index: new Map() };

/** The transcript after `frames`. Runs that did not change stay the same objects. */
export function apply(transcript: Transcript, frames: readonly Frame[]): Transcript {
  const draft = new Draft(transcript);
  for (const frame of frames) draft.take(frame);
  return draft.done();
}

/** A transcript of runs that were kept; `cursor` is at or before the newest event of all of them. */
export function restored(cursor: string, seq: number, runs: readonly Run[]): Transcript {
  const ordered = [...runs].sort((a, b) => a.seq - b.seq);
  return { cursor, seq, runs: ordered, index: new Map(ordered.map((run, place) => [run.id, place])) };
}

class Draft {
  private runs: Run[] | undefined;
  private index: Map<string, number> | undefined;
  private now: Transcript;

  constructor(before: Transcript) {
    this.now = before;
  }

  done(): Transcript {
    return this.now;
  }

  take(frame: Frame): void {
    switch (frame.type) {
      case "resumed":
        this.now.runs.forEach((run, place) => run.live !== null && !run.stale && this.set(place, { ...run, stale: true }));
        return;
      case "gap":
        this.now = EMPTY;
        this.runs = this.index = undefined;
        return;
      case "client_message":
        return this.recorded(frame.seq, frame.cursor, () => this.begin(frame));
      case "agent_step":
        return this.recorded(frame.seq, frame.cursor, () =>
          this.change(frame.message_id, frame.seq, (run) => ({
            ...run,
            steps: [...run.steps, { seq: frame.seq, type: frame.step_type, text: frame.message, at: Date.parse(frame.timestamp) }],
          })),
        );
      case "message_end":
        return this.recorded(frame.seq, frame.cursor, () =>
          this.change(frame.message_id, frame.seq, (run) => ({ ...run, outcome: frame.status, error: null, usage: frame.usage ?? null })),
        );
      case "agent_error":
        return this.failed(frame);
      case "agent_delta":
        return this.show(frame.message_id, (run) => (run.stale ? "" : (run.live ?? "")) + frame.delta);
      case "agent_snapshot":
        return this.show(frame.message_id, () => frame.text);
      case "agent_reset":
        return this.show(frame.message_id, () => "");
    }
  }

  private recorded(seq: number, cursor: string, take: () => void): void {
    if (seq <= this.now.seq) return; // Told again.
    take();
    this.now = { ...this.now, seq, cursor };
  }

  private begin(frame: Extract<Frame, { type: "client_message" }>): void {
    if (this.now.index.has(frame.message_id)) return;
    if (!this.index) this.index = new Map(this.now.index);
    if (!this.runs) this.runs = [...this.now.runs];
    this.index.set(frame.message_id, this.runs.length);
    this.runs.push({
      id: frame.message_id,
      seq: frame.seq,
      lastSeq: frame.seq,
      text: frame.message,
      at: Date.parse(frame.timestamp),
      steps: [],
      live: null,
      stale: false,
      outcome: null,
      error: null,
      usage: null,
    });
    this.now = { ...this.now, runs: this.runs, index: this.index };
  }

  private failed(frame: Extract<Frame, { type: "agent_error" }>): void {
    const { seq, cursor, message_id: id, error } = frame;
    if (seq === undefined || cursor === undefined) {
      // A run that cannot go on for now; it stays unfinished. Refusals of unknown messages are not ours.
      const place = id === undefined ? undefined : this.now.index.get(id);
      const run = place === undefined ? undefined : this.now.runs[place];
      if (run && run.outcome === null) this.set(place!, { ...run, error });
      return;
    }
    this.recorded(seq, cursor, () => id !== undefined && this.change(id, seq, (run) => ({ ...run, outcome: "failed", error })));
  }

  private change(id: string, seq: number, changed: (run: Run) => Run): void {
    const place = this.now.index.get(id);
    const run = place === undefined ? undefined : this.now.runs[place];
    if (!run || seq <= run.lastSeq) return;
    this.set(place!, { ...changed(run), lastSeq: seq, live: null, stale: false });
  }

  private show(id: string, text: (run: Run) => string): void {
    const place = this.now.index.get(id);
    const run = place === undefined ? undefined : this.now.runs[place];
    if (!run || run.outcome !== null) return;
    this.set(place!, { ...run, live: text(run), stale: false });
  }

  private set(place: number, run: Run): void {
    if (!this.runs) this.runs = [...this.now.runs];
    this.runs[place] = run;
    if (this.now.runs !== this.runs) this.now = { ...this.now, runs: this.runs };
  }
}

export type Phase = "waiting" | "running" | Outcome;

/** Whether a run waits for others, runs, or how it ended. */
export function phaseOf(run: Run, transcript: Transcript): Phase {
  if (run.outcome !== null) return run.outcome;
  if (run.steps.length > 0 || run.live !== null) return "running";
  for (let place = transcript.runs.length - 1; place >= 0; --place) {
    const other = transcript.runs[place]!;
    if (other.seq < run.seq && other.outcome === null) return "waiting";
  }
  return "running";
}

/** What is shown as the answer: the final one, what there is of one that did not end, or what is being written. */
export function answerOf(run: Run): string | null {
  for (let i = run.steps.length - 1; i >= 0; --i) {
    const step = run.steps[i]!;
    if (step.type === "FinalAnswerStep" || step.type === "PartialAnswerStep") return step.text;
  }
  return run.live;
}
