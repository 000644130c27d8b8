// The journeys of the chat page, in a real browser against the real server.
import assert from "node:assert/strict";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { answering, becomes, chatId, ended, ENTER, inState, isWholeIn, journeysOf, keptRuns, reads, say, seen } from "./chat.mjs";
import { axePath, stopBrowsers, until, World } from "./world.mjs";

describe("the chat page", { concurrency: false }, () => {
  let world;
  before(async () => {
    world = await World.start({ upstream: ["--token-ms", "20", "--first-token-ms", "30", "--tokens", "100"] });
    await world.script([
      { when: "hostile", text: await readFile(new URL("./hostile.md", import.meta.url), "utf8") },
      { when: "compute", text: "Let me see.", tool_calls: [{ name: "calculator", arguments: { expression: "6*7" } }] },
      { when: "broken", status: 400, error_message: "no such model" },
      { when: "endless", tokens: 100_000, token_ms: 20 },
      { when: "quick", text: "A quick answer.", token_ms: 0 },
      { when: "tell me", tokens: 250, token_ms: 20 },
      { when: "moon", text: "It is 384,400 km away.", token_ms: 5 },
      { tokens: 100, token_ms: 20 },
    ]);
  });
  after(() => world?.end());

  const journey = journeysOf(() => world);

  journey("a first chat is streamed, and is the same after a reload", async (page) => {
    await say(page, "tell me something");
    await answering(page, 5);
    assert.equal((await seen(page))[0].ended, false, "text came before the end");
    await ended(page, 1);
    await inState(page, "live");
    const before = await isWholeIn(world, page);
    await page.reload();
    await until(async () => (await seen(page)).length === 1, "the message after the reload");
    assert.deepEqual(await isWholeIn(world, page), before);
    await reads(page, ".turn .meta", /tokens/);
  });

  journey("a reload in mid-answer loses nothing", async (page) => {
    await say(page, "a question before a reload");
    await answering(page);
    await page.reload();
    await answering(page);
    await ended(page, 1);
    await isWholeIn(world, page);
  });

  journey("a server that dies in mid-answer comes back with all of it", async (page) => {
    await say(page, "a question before a crash");
    await answering(page);
    await world.server.kill9();
    await inState(page, "offline");
    assert.ok((await seen(page))[0].answer.length > 0, "what was there stays");
    await world.server.again();
    await inState(page, "live");
    await ended(page, 1);
    await isWholeIn(world, page);
  });

  journey("a laptop that slept has all of what went on meanwhile", async (page) => {
    await say(page, "a question before the lid is closed");
    await answering(page);
    const chat = chatId(page);
    const wake = stopBrowsers();
    world.door.shut();
    try {
      await world.call("POST", `/chat/${chat}/messages`, { message: "quick, from elsewhere", message_id: "elsewhere" });
      const answers = async () => (await world.call("GET", `/history/${chat}`)).filter(({ step_type }) => step_type === "FinalAnswerStep");
      await until(async () => (await answers()).length === 2, "both answers in the log");
      world.door.unlock();
    } finally {
      wake();
    }
    await ended(page, 2);
    await inState(page, "live");
    await isWholeIn(world, page);
  });

  journey("what is written offline is sent once when the server can be reached", async (page) => {
    await say(page, "a question before the line breaks");
    await answering(page);
    world.door.shut();
    await inState(page, "offline");
    await say(page, "written offline");
    await until(async () => (await seen(page)).length === 2, "the message that waits");
    world.door.unlock();
    await ended(page, 2);
    const turns = await isWholeIn(world, page);
    assert.equal(turns[1].ask, "written offline");
    // A line that breaks again and again.
    await say(page, "a question on a bad line");
    for (let i = 0; i < 5; ++i) {
      const shown = (await seen(page)).at(-1).answer.length;
      await until(async () => (await seen(page)).at(-1).answer.length > shown, "more of the answer");
      world.door.cut();
    }
    await ended(page, 3);
    await isWholeIn(world, page);
  });

  journey("two tabs show the same, and each can stop the other's answer", async (page, context) => {
    await say(page, "an endless story");
    await answering(page);
    const other = await context.newPage();
    await other.goto(page.url());
    await answering(other);
    await other.click(".stop");
    await ended(page, 1);
    await ended(other, 1);
    assert.deepEqual(await seen(page), await seen(other));
    await isWholeIn(world, page);
    await say(other, "quick, from the other tab");
    await ended(page, 2);
    assert.deepEqual(await isWholeIn(world, page), await isWholeIn(world, other));
  });

  journey("messages wait for their turn, and can be taken back", async (page) => {
    await say(page, "an endless one first");
    await answering(page);
    await say(page, "quick and kept");
    await say(page, "quick and taken back");
    await until(async () => (await page.locator(".turn .faded").count()) === 2, "two messages in the queue");
    await becomes(() => page.getAttribute("#message", "placeholder"), "Write on; it is answered next");
    await page.locator(".turn", { hasText: "taken back" }).getByRole("button", { name: "Take this message out" }).click();
    await until(async () => (await page.locator(".stopped", { hasText: "Taken out" }).count()) === 1, "the message out of the queue");
    await page.press("#message", "Escape");
    await ended(page, 3);
    await until(async () => (await seen(page))[1].answer === "A quick answer.", "the answer of the one that was kept");
    assert.equal((await seen(page))[2].answer, "");
    await page.reload();
    await ended(page, 3);
    await becomes(async () => (await seen(page)).map((turn) => turn.ask), ["an endless one first", "quick and kept", "quick and taken back"]);
  });

  journey("steps show the plan, the tool's arguments and its result", async (page) => {
    await say(page, "please compute");
    await ended(page, 1);
    await page.click(".activities-head");
    const text = await page.innerText(".activity-list");
    for (const part of ["Plan", "Let me see.", "calculator", '"expression": "6*7"', "42"]) assert.ok(text.includes(part), `${part} in ${text}`);
  });

  journey("a failure says why, and the message can be edited and sent again", async (page) => {
    await say(page, "a broken one");
    await page.waitForSelector(".notice");
    await reads(page, ".notice", /no such model|400/);
    await page.hover(".ask");
    await page.click(".ask [aria-label='Edit and send again']");
    await becomes(() => page.inputValue("#message"), "a broken one");
    await page.fill("#message", "a quick one");
    await page.press("#message", ENTER);
    await until(async () => (await seen(page))[1]?.answer === "A quick answer.", "the answer to the edited message");
    await page.locator(".notice button", { hasText: "Try again" }).click();
    await until(async () => (await page.locator(".notice").count()) === 2, "the same failure again");
  });

  journey("chats are found, renamed and deleted by keyboard", async (page) => {
    await say(page, "quick thoughts about gardens");
    await ended(page, 1);
    await page.keyboard.press("Control+Alt+KeyN");
    await until(async () => !chatId(page), "the new chat");
    await say(page, "quick thoughts about rivers");
    await ended(page, 1);
    await page.keyboard.press("Control+KeyK");
    await until(() => page.evaluate(() => document.activeElement?.type === "search"), "the search box");
    await page.keyboard.type("garden");
    await until(async () => (await page.locator(".entry").count()) === 1, "one match");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Tab");
    await page.keyboard.press(ENTER);
    await page.keyboard.press("Tab");
    await page.keyboard.press(ENTER);
    await page.waitForSelector("dialog[open] input");
    await page.fill("dialog input", "Roses");
    await page.keyboard.press(ENTER);
    await page.waitForSelector("dialog", { state: "detached" });
    await page.fill("[type=search]", "");
    await until(async () => (await page.evaluate(keptRuns)) === 2, "that this browser keeps what was said");
    await page.fill("[type=search]", "THOUGHTS about");
    await until(async () => (await page.locator(".entry mark").allInnerTexts()).join() === "thoughts about,thoughts about", "what was said, under the chats' names");
    await page.fill("[type=search]", "");
    await page.locator(".entry a", { hasText: "Roses" }).click();
    await until(async () => (await page.innerText(".head h1")) === "Roses", "the chat with its new name");
    await until(async () => (await seen(page)).map((turn) => turn.ask).join() === "quick thoughts about gardens", "what was said there");
    const roses = chatId(page);
    await page.locator(".entry", { hasText: "Roses" }).hover();
    await page.locator(".entry", { hasText: "Roses" }).getByRole("button").click();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await reads(page, "dialog", /deleted on the server/);
    await page.locator("dialog .danger").click();
    await until(async () => (await page.locator(".entry").count()) === 1, "one chat left");
    assert.deepEqual(await world.call("GET", `/history/${roses}`), []);
    await becomes(() => page.evaluate(() => indexedDB.databases().then((all) => all.length)), 1);
  });

  journey("an answer runs no script, whatever is in it", async (page, context) => {
    page.on("dialog", (dialog) => context.complaints.push(`a dialog: ${dialog.message()}`));
    await say(page, "a hostile answer, please");
    await ended(page, 1);
    // Whose failure is told behind that of every picture of the answer.
    await page.evaluate(() => new Promise((resolve) => Object.assign(new Image(), { onerror: resolve }).src = "data:image/png,none"));
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    const bad = await page.$$eval(".md *", (all) =>
      all.flatMap((each) => [
        ...(/^(SCRIPT|IFRAME|OBJECT|EMBED|FORM|INPUT|STYLE|LINK|BASE|SVG|MATH|META)$/i.test(each.tagName) ? [each.tagName] : []),
        ...[...each.attributes].filter(({ name, value }) => /^on|style|srcdoc|formaction/i.test(name) || /^\s*(javascript|vbscript|data:text)/i.test(value)).map(({ name }) => name),
      ]),
    );
    assert.deepEqual(bad, []);
    const links = await page.$$eval(".md a", (all) => all.map((each) => each.href));
    assert.ok(links.length > 0 && links.every((href) => /^(https?|mailto):/.test(href)), String(links));
    assert.ok((await page.innerText(".md")).includes("<script>"), "it is there to read");
  });

  journey("in Arabic the page runs from right to left, and each message as it is written", async (page) => {
    await page.click(".sidebar-foot button[lang=ar]");
    await becomes(() => page.getAttribute("html", "dir"), "rtl");
    await becomes(() => page.getAttribute("html", "lang"), "ar");
    await say(page, "مرحبا، كيف حالك؟ quick");
    await ended(page, 1);
    await say(page, "in English, quick");
    await ended(page, 2);
    const directions = await page.$$eval(".bubble", (all) => all.map((each) => getComputedStyle(each).direction));
    assert.deepEqual(directions, ["rtl", "ltr"]);
    const [box, sidebar] = [await page.locator(".main").boundingBox(), await page.locator(".sidebar").boundingBox()];
    assert.ok(sidebar.x > box.x, "the list is at the right");
    await page.reload();
    await until(async () => (await page.getAttribute("html", "dir")) === "rtl", "the language that was chosen");
  });

  journey("documents are dropped, asked about, and their passages shown beside the answer", async (page) => {
    const files = (names) =>
      page.evaluateHandle((all) => {
        const transfer = new DataTransfer();
        for (const [name, content] of all) transfer.items.add(new File([typeof content === "string" ? content : new Uint8Array(content)], name));
        return transfer;
      }, names);
    const dropped = await files([["moon.txt", "The moon is 384,400 km away from the earth."]]);
    await page.dispatchEvent(".start", "dragenter", { dataTransfer: dropped });
    await page.waitForSelector(".drop");
    await page.dispatchEvent(".start", "drop", { dataTransfer: dropped });
    await until(async () => /1 document/.test(await page.innerText(".head")), "the document to be stored");
    await say(page, "How far is the moon?");
    await ended(page, 1);
    await page.click(".sources-button");
    await until(async () => (await page.locator(".source blockquote").count()) === 1, "the passage");
    await reads(page, ".sources", /moon\.txt[\s\S]*384,400 km away from the earth/);
    await page.reload();
    await ended(page, 1);
    await page.click(".sources-button");
    await until(async () => /384,400/.test(await page.innerText(".sources blockquote")), "the passage after a reload");

    const broken = await files([["picture.png", [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1]]]);
    await page.dispatchEvent(".conversation", "drop", { dataTransfer: broken });
    await page.waitForSelector(".documents .notice");
    await reads(page, ".documents .notice", /picture\.png/);
    await isWholeIn(world, page);

    const { id: client_id, secret: client_secret } = await page.evaluate(() => JSON.parse(localStorage.getItem("parlance.chats"))[0]);
    await world.call("POST", "/auth", { client_id, client_secret });
    await page.locator(".entry.here").hover();
    await page.locator(".entry.here").getByRole("button").click();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await reads(page, "dialog", /with all its messages and documents/);
    await page.locator("dialog .danger").click();
    await page.waitForSelector(".entry", { state: "detached" });
    await assert.rejects(world.call("POST", "/auth", { client_id, client_secret }), /401/);
  });

  journey("an agent is made, talked to and changed; somebody else's change is not overwritten", async (page) => {
    await page.click(".answerer.add");
    await page.waitForSelector("dialog .form");
    await page.getByLabel("Name", { exact: true }).fill("Travel desk");
    await page.getByLabel("Prompt", { exact: true }).fill("You help people plan trips.");
    await page.getByLabel("Tools", { exact: true }).fill("calculator");
    await page.locator("dialog .primary").click();
    await page.waitForSelector("dialog", { state: "detached" });
    await page.locator(".answerer", { hasText: "Travel desk" }).click();
    await say(page, "quick, where to?");
    await ended(page, 1);
    const { items } = await world.call("GET", "/api/v1/session");
    assert.equal(items[0].id, chatId(page));
    assert.equal(items[0].title, "quick, where to?");
    await reads(page, ".entry.here", /Travel desk/);

    await page.click(".sidebar-foot .grow");
    await page.locator("dialog .answerer", { hasText: "Travel desk" }).click();
    await until(async () => (await page.getByLabel("Prompt", { exact: true }).inputValue()) !== "", "the agent's settings");
    const { id, created_at: _, updated_at: __, ...settings } = (await world.call("GET", "/api/v1/agent")).items[0];
    await world.call("PUT", `/api/v1/agent/${id}`, { ...settings, prompt: "Somebody was faster." });
    await page.getByLabel("Description", { exact: true }).fill("For trips");
    await page.locator("dialog .primary").click();
    await until(async () => /Somebody else has changed/.test(await page.innerText("dialog")), "the conflict");
    await becomes(() => page.getByLabel("Prompt", { exact: true }).inputValue(), "Somebody was faster.");
    await page.getByLabel("Description", { exact: true }).fill("For trips");
    await page.locator("dialog .primary").click();
    await until(async () => (await world.call("GET", `/api/v1/agent/${id}`)).description === "For trips", "the change");
    await page.waitForSelector("dialog .form", { state: "detached" });
    await page.keyboard.press("Escape");

    await page.locator(".entry.here").hover();
    await page.locator(".entry.here").getByRole("button").click();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.locator("dialog .danger").click();
    await until(async () => (await world.call("GET", "/api/v1/session")).items.length === 0, "the session to be gone");
    await until(async () => !chatId(page), "a new chat");
  });

  journey("where no WebSocket comes through, events do", async (page) => {
    world.door.webSockets = false;
    world.door.cut();
    await say(page, "a question without sockets");
    await inState(page, "live");
    await answering(page);
    await ended(page, 1);
    await isWholeIn(world, page);
    await page.reload();
    await inState(page, "live");
    await isWholeIn(world, page);
  });

  journey("a chat of a server whose data are others is read anew", async (page) => {
    await say(page, "quick, before the data are lost");
    await ended(page, 1);
    await until(() => page.evaluate(keptRuns), "that this browser keeps it");
    await world.server.kill9();
    await rm(join(world.server.folder, "data"), { recursive: true });
    await world.server.again();
    await inState(page, "live");
    await until(async () => (await seen(page)).length === 0, "an empty chat");
    await say(page, "quick, and again");
    await ended(page, 1);
    await isWholeIn(world, page);
    await page.reload();
    await ended(page, 1);
    await isWholeIn(world, page);
  });

  for (const [what, options] of [["wide", {}], ["a phone", { viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true }]]) {
    for (const tongue of ["en-GB", "ar"]) {
      for (const colorScheme of ["light", "dark"]) {
        journey(`axe finds nothing serious: ${what}, ${tongue}, ${colorScheme}`, async (page) => {
          const check = async (where) => {
            await page.evaluate(await readFile(axePath(), "utf8"));
            const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
            const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
            const found = serious.map((each) => `${where}: ${each.impact} ${each.id}: ${each.nodes.map((node) => node.target + " " + node.failureSummary).join("; ")}`);
            assert.deepEqual(found, []);
          };
          await check("start");
          await say(page, "please compute");
          await ended(page, 1);
          await page.click(".activities-head");
          await say(page, "a broken one");
          await ended(page, 2);
          await say(page, "hostile");
          await ended(page, 3);
          await inState(page, "live");
          await check("chat");
          await page.keyboard.press("?");
          if (what === "wide") {
            await page.click(".sidebar-foot .grow");
            await page.locator("dialog .primary").click();
            await page.waitForSelector("dialog .form");
            await check("an agent");
            await page.keyboard.press("Escape");
            await page.keyboard.press("Escape");
          } else {
            await page.click(".head .only-narrow");
            await page.locator(".sidebar .entry").first().waitFor();
            await check("the list");
          }
        }, { ...options, locale: tongue, colorScheme, reducedMotion: "reduce" });
      }
    }
  }
});

describe("the chat page of a server with keys", { concurrency: false }, () => {
  test("asks for one, keeps it for the tab alone, and forgets everything at the end", { timeout: 60_000 }, async () => {
    const world = await World.start({ config: { api_keys: ["the-right-key-1234"] } });
    try {
      await world.script([{ text: "A quick answer.", token_ms: 0 }]);
      const page = await world.page();
      await page.waitForSelector("dialog[open] input[type=password]");
      await page.fill("dialog input", "a-wrong-key");
      await page.keyboard.press(ENTER);
      await until(async () => /does not know/.test(await page.innerText("dialog")), "that the key is wrong");
      await page.fill("dialog input", "the-right-key-1234");
      await page.keyboard.press(ENTER);
      await page.waitForSelector("dialog", { state: "detached" });
      await say(page, "hello");
      await ended(page, 1);
      await inState(page, "live");
      assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes("the-right-key")), false);
      await page.reload();
      await ended(page, 1);
      await inState(page, "live");
      await page.click("[aria-label='Sign out']");
      await page.waitForSelector("dialog[open] input[type=password]");
      await becomes(() => page.locator(".entry").count(), 0);
      await becomes(() => page.evaluate(() => sessionStorage.getItem("parlance.key")), null);
      assert.deepEqual(page.context().complaints, []);
    } finally {
      await world.end();
    }
  });
});

describe("voice in the chat page", { concurrency: false }, () => {
  test("a recording is heard, answered and spoken, and can be played again", { timeout: 90_000 }, async () => {
    const world = await World.start({
      upstream: ["--transcript", "how far is the moon", "--speech-ms", "1500"],
      config: (base_url) => ({ speech: { base_url, api_key: "sk-test" } }),
      browserArgs: ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--autoplay-policy=no-user-gesture-required"],
    });
    try {
      await world.script([{ text: "It is 384,400 km away.", token_ms: 0 }]);
      const agent = await world.call("POST", "/api/v1/agent", { name: "Astronomer", prompt: "You know the sky." });
      const session = await world.call("POST", "/api/v1/session", { agent_id: agent.id, title: "The sky" });
      const page = await world.page();
      await page.goto(`${world.url}/#/c/${session.id}`);
      await inState(page, "live");
      await page.click("[aria-label='Record a message']");
      await page.waitForSelector(".recorder .pulse");
      await page.locator(".recorder", { hasText: "2 sec" }).waitFor();
      world.door.shut();
      await page.click("[aria-label='Send the recording']");
      await page.locator(".recorder", { hasText: "Not sent" }).waitFor();
      world.door.unlock();
      await page.click("[aria-label='Send the recording again']");
      await ended(page, 1);
      await becomes(async () => (await seen(page)).map(({ ask, answer }) => ({ ask, answer })), [{ ask: "how far is the moon", answer: "It is 384,400 km away." }]);
      await page.waitForSelector(".ask .player");
      await page.click(".turn-tools .player");
      await until(async () => /Pause|Play the answer/.test(await page.getAttribute(".turn-tools .player", "aria-label")), "the answer to be played");
      await page.waitForSelector(".turn-tools .player[aria-label='Play the answer']");
      await page.reload();
      await page.waitForSelector(".ask .player");
      assert.deepEqual(page.context().complaints, []);
      if (process.env.PARLANCE_WEB_SHOTS) await page.screenshot({ path: join(process.env.PARLANCE_WEB_SHOTS, "voice.png") });
    } catch (error) {
      const page = world.contexts?.[0]?.context.pages()[0];
      if (process.env.PARLANCE_WEB_SHOTS && page) await page.screenshot({ path: join(process.env.PARLANCE_WEB_SHOTS, "voice_failed.png") }).catch(() => {});
      throw error;
    } finally {
      await world.end();
    }
  });
});
