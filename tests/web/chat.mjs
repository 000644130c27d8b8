// What the journeys of the chat page have in common.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { until } from "./world.mjs";

export const ENTER = "Enter";

export async function say(page, text) {
  await page.fill("#message", text);
  await page.press("#message", ENTER);
}

/** That what `read` returns gets to be `wanted`; the assertion's own words where it does not. */
export async function becomes(read, wanted, what) {
  let found;
  await until(async () => isDeepStrictEqual((found = await read()), wanted), what ?? "what is expected").catch(() => assert.deepEqual(found, wanted, what));
}
export const reads = (page, where, what) => until(async () => what.test(await page.innerText(where)), `${what} in ${where}`);
export const state = (page) => page.locator(".state").getAttribute("data-state");
export const inState = (page, wanted) => until(async () => (await state(page)) === wanted, `the state ${wanted}`);

/** The turns that are drawn: what was asked, and what stands below it. */
export const seen = (page) =>
  page.$$eval(".turn", (turns) =>
    turns.map((turn) => ({
      ask: turn.querySelector(".said")?.textContent ?? "",
      answer: (turn.querySelector(".md")?.textContent ?? "").trim().replace(/\s+/g, " "),
      ended: turn.querySelector(".reply > .turn-tools") !== null || turn.querySelector(".stopped, .notice") !== null,
    })),
  );
export const ended = (page, count) =>
  until(async () => (await seen(page)).filter((turn) => turn.ended).length >= count, `${count} messages to end`, 30_000);
export const answering = (page, least = 20) =>
  until(async () => ((await seen(page)).at(-1)?.answer.length ?? 0) >= least, "some text of an answer");
/** In a page: how many runs its browser keeps. */
export const keptRuns = () =>
  new Promise((resolve) => {
    const opening = indexedDB.open("parlance", 1);
    opening.onsuccess = () => {
      const counting = opening.result.transaction("runs").objectStore("runs").count();
      counting.onsuccess = () => {
        opening.result.close();
        resolve(counting.result);
      };
    };
  });
export const chatId = (page) => /#\/c\/(.+)$/.exec(page.url())?.[1];

/** That a page shows what the log has, each message once and in order. */
export async function isWholeIn(world, page) {
  const history = await world.call("GET", `/history/${chatId(page)}`);
  const asked = history.filter((entry) => entry.role === "user").map((entry) => entry.content);
  const answers = history.filter((entry) => /^(Final|Partial)AnswerStep$/.test(entry.step_type ?? "")).map((entry) => entry.content.trim().replace(/\s+/g, " "));
  await until(async () => (await seen(page)).length === asked.length, "every message of the log");
  const turns = await seen(page);
  assert.deepEqual(turns.map((turn) => turn.ask), asked);
  assert.deepEqual(turns.map((turn) => turn.answer).filter(Boolean), answers);
  return turns;
}

/** Makes tests of `world()`. Each is a page of a browser of its own, looked at by `walk`; nothing may have been complained about. */
export const journeysOf = (world) => (what, walk, options) =>
  test(what, { timeout: 120_000 }, async () => {
    const page = await world().page(options);
    try {
      await page.waitForSelector("#message");
      await walk(page, page.context());
      assert.deepEqual(page.context().complaints, []);
    } catch (error) {
      if (process.env.PARLANCE_WEB_SHOTS) await page.screenshot({ path: join(process.env.PARLANCE_WEB_SHOTS, `${what.replace(/\W+/g, "_")}.png`) }).catch(() => {});
      throw error;
    } finally {
      world().door.unlock();
      world().door.webSockets = true;
      await page.context().close();
    }
  });
