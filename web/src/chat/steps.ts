// What the texts of steps say: tools with their arguments and results, and passages that were found.
import type { Run, Step } from "../stream";

export interface ToolUse {
  name: string;
  /** JSON as the model wrote it. */
  args: string;
  result: string | null;
  failed: boolean;
  /** From the plan to the results, in milliseconds. */
  took: number | null;
}

/** What is shown of one step; of a plan with tools, these are the action that follows. */
export interface Activity {
  key: string;
  type: string;
  /** Words that are no tool's. */
  text: string;
  tools: ToolUse[];
}

export interface FoundSource {
  name: string;
  from: number;
  to: number;
}

const CALL = /^Calling (\S+) with /;

/** "Calling NAME with ARGUMENTS", one after the other, after what the model said. */
function readPlan(text: string): { text: string; calls: Array<{ name: string; args: string }> } {
  const calls: Array<{ name: string; args: string }> = [];
  const words: string[] = [];
  for (const line of text.split("\n")) {
    const call = CALL.exec(line);
    if (call) calls.push({ name: call[1]!, args: line.slice(call[0].length) });
    else if (calls.length > 0) calls[calls.length - 1]!.args += `\n${line}`;
    else words.push(line);
  }
  return { text: words.join("\n").trim(), calls };
}

/** "NAME: output" or "NAME failed: output", in the order in which the tools ended. */
function readResults(text: string, names: ReadonlySet<string>): Array<{ name: string; failed: boolean; output: string }> {
  const results: Array<{ name: string; failed: boolean; output: string }> = [];
  for (const line of text.split("\n")) {
    const start = /^(\S+?)( failed)?: /.exec(line);
    if (start && names.has(start[1]!)) {
      results.push({ name: start[1]!, failed: start[2] !== undefined, output: line.slice(start[0].length) });
    } else if (results.length > 0) {
      results[results.length - 1]!.output += `\n${line}`;
    }
  }
  return results;
}

/** The steps before the answer, each tool with its result. */
export function activitiesOf(run: Run): Activity[] {
  const out: Activity[] = [];
  let planned: { tools: ToolUse[]; at: number } | null = null;
  for (const step of run.steps) {
    if (step.type === "FinalAnswerStep" || step.type === "PartialAnswerStep") continue;
    if (step.type === "PlanningStep") {
      const { text, calls } = readPlan(step.text);
      const tools = calls.map((call) => ({ ...call, result: null, failed: false, took: null }));
      if (text !== "") out.push({ key: `${step.seq}`, type: step.type, text, tools: [] });
      if (tools.length > 0) out.push({ key: `${step.seq} tools`, type: "ActionStep", text: "", tools });
      planned = { tools, at: step.at };
      continue;
    }
    if (step.type === "ActionStep" && planned && giveResults(step, planned)) continue;
    out.push({ key: `${step.seq}`, type: step.type, text: step.text, tools: [] });
  }
  return out;
}

function giveResults(step: Step, { tools, at }: { tools: ToolUse[]; at: number }): boolean {
  const results = readResults(step.text, new Set(tools.map((tool) => tool.name)));
  for (const { name, failed, output } of results) {
    const tool = tools.find((each) => each.name === name && each.result === null);
    if (tool) Object.assign(tool, { result: output, failed, took: step.at - at });
  }
  return results.length > 0;
}

/** "TOOL found N passages: NAME [FROM-TO], ..."; null where nothing was searched. */
export function sourcesOf(run: Run): FoundSource[] | null {
  for (const step of run.steps) {
    const found = step.type === "ActionStep" ? /^\S+ found \d+ passages:? ?/.exec(step.text) : null;
    if (!found) continue;
    const rest = step.text.slice(found[0].length);
    return [...rest.matchAll(/(.+?) \[(\d+)-(\d+)\](?:, |$)/g)].map((each) => ({ name: each[1]!, from: Number(each[2]), to: Number(each[3]) }));
  }
  return null;
}

/** Whether a run was taken out of the queue: it ended before one that had its turn earlier did. */
export function neverRan(run: Run, runs: readonly Run[]): boolean {
  return (
    run.outcome === "cancelled" && run.steps.length === 0 &&
    runs.some((other) => other.seq < run.seq && (other.outcome === null || other.lastSeq > run.lastSeq))
  );
}

/** From the message, or from when its turn came, to its newest step. */
export function tookOf(run: Run, before: Run | undefined): number | null {
  const last = run.steps.at(-1);
  if (!last || run.outcome === null) return null;
  return last.at - Math.max(run.at, before?.steps.at(-1)?.at ?? 0);
}

/** JSON with line breaks, or the text as it is. */
export function pretty(json: string): string {
  try {
    const value = JSON.parse(json);
    return typeof value === "object" && value !== null ? JSON.stringify(value, null, 2) : json;
  } catch {
    return json;
  }
}
