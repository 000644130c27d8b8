// What hands do to the chat page: keys, focus, dialogs and the microphone, in a real browser.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { answering, chatId, ended, inState, journeysOf, say, seen } from "./chat.mjs";
import { until, World } from "./world.mjs";

const PHONE = { viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true };
const focused = (page) => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.tagName);
const isFocused = (page, label) => until(async () => (await focused(page)) === label, `the focus on ${label}`);

describe("keys, focus and dialogs of the chat page", { concurrency: false }, () => {
  let world;
  before(async () => {
    world = await World.start({ upstream: ["--token-ms", "20", "--first-token-ms", "30", "--tokens", "100"] });
    await world.script([
      { when: "endless", tokens: 100_000, token_ms: 20 },
      { when: "quick", text: "A quick answer.", token_ms: 0 },
    ]);
  });
  after(() => world?.end());

  const journey = journeysOf(() => world);
  const runs = (page) => page.locator(".round.stop").count();

  journey("Escape ends one thing: the search, then the answer, then writing", async (page) => {
    await say(page, "an endless story");
    await answering(page);
    await page.keyboard.press("Control+KeyK");
    await isFocused(page, "Search chats");
    await page.keyboard.type("rivers");
    await page.keyboard.press("Escape");
    await until(async () => (await page.inputValue("[type=search]")) === "", "an empty search box");
    await page.keyboard.press("Escape");
    await isFocused(page, "Message");
    await page.evaluate(() =>
      document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", isComposing: true, bubbles: true, cancelable: true })));
    await page.press("#message", "Shift+Enter");
    assert.equal(await runs(page), 1, "nothing has stopped the answer");
    await page.fill("#message", "");
    await page.keyboard.press("Escape");
    await ended(page, 1);
    await isFocused(page, "Message");
    await page.keyboard.press("Escape");
    await isFocused(page, "BODY");
    await page.keyboard.press("?");
    await page.waitForSelector("dialog[open] .shortcuts");
    await page.keyboard.press("Escape");
    await page.waitForSelector("dialog", { state: "detached" });
  });

  journey("on a phone Escape closes the list of chats, and the answer goes on", async (page) => {
    await say(page, "an endless story");
    await answering(page);
    await page.click("[aria-label='Open the list of chats']");
    await page.keyboard.press("Escape");
    await page.waitForSelector(".menu-open", { state: "detached" });
    assert.equal(await runs(page), 1);
    await page.keyboard.press("Escape");
    await ended(page, 1);
  }, PHONE);

  journey("a letter that is written with AltGr starts no chat", async (page) => {
    await say(page, "quick, hello");
    await ended(page, 1);
    const press = (altGraph) =>
      page.evaluate((modifierAltGraph) =>
        document.activeElement.dispatchEvent(
          new KeyboardEvent("keydown", { key: "n", code: "KeyN", ctrlKey: true, altKey: true, modifierAltGraph, bubbles: true, cancelable: true })), altGraph);
    assert.equal(await press(true), true, "the letter is not taken away");
    assert.ok(chatId(page));
    await press(false);
    await until(async () => !chatId(page), "the new chat");
  });
});
