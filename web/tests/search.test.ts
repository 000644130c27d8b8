import { expect, test } from "vitest";
import { excerptOf, folded } from "../src/chat/search";

test("case and accents make no difference", () => {
  expect(excerptOf("At the Café", folded("CAFE"))).toEqual({ before: "At the ", match: "Café", after: "" });
  expect(excerptOf("مَرْحَبًا بك", folded("مرحبا"))?.after).toBe(" بك");
});

test("what is not there is not found", () => {
  expect(excerptOf("At the café", folded("tea"))).toBeUndefined();
  expect(excerptOf("At the café", "")).toBeUndefined();
});

test("letters that fold to several move nothing", () => {
  expect(excerptOf("ﬃ ½ 😀 the end", folded("end"))?.match).toBe("end");
});

test("an excerpt of a long text begins with a word and is short", () => {
  const found = excerptOf(`${"many words ".repeat(50)}needle ${"and more ".repeat(50)}`, "needle")!;
  expect(found.before).toBe("…many words ");
  expect(found.after.length).toBe(60);
});
