import { expect, test } from "vitest";
import { activitiesOf, neverRan, sourcesOf } from "../src/chat/steps";
import type { Run } from "../src/stream/transcript";

function run(...steps: Array<[type: string, text: string]>): Run {
  return {
    id: "m", seq: 1, lastSeq: 9, text: "ask", at: 1000, live: null, stale: false, outcome: "completed", error: null, usage: null,
    steps: steps.map(([type, text], i) => ({ seq: i + 2, type, text, at: 1000 + i * 100 })),
  };
}

test("each tool gets its arguments, its result and its time, whoever ended first", () => {
  const [plan, action, ...rest] = activitiesOf(
    run(
      ["PlanningStep", 'Let me see.\nCalling calculator with {"expression":\n"1+1"}\nCalling calculator with {"expression":"x"}\nCalling current_time with {}'],
      ["ActionStep", "current_time: noon\ncalculator: 2\nand more\ncalculator failed: no such variable"],
      ["FinalAnswerStep", "2"],
    ),
  );
  expect(rest).toEqual([]);
  expect(plan).toMatchObject({ type: "PlanningStep", text: "Let me see.", tools: [] });
  expect(action).toMatchObject({
    type: "ActionStep",
    tools: [
      { name: "calculator", args: '{"expression":\n"1+1"}', result: "2\nand more", failed: false, took: 100 },
      { name: "calculator", args: '{"expression":"x"}', result: "no such variable", failed: true },
      { name: "current_time", args: "{}", result: "noon" },
    ],
  });
});

test("a message was taken out of the queue if one before it still ran, and stopped if none did", () => {
  const first: Run = { ...run(), id: "1", seq: 1, lastSeq: 9 };
  const taken: Run = { ...run(), id: "2", seq: 2, lastSeq: 7, outcome: "cancelled" };
  const stopped: Run = { ...run(), id: "3", seq: 3, lastSeq: 12, outcome: "cancelled" };
  const all = [first, taken, stopped];
  expect(all.map((each) => neverRan(each, all))).toEqual([false, true, false]);
  expect(neverRan(taken, [{ ...first, outcome: null, lastSeq: 1 }, taken])).toBe(true);
});

test("passages that were found are told by name and place", () => {
  const found = run(["ActionStep", "document_tool found 2 passages: moon, and stars.txt [0-43], القمر.txt [7-9]"]);
  expect(sourcesOf(found)).toEqual([
    { name: "moon, and stars.txt", from: 0, to: 43 },
    { name: "القمر.txt", from: 7, to: 9 },
  ]);
  expect(sourcesOf(run(["ActionStep", "document_tool found 0 passages"]))).toEqual([]);
  expect(sourcesOf(run(["ActionStep", "calculator: 4"]))).toBeNull();
});
