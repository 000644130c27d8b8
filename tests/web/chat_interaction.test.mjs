// What hands do to the chat page: keys, focus, dialogs and the microphone, in a real browser.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { answering, becomes, chatId, ended, inState, journeysOf, reads, say, seen } from "./chat.mjs";
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
      { when: "code", text: "```js\nlet a = 1;\n```", token_ms: 0 },
      { when: "slow", text: "A late answer.", first_token_ms: 600_000 },
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

  journey("Escape on a chat that was found ends the search, and the answer goes on", async (page) => {
    await say(page, "an endless story");
    await answering(page);
    await page.keyboard.press("Control+KeyK");
    await page.keyboard.type("story");
    await page.keyboard.press("ArrowDown");
    await becomes(() => page.evaluate(() => document.activeElement.matches(".entry a")), true, "the focus on what was found");
    await page.keyboard.press("Escape");
    await becomes(() => page.inputValue("[type=search]"), "");
    await isFocused(page, "Search chats");
    assert.equal(await runs(page), 1, "nothing has stopped the answer");
    await page.keyboard.press("Escape");
    await isFocused(page, "Message");
    await page.keyboard.press("Escape");
    await ended(page, 1);
  });

  journey("on a phone Escape closes the list of chats, and the answer goes on", async (page) => {
    await say(page, "an endless story");
    await answering(page);
    await page.click("[aria-label='Open the list of chats']");
    await isFocused(page, "Close the list of chats");
    await becomes(() => page.evaluate(() => (document.querySelector("#message").focus(), document.activeElement.id)), "", "what is behind it cannot be reached");
    await page.keyboard.press("Escape");
    await isFocused(page, "Open the list of chats");
    await page.waitForSelector(".menu-open", { state: "detached" });
    assert.equal(await runs(page), 1);
    await page.keyboard.press("Escape");
    await ended(page, 1);
  }, PHONE);

  journey("a message that the server refuses can be edited, and the draft is kept meanwhile", async (page) => {
    await say(page, "quick, hello");
    await ended(page, 1);
    await say(page, "too long ".repeat(30_000));
    await page.waitForSelector(".notice");
    const { height } = await page.locator(".turn").last().boundingBox();
    assert.ok(height < 700, `the row is folded: ${height}`);
    await page.fill("#message", "a draft");
    const edit = page.locator(".notice button", { hasText: "Edit" });
    await edit.click();
    await page.locator(".composer-note", { hasText: "not sent" }).waitFor();
    assert.ok((await page.inputValue("#message")).startsWith("too long"));
    await page.locator(".composer-note button").click();
    await becomes(() => page.inputValue("#message"), "a draft");
    await edit.click();
    await say(page, "quick and short");
    await ended(page, 2);
    await becomes(async () => (await seen(page)).map((turn) => turn.ask), ["quick, hello", "quick and short"]);
    await becomes(() => page.inputValue("#message"), "a draft");
    await page.locator(".ask").first().hover();
    await page.locator("[aria-label='Edit and send again']").first().click();
    await becomes(() => page.inputValue("#message"), "quick, hello");
    await page.reload();
    await page.locator(".composer-note", { hasText: "Editing an earlier message" }).waitFor();
    await page.press("#message", "Escape");
    await becomes(() => page.inputValue("#message"), "a draft");
  });

  journey("a chat that could not be begun leaves what was written", async (page) => {
    await page.locator(".answerer", { hasText: "Documents" }).click();
    await page.fill("#message", "written before");
    world.door.shut();
    await page.press("#message", "Enter");
    await page.waitForSelector(".composer-note.bad");
    await becomes(() => page.inputValue("#message"), "written before");
    await becomes(() => page.locator(".composer-note").count(), 1, "nothing is said of an earlier message");
  });

  journey("an answer that is stopped before its first word can be asked for again", async (page) => {
    await say(page, "slow to begin");
    await page.locator(".thinking").waitFor();
    await page.click(".round.stop");
    await page.locator(".stopped").waitFor();
    await becomes(() => page.innerText(".stopped"), "Stopped");
    await page.click("[aria-label='Ask the same again']");
    await page.locator(".thinking").waitFor();
    await page.click(".round.stop");
    await ended(page, 2);
  });

  journey("code that is copied twice at once is still there to be copied", async (page) => {
    await say(page, "quick code");
    await ended(page, 1);
    const button = page.locator("[data-copy]");
    await button.click();
    await page.locator("[data-copy]", { hasText: "Copied" }).waitFor();
    await button.click();
    await page.locator("[data-copy]", { hasText: "Copy code" }).waitFor();
  });

  journey("what is deleted is asked about with the focus on Cancel, and the focus comes back", async (page) => {
    await say(page, "quick, hello");
    await ended(page, 1);
    await page.locator(".entry").hover();
    const options = page.locator(".entry button");
    await options.click();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await until(async () => (await page.evaluate(() => document.activeElement.textContent)) === "Cancel", "the focus on Cancel");
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog", { state: "detached" });
    await becomes(() => options.evaluate((button) => button === document.activeElement), true);
    await page.keyboard.press("/");
    await isFocused(page, "Message");
    assert.equal(await page.inputValue("#message"), "");
  });

  journey("an agent that is half written is given up only when that is confirmed", async (page) => {
    await page.click(".answerer.add");
    await page.waitForSelector("dialog .form");
    await page.keyboard.press("Escape");
    await page.waitForSelector("dialog", { state: "detached" });
    await isFocused(page, "BUTTON");
    await page.click(".answerer.add");
    const prompt = page.getByLabel("Prompt", { exact: true });
    await prompt.fill("You help people plan trips.");
    const box = await prompt.boundingBox();
    await page.mouse.move(box.x + 40, box.y + 15);
    await page.mouse.down();
    await page.mouse.move(20, box.y + 15, { steps: 3 });
    await page.mouse.up();
    assert.equal(await page.locator("dialog dialog").count(), 0, "text that is selected closes nothing");
    await prompt.focus();
    await page.mouse.click(20, 20);
    await page.locator("dialog dialog", { hasText: "Discard what you have changed?" }).waitFor();
    await page.keyboard.press("Escape");
    await page.waitForSelector("dialog dialog", { state: "detached" });
    await becomes(() => prompt.inputValue(), "You help people plan trips.");
    await page.keyboard.press("Escape");
    await page.locator("dialog dialog .danger").click();
    await page.waitForSelector("dialog", { state: "detached" });
    await until(() => page.evaluate(() => document.activeElement.matches(".answerer.add")), "the focus where it was before");
  });

  journey("what is asked before changes are lost is never below them", async (page) => {
    await page.click(".answerer.add");
    await page.getByLabel("Prompt", { exact: true }).fill("You help people plan trips.");
    const question = page.locator("dialog dialog");
    // As Firefox closes one where Escape is pressed again and again.
    const close = (each) => page.evaluate((each) => {
      for (const dialog of document.querySelectorAll(each)) {
        dialog.dispatchEvent(new Event("cancel"));
        dialog.close();
      }
    }, each);
    await close("dialog");
    await question.waitFor();
    await question.locator("button", { hasText: "Keep editing" }).click();
    await question.waitFor({ state: "detached" });
    await close("dialog");
    await question.waitFor();
    await close("dialog:not(dialog dialog)");
    await question.locator(".danger").click();
    await page.waitForSelector("dialog", { state: "detached" });
  });

  journey("of many agents a dozen is shown, and the others are found or shown on demand", async (page) => {
    const make = (name) => world.call("POST", "/api/v1/agent", { name, prompt: "You help people.", description: null });
    const used = await make("The oldest, but talked to");
    for (let i = 1; i <= 20; ++i) await make(`Desk ${i}`);
    await world.call("POST", "/api/v1/session", { agent_id: used.id, title: "Talked to" });
    await page.reload();
    const names = () => page.$$eval(".answerer:has(.answerer-name[dir]) .answerer-name", (all) => all.map((each) => each.textContent).slice(2));
    const dozen = [used.name, ...Array.from({ length: 11 }, (_, i) => `Desk ${20 - i}`)];
    await becomes(names, dozen);
    const all = page.getByRole("button", { name: "Show all 21 agents" });
    await all.focus();
    await page.keyboard.press("Enter");
    await becomes(async () => (await names()).length, 21);
    await page.keyboard.press("Enter");
    await becomes(names, dozen);
    const search = page.getByRole("searchbox", { name: "Search agents" });
    await search.fill("DESK 1");
    await becomes(names, ["Desk 19", "Desk 18", "Desk 17", "Desk 16", "Desk 15", "Desk 14", "Desk 13", "Desk 12", "Desk 11", "Desk 10", "Desk 1"]);
    await search.fill("nobody");
    await page.locator(".answerers [role=status]", { hasText: "0 agents fit" }).waitFor();
    await search.fill("desk 2");
    await page.locator(".answerer", { hasText: "Desk 2" }).last().click();
    await isFocused(page, "Message");
    await search.press("Escape");
    await becomes(() => search.inputValue(), "");
    await becomes(names, [...dozen, "Desk 2"], "the chosen one stays in view");
    await say(page, "quick, hello");
    await ended(page, 1);
    await reads(page, ".entry.here", /Desk 2/);
  });

  journey("arrows go from one who answers to the next", async (page) => {
    await world.call("POST", "/api/v1/agent", { name: "Made last", prompt: "You help people." });
    await page.reload();
    await page.locator(".answerer", { hasText: "Made last" }).waitFor();
    await page.locator(".answerer.chosen input").focus();
    for (const chosen of ["Documents", "Made last"]) {
      await page.keyboard.press("ArrowDown");
      await becomes(() => page.innerText(".answerer.chosen .answerer-name"), chosen);
      await becomes(() => page.evaluate(() => document.activeElement.matches(".answerer.chosen input")), true, "the focus stays among them");
    }
    await page.locator(".answerer", { hasText: "Documents" }).click();
    await isFocused(page, "Message");
  });

  journey("a refused agent is told at its field, which has the focus", async (page) => {
    await page.click(".answerer.add");
    await page.getByLabel("Name", { exact: true }).fill("Travel desk");
    await page.getByLabel("Prompt", { exact: true }).fill("You help people plan trips.");
    const tools = page.getByLabel("Tools", { exact: true });
    await tools.fill("no_such_tool");
    await page.locator("dialog .primary").click();
    await page.locator("dialog [aria-invalid=true]").waitFor();
    await until(() => tools.evaluate((field) => field === document.activeElement), "the focus in the field");
    await page.getByLabel("Name", { exact: true }).focus();
    const marked = (field) => getComputedStyle(field).borderTopColor === getComputedStyle(field.parentElement.querySelector(".bad")).color;
    await until(() => tools.evaluate(marked), "the field's border in the colour of what is told");
    assert.equal(await page.locator("dialog .bad").count(), 1, "it is told once");
  });

  journey("the focus stays in the messages when what had it is scrolled away", async (page) => {
    await say(page, "quick, 1");
    await ended(page, 1);
    const last = async (ask) => {
      const turn = (await seen(page)).at(-1);
      return turn.ask === ask && turn.ended;
    };
    for (let i = 2; i <= 41; ++i) {
      await world.call("POST", `/chat/${chatId(page)}/messages`, { message: `quick, ${i}` });
      if (i % 10 === 1) await until(() => last(`quick, ${i}`), `message ${i}`);
    }
    await page.locator("[aria-label='Copy the answer']").last().focus();
    await page.evaluate(() => document.querySelector(".scroller").scrollTo(0, 0));
    await until(async () => (await seen(page)).at(-1).ask !== "quick, 41", "the last message to be let go of");
    await until(() => page.evaluate(() => document.activeElement.matches(".scroller")), "the focus in the messages");
  });

  journey("that the server cannot be reached is announced once", async (page) => {
    await say(page, "quick, hello");
    await ended(page, 1);
    await page.evaluate(() => {
      window.told = [];
      new MutationObserver((changes) => window.told.push(...changes.map(({ target }) => target.textContent)))
        .observe(document.querySelector("[aria-live=polite]"), { childList: true, characterData: true, subtree: true });
    });
    assert.equal(await page.locator(".state[role], .state [role]").count(), 0);
    world.door.shut();
    await until(() => page.evaluate(() => window.told.length > 0), "the announcement");
    world.door.unlock();
    await until(() => page.evaluate(() => window.told.length > 1), "the other announcement");
    assert.deepEqual((await page.evaluate(() => window.told)).map((text) => text.split(".")[0]), ["Offline", "Live"]);
  });

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

describe("the key that the chat page asks for", { concurrency: false }, () => {
  let world;
  before(async () => {
    world = await World.start({ config: { api_keys: ["the-right-key-1234"] } });
  });
  after(() => world?.end());

  journeysOf(() => world)("is asked for until it was given, however often Escape is pressed", async (page) => {
    await page.waitForSelector("dialog[open] input[type=password]");
    for (let i = 0; i < 4; ++i) await page.keyboard.press("Escape");
    await page.waitForSelector("dialog[open] input[type=password]");
    await page.fill("dialog input", "the-right-key-1234");
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog", { state: "detached" });
    await isFocused(page, "Message");
  });
});

describe("the microphone in the chat page", { concurrency: false }, () => {
  let world;
  before(async () => {
    world = await World.start({
      upstream: ["--transcript", "how far is the moon", "--speech-ms", "1500"],
      config: (base_url) => ({ speech: { base_url, api_key: "sk-test" } }),
      browserArgs: ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
    });
  });
  after(() => world?.end());

  const journey = journeysOf(() => world);
  const session = async () => {
    const agent = await world.call("POST", "/api/v1/agent", { name: "Astronomer", prompt: "You know the sky." });
    return world.call("POST", "/api/v1/session", { agent_id: agent.id, title: "The sky" });
  };

  journey("a voice message runs as what was said does, whatever the language of the page", async (page) => {
    await page.goto(`${world.url}/#/c/${(await session()).id}`);
    await inState(page, "live");
    await page.click("[aria-label='سجّل رسالة']");
    await page.waitForSelector(".recorder .pulse");
    await page.click("[aria-label='أرسل التسجيل']");
    await page.waitForSelector(".ask .player span");
    await page.locator(".ask .said", { hasText: "how far is the moon" }).waitFor();
    const directionOf = (what) => page.locator(what).first().evaluate((element) => getComputedStyle(element).direction);
    assert.deepEqual([await directionOf(".bubble"), await directionOf(".voice-line")], ["ltr", "rtl"]);
    await ended(page, 1);
  }, { locale: "ar" });

  journey("on a phone what is recorded leaves room to write", async (page) => {
    await page.addInitScript(() => (navigator.mediaDevices.getUserMedia = () => new Promise(() => {})));
    await page.goto(`${world.url}/#/c/${(await session()).id}`);
    await page.reload();
    await inState(page, "live");
    await page.click("[aria-label='Record a message']");
    await page.locator(".recorder", { hasText: "Waiting for the microphone" }).waitFor();
    const room = await page.locator("#message").evaluate((area) => {
      const [style, pen] = [getComputedStyle(area), document.createElement("canvas").getContext("2d")];
      pen.font = style.font;
      return area.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - pen.measureText(area.placeholder).width;
    });
    assert.ok(room > 0, `the placeholder fits: ${room}`);
    const [box, recorder] = [await page.locator(".composer-box").boundingBox(), await page.locator(".recorder").boundingBox()];
    assert.ok(recorder.x >= box.x && recorder.x + recorder.width <= box.x + box.width);
  }, PHONE);

  journey("the microphone is on only while something is recorded", async (page) => {
    // The question for permission stays open until `answer` is called.
    await page.addInitScript(() => {
      window.streams = [];
      const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = async (wanted) => {
        await new Promise((resolve) => (window.answer = resolve));
        const stream = await ask(wanted);
        window.streams.push(stream);
        return stream;
      };
    });
    await page.goto(`${world.url}/#/c/${(await session()).id}`);
    await page.reload();
    await inState(page, "live");
    const given = async (count) => {
      await page.evaluate(() => window.answer());
      await until(() => page.evaluate((least) => window.streams.length >= least, count), `stream ${count}`);
    };
    const on = () => page.evaluate(() => window.streams.filter((stream) => stream.getTracks().some((track) => track.readyState === "live")).length);
    const off = () => until(async () => (await on()) === 0, "the microphone to be off");
    const record = page.locator("[aria-label='Record a message']");

    await record.click();
    await page.locator(".recorder", { hasText: "Waiting for the microphone" }).waitFor();
    assert.equal(await record.count(), 0, "there is nothing to be clicked on twice");
    await page.keyboard.press("Escape");
    await record.waitFor();
    await given(1);
    await off();
    await record.click();
    await given(2);
    await page.waitForSelector(".recorder .pulse");
    assert.equal(await on(), 1);
    await page.keyboard.press("Escape");
    await off();
    await isFocused(page, "Message");
    await record.click();
    await page.locator(".recorder .spinner").waitFor();
    await page.click(".new-chat");
    await page.waitForSelector(".start");
    await given(3);
    await off();
  });
});
