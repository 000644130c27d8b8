import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Frame } from "../src/stream/frames";
import { answerOf, apply, EMPTY, phaseOf, restored, type Transcript } from "../src/stream/transcript";

const EPOCH = "1093";
const time = (seq: number) => new Date(1_700_000_000_000 + seq * 250).toISOString();

/** Everything that a server tells of one chat, in order: recorded events and what passes between them. */
type Plan = Array<{ texts: string[]; plan: boolean; end: "completed" | "cancelled" | "failed" | "none"; restart: boolean }>;

const plans: fc.Arbitrary<Plan> = fc.array(
  fc.record({
    texts: fc.array(fc.string({ maxLength: 4 }), { maxLength: 6 }),
    plan: fc.boolean(),
    end: fc.constantFrom("completed", "cancelled", "failed", "none"),
    restart: fc.boolean(),
  }),
  { minLength: 1, maxLength: 6 },
);

function framesOf(plan: Plan): Frame[] {
  const out: Frame[] = [];
  let seq = 0;
  const place = () => ({ seq: ++seq, cursor: `${EPOCH}-${seq}` });
  // All are queued at once and then run one after the other, so that runs and messages interleave.
  plan.forEach((_, i) => {
    const at = place();
    out.push({ type: "client_message", chat_id: "c", message: `ask ${i}`, message_id: `m${i}`, timestamp: time(seq), ...at });
    if (i % 2) ++seq; // An event that is not shown.
  });
  for (const [i, { texts, plan: planned, end, restart }] of plan.entries()) {
    const id = `m${i}`;
    const step = (step_type: string, message: string) => {
      const at = place();
      out.push({ type: "agent_step", chat_id: "c", step_type, message, message_id: id, timestamp: time(seq), ...at });
    };
    if (planned) {
      step("PlanningStep", "Calling calculator with {}");
      step("ActionStep", "calculator: 4");
    }
    for (const delta of texts) out.push({ type: "agent_delta", chat_id: "c", message_id: id, delta });
    if (restart) {
      out.push({ type: "agent_reset", chat_id: "c", message_id: id });
      for (const delta of texts) out.push({ type: "agent_delta", chat_id: "c", message_id: id, delta });
    }
    if (end === "none") break;
    if (end === "completed") step("FinalAnswerStep", texts.join("") || "x");
    if (end === "failed") out.push({ type: "agent_error", chat_id: "c", error: "the model is away", message_id: id, ...place() });
    else out.push({ type: "message_end", chat_id: "c", status: end, message_id: id, ...place() });
  }
  return out;
}

/** A server that has told `frames` up to `at`: what it says to one who attaches after `cursor`. */
function attach(frames: Frame[], at: number, cursor: string): Frame[] {
  const after = Number(cursor.split("-")[1]);
  const told = frames.slice(0, at);
  const missed = told.filter((frame) => "seq" in frame && frame.seq !== undefined && frame.seq > after);
  const live = told.reduce<{ id: string; text: string } | null>((now, frame) => {
    if (frame.type === "agent_delta") return { id: frame.message_id, text: (now?.text ?? "") + frame.delta };
    if (frame.type === "agent_reset" || frame.type === "agent_step" || frame.type === "message_end" || frame.type === "agent_error") return null;
    return now;
  }, null);
  return [
    { type: "resumed", from: cursor, to: `${EPOCH}-${after}` },
    ...missed,
    ...(live?.text ? [{ type: "agent_snapshot", chat_id: "c", message_id: live.id, text: live.text } as Frame] : []),
  ];
}

/** What people see of it. */
function seen(transcript: Transcript) {
  return transcript.runs.map((run) => ({
    id: run.id,
    text: run.text,
    at: run.at,
    steps: run.steps,
    answer: answerOf(run) || null,
    phase: phaseOf(run, transcript),
    error: run.error,
  }));
}

/** Copies as a cache would: the transcript as it was written, with runs that another tab wrote later. */
function throughCache(transcript: Transcript, newer: Transcript): Transcript {
  const runs = transcript.runs.map((run) => newer.runs.find((each) => each.id === run.id) ?? run);
  return restored(transcript.cursor, transcript.seq, structuredClone(runs));
}

describe("a transcript", () => {
  test("is the same however the stream was cut, resumed, batched and told twice", () => {
    fc.assert(
      fc.property(
        plans,
        fc.array(fc.record({ length: fc.nat(12), again: fc.nat(6), cut: fc.boolean(), cached: fc.boolean() }), { maxLength: 30 }),
        (plan, moves) => {
          const frames = framesOf(plan);
          const whole = apply(EMPTY, attach([], 0, "0-0").concat(frames));
          let at = 0;
          let transcript = apply(EMPTY, attach(frames, 0, EMPTY.cursor));
          for (const { length, again, cut, cached } of moves) {
            const next = Math.min(frames.length, at + length);
            transcript = apply(transcript, frames.slice(at, next));
            at = next;
            const repeated = frames.slice(Math.max(0, at - again), at).filter((frame) => "seq" in frame);
            transcript = apply(transcript, repeated);
            if (!cut) continue;
            if (cached) transcript = throughCache(transcript, transcript);
            // The server goes on while nobody listens.
            at = Math.min(frames.length, at + again);
            transcript = apply(transcript, attach(frames, at, transcript.cursor));
          }
          transcript = apply(transcript, frames.slice(at));
          expect(seen(transcript)).toEqual(seen(whole));
          expect(transcript.cursor).toBe(whole.cursor);
        },
      ),
      { numRuns: 1500 },
    );
  });

  test("kept by two tabs at different places comes out the same", () => {
    fc.assert(
      fc.property(plans, fc.nat(60), fc.nat(60), (plan, early, late) => {
        const frames = framesOf(plan);
        const whole = apply(EMPTY, frames);
        const first = apply(EMPTY, frames.slice(0, Math.min(early, late)));
        const second = apply(EMPTY, frames.slice(0, Math.max(early, late)));
        const transcript = throughCache(first, second);
        const end = apply(transcript, attach(frames, frames.length, transcript.cursor));
        expect(seen(end)).toEqual(seen(whole));
      }),
    );
  });

  test("is empty after a gap, and reads the new log from its beginning", () => {
    const old = apply(EMPTY, framesOf([{ texts: ["a"], plan: true, end: "completed", restart: false }]));
    const fresh = apply(old, [
      { type: "gap", history: [] },
      { type: "client_message", chat_id: "c", message: "new", message_id: "n", seq: 1, cursor: "7-1", timestamp: time(1) },
    ]);
    expect(fresh.runs.map((run) => run.text)).toEqual(["new"]);
    expect(fresh.cursor).toBe("7-1");
  });

  test("keeps runs that did not change as the same objects", () => {
    const frames = framesOf([
      { texts: ["a"], plan: false, end: "completed", restart: false },
      { texts: ["b", "c"], plan: false, end: "completed", restart: false },
    ]);
    const before = apply(EMPTY, frames.slice(0, -2));
    const after = apply(before, frames.slice(-2));
    expect(after.runs[0]).toBe(before.runs[0]);
    expect(after.runs[1]).not.toBe(before.runs[1]);
  });

  test("says that a message waits while another runs", () => {
    const at = { timestamp: time(1) };
    const both = apply(EMPTY, [
      { type: "client_message", chat_id: "c", message: "one", message_id: "a", seq: 1, cursor: "1-1", ...at },
      { type: "client_message", chat_id: "c", message: "two", message_id: "b", seq: 2, cursor: "1-2", ...at },
    ]);
    expect(both.runs.map((run) => phaseOf(run, both))).toEqual(["running", "waiting"]);
  });

  test("shows why a run is stalled, and forgets it when the run ends", () => {
    const stalled = apply(EMPTY, [
      { type: "client_message", chat_id: "c", message: "one", message_id: "a", seq: 1, cursor: "1-1", timestamp: time(1) },
      { type: "agent_error", chat_id: "c", error: "the disk is full", message_id: "a" },
    ]);
    expect(stalled.runs[0]).toMatchObject({ outcome: null, error: "the disk is full" });
    const ended = apply(stalled, [{ type: "message_end", chat_id: "c", status: "completed", message_id: "a", seq: 2, cursor: "1-2" }]);
    expect(ended.runs[0]).toMatchObject({ outcome: "completed", error: null });
  });
});
