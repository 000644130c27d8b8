// Answers in the chat page: what one can do with them, also while they grow.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe } from "node:test";
import { answering, ended, journeysOf, say } from "./chat.mjs";
import { axePath, until, World } from "./world.mjs";

const WIDE = `A [link](https://example.org/there).

5. five
6. six

\`\`\`python
print("${"wide ".repeat(60)}")
\`\`\`

| ${"a column | ".repeat(30)}
|${"---|".repeat(30)}
| ${"some text | ".repeat(30)}

- هذه نقطة بالعربية
- and one in English
`;
const LINES = Array.from({ length: 400 }, (_, i) => `line_${i} = "${"long ".repeat(40)}"`).join("\n");

describe("answers in the chat page", { concurrency: false }, () => {
  let world;
  before(async () => {
    world = await World.start();
    await world.script([
      { when: "wide", text: WIDE, token_ms: 0 },
      { when: "code", text: `\`\`\`python\n${LINES}\n\`\`\``, token_ms: 5 },
      { when: "endless", tokens: 100_000, token_ms: 15 },
      { text: "A quick answer.", token_ms: 0 },
    ]);
  });
  after(() => world?.end());
  const journey = journeysOf(() => world);
  const fromEnd = (page) => page.locator(".scroller").first().evaluate((each) => each.scrollHeight - each.clientHeight - each.scrollTop);

  journey("code is copied, links open beside the chat, and what is wide is reached by keyboard", async (page, context) => {
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await say(page, "something wide");
    await ended(page, 1);
    await page.locator("[data-copy=code]").click();
    await until(async () => /^print\("wide/.test(await page.evaluate(() => navigator.clipboard.readText())), "the code in the clipboard");
    const found = await page.locator(".md").first().evaluate((md) => ({
      link: [md.querySelector("a").target, md.querySelector("a").rel],
      start: md.querySelector("ol").start,
      code: [md.querySelector(".code").dir, md.querySelector("pre").tabIndex],
      table: md.querySelector(".table").tabIndex,
      points: [...md.querySelectorAll("ul li")].map((each) => getComputedStyle(each).direction),
    }));
    assert.deepEqual(found, {
      link: ["_blank", "noopener noreferrer nofollow"], start: 5, code: ["ltr", 0], table: 0, points: ["rtl", "ltr"],
    });
    await page.evaluate(await readFile(axePath(), "utf8"));
    const { violations } = await page.evaluate(() => window.axe.run(document.querySelector(".md"), { resultTypes: ["violations"] }));
    assert.deepEqual(violations.filter(({ impact }) => /serious|critical/.test(impact)).map(({ id }) => id), []);
  }, { reducedMotion: "reduce" });

  journey("the least movement upward lets go of an answer that grows", async (page) => {
    await say(page, "an endless one");
    await until(async () => (await page.locator(".scroller").first().evaluate((each) => each.scrollHeight - each.clientHeight)) > 300, "more than is in view");
    await until(async () => (await fromEnd(page)) < 2, "the end in view");
    await page.mouse.move(700, 400);
    await page.mouse.wheel(0, -12);
    await until(async () => (await fromEnd(page)) > 100, "that the answer grows below the view");
    await page.locator(".to-end").click();
    await until(async () => (await fromEnd(page)) < 2, "the end in view again");
  });

  journey("what is selected in code that grows stays, and so does its place", async (page) => {
    await say(page, "much code");
    await answering(page, 2000);
    const chosen = await page.locator(".md pre").first().evaluate((pre) => {
      const range = document.createRange();
      range.setStart(pre.querySelector("code").firstChild, 10);
      range.setEnd(pre.querySelector("code").firstChild, 60);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      pre.scrollLeft = 300;
      return { text: String(getSelection()), length: pre.textContent.length };
    });
    await until(async () => (await page.locator(".md pre").first().evaluate((pre) => pre.textContent.length)) > chosen.length + 500, "more code");
    assert.deepEqual(await page.locator(".md pre").first().evaluate((pre) => [String(getSelection()), pre.scrollLeft]), [chosen.text, 300]);
  });

  journey("Home and End lead to the first and the last message of a long chat", async (page) => {
    for (let i = 0; i < 120; ++i) {
      await until(() => world.call("POST", "/chat/long/messages", { message: `Question ${i}${i % 3 ? "" : " of something wide"}`, message_id: `m${i}` }).then(() => true, () => false), "room in the queue");
    }
    await page.goto(`${world.url}/#/c/long`);
    await page.evaluate(() => localStorage.setItem("parlance.chats", JSON.stringify([{ id: "long", kind: "plain", title: "Long", createdAt: 1, updatedAt: 1 }])));
    await page.reload();
    await page.locator(".said", { hasText: "Question 119" }).waitFor();
    await page.locator(".scroller").focus();
    await page.keyboard.press("Home");
    await page.locator(".said", { hasText: "Question 0 " }).waitFor();
    await until(() => page.locator(".scroller").first().evaluate((each) => each.scrollTop === 0), "the very beginning");
    await page.keyboard.press("End");
    await page.locator(".said", { hasText: "Question 119" }).waitFor();
    await until(async () => (await fromEnd(page)) < 2, "the very end");
  });
});
