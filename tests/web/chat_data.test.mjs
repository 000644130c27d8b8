// The journeys of the chat page on which something could be lost: what the browser keeps, what other
// tabs do meanwhile, and what does not reach the server.
import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { answering, becomes, chatId, ended, ENTER, inState, isWholeIn, journeysOf, keptRuns, reads, say, seen } from "./chat.mjs";
import { until, World } from "./world.mjs";

const asks = async (page) => (await seen(page)).map((turn) => turn.ask);
/** Deletes the chat that is open, from the list. */
async function deleteOpen(page) {
  await page.locator(".entry.here").hover();
  await page.locator(".entry.here").getByRole("button").click();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await page.locator("dialog .danger").click();
}
/** Answers to requests that fit come when `release` is called; `asked` are the requests. */
async function hold(page, url, method = "GET") {
  const held = { asked: [] };
  const open = new Promise((resolve) => (held.release = resolve));
  await page.route(url, async (route) => {
    if (route.request().method() !== method) return route.fallback();
    held.asked.push(route.request());
    if (method !== "GET") return open.then(() => route.continue());
    const response = await route.fetch();
    await open;
    return route.fulfill({ response });
  });
  return held;
}
const look = (page) => page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));

describe("nothing is lost in the chat page", { concurrency: false }, () => {
  let world;
  before(async () => {
    world = await World.start({ upstream: ["--token-ms", "20"], config: { limits: { queue_max: 2 } } });
    await world.script([
      { when: "endless", tokens: 100_000, token_ms: 20 },
      { text: "A quick answer.", token_ms: 0 },
    ]);
  });
  after(() => world?.end());
  const journey = journeysOf(() => world);
  const agentChat = async () => {
    const agent = await world.call("POST", "/api/v1/agent", { name: "Travel desk", prompt: "You plan trips." });
    return world.call("POST", "/api/v1/session", { agent_id: agent.id, title: "A trip" });
  };

  for (const [what, script] of [
    ["keeps nothing", () => {
      for (const name of ["localStorage", "sessionStorage", "indexedDB"]) {
        Object.defineProperty(window, name, { get() { throw new DOMException("not allowed", "SecurityError"); } });
      }
    }],
    ["has a database that does not answer", () => { IDBFactory.prototype.open = () => ({}); }],
  ]) {
    journey(`a chat goes on in a browser that ${what}`, async (page, context) => {
      await context.addInitScript(script);
      await page.reload();
      await say(page, "one");
      await ended(page, 1);
      await say(page, "two");
      await ended(page, 2);
      await isWholeIn(world, page);
      await becomes(() => page.locator(".entry").count(), 1);
      await deleteOpen(page);
      await page.waitForSelector("dialog", { state: "detached" });
      await becomes(() => page.locator(".entry").count(), 0);
    });
  }

  journey("a full browser loses no message and keeps no chat that did not begin", async (page) => {
    await page.evaluate(() => {
      for (let size = 1 << 22; size > 0; size >>= 1) {
        try {
          for (let i = 0; ; ++i) localStorage.setItem(`full ${size} ${i}`, "x".repeat(size));
        } catch {
          // On with less.
        }
      }
    });
    await say(page, "said to a full browser");
    await ended(page, 1);
    world.door.shut();
    await inState(page, "offline");
    await say(page, "and offline");
    await say(page, "and after that");
    await until(async () => (await seen(page)).length === 3, "the messages that wait");
    world.door.unlock();
    await ended(page, 3);
    await isWholeIn(world, page);
    await becomes(() => page.locator(".entry").count(), 1);
    await page.keyboard.press("Control+Alt+KeyN");
    await until(async () => !chatId(page), "the new chat");
    await say(page, "another chat");
    await ended(page, 1);
    await becomes(() => page.locator(".entry").count(), 2);
  });

  journey("a chat that another tab deletes is told to be gone", async (page, context) => {
    await say(page, "soon gone");
    await ended(page, 1);
    const other = await context.newPage();
    await other.goto(page.url());
    await ended(other, 1);
    await deleteOpen(other);
    await reads(page, ".main", /This chat is not here[^]*deleted, or you signed out in another tab/);
  });

  journey("a chat that is deleted while its first message is on the way does not begin after that", async (page) => {
    const slow = await hold(page, "**/messages", "POST");
    await say(page, "soon nowhere");
    await until(() => slow.asked.length > 0, "the message on its way");
    const id = chatId(page);
    await deleteOpen(page);
    await page.locator("dialog .danger[disabled]").waitFor();
    slow.release();
    await becomes(() => page.locator(".entry").count(), 0);
    assert.deepEqual(await world.call("GET", `/history/${id}`), []);
    await assert.rejects(world.call("POST", `/chat/${id}/messages`, { message: "again" }), /404.*deleted/);
  });

  journey("a chat that another browser deletes is empty here, and takes no message", async (page) => {
    await say(page, "soon erased");
    await ended(page, 1);
    await world.call("DELETE", `/chat/${chatId(page)}`);
    await page.waitForSelector(".gap-note");
    await becomes(() => asks(page), []);
    await say(page, "is anybody there?");
    await reads(page, ".notice", /the session was deleted/);
    await page.reload();
    await inState(page, "live");
    await becomes(() => asks(page), ["is anybody there?"]);
    await deleteOpen(page);
    await becomes(() => page.locator(".entry").count(), 0);
  });

  journey("an agent's chat outlives a list that was asked for before it was made", async (page) => {
    await agentChat();
    await look(page);
    const list = await hold(page, "**/api/v1/session?*");
    await page.locator(".answerer", { hasText: "Travel desk" }).first().click();
    await look(page);
    await until(() => list.asked.length > 0, "the list to be asked for");
    await say(page, "where to?");
    await ended(page, 1);
    const told = page.waitForResponse(/api\/v1\/session\?/);
    list.release();
    await (await told).finished();
    await page.locator(".entry", { hasText: "A trip" }).first().waitFor();
    await isWholeIn(world, page);
    await reads(page, ".entry.here", /where to\?/);
  });

  journey("an agent's chat is made once, although its first try was not heard of and had another text", async (page) => {
    await agentChat();
    await look(page);
    const count = async () => (await world.call("GET", "/api/v1/session")).items.length;
    const before = await count();
    await page.route("**/api/v1/session", async (route) => (await route.fetch(), route.abort()), { times: 1 });
    await page.locator(".answerer", { hasText: "Travel desk" }).first().click();
    await say(page, "where to?");
    await reads(page, ".composer", /The server cannot be reached/);
    await say(page, "where to go?");
    await ended(page, 1);
    await reads(page, ".head h1", /where to go\?/);
    assert.equal(await count(), before + 1);
    assert.equal((await world.call("GET", `/api/v1/session/${chatId(page)}`)).title, "where to go?");
  });

  journey("each upload is told by itself; one that failed is tried again", async (page) => {
    const drop = async (where, name) => {
      const dataTransfer = await page.evaluateHandle((name) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([`What ${name} says.`], name));
        return transfer;
      }, name);
      await page.dispatchEvent(where, "drop", { dataTransfer });
    };
    await page.route("**/auth", (route) => route.abort(), { times: 1 });
    await drop(".start", "a.txt");
    await reads(page, ".composer", /The server cannot be reached/);
    const keys = [];
    await page.route("**/documents", (route) => (keys.push(route.request().headers()["idempotency-key"]), route.abort()), { times: 1 });
    await drop(".start", "a.txt");
    await reads(page, ".documents", /Not stored: a\.txt[^]*The server cannot be reached/);
    const second = await hold(page, "**/documents", "POST");
    await drop(".conversation", "b.txt");
    await reads(page, ".documents", /Storing b\.txt/);
    await reads(page, ".documents .notice", /a\.txt/);
    second.release();
    await reads(page, ".head", /1 document/);
    await page.locator(".documents .notice button", { hasText: "Try again" }).click();
    await reads(page, ".head", /2 documents/);
    assert.equal(second.asked.at(-1).headers()["idempotency-key"], keys[0]);
    await page.waitForSelector(".documents .notice", { state: "detached" });
  });

  journey("messages beyond the queue wait, and keep their order", async (page) => {
    await say(page, "an endless one");
    await answering(page, 5);
    const refused = page.waitForResponse((response) => response.status() === 429);
    for (const text of ["two", "three", "four", "five"]) await say(page, text);
    await refused;
    await reads(page, ".turn:has-text('four')", /The queue is full; sent when there is room/);
    await reads(page, ".turn:has-text('five')", /The queue is full/);
    assert.equal(await page.locator(".notice").count(), 0);
    await page.press("#message", "Escape");
    await ended(page, 5);
    await isWholeIn(world, page);
    await becomes(() => asks(page), ["an endless one", "two", "three", "four", "five"]);
  });

  journey("a message for which there was no room is sent as soon as there is", async (page) => {
    await say(page, "an endless one");
    await answering(page, 5);
    const full = { status: 429, headers: { "Retry-After": "600" }, json: { detail: "2 messages wait in this chat already" } };
    await page.route("**/messages", (route) => route.fulfill(full), { times: 1 });
    await say(page, "two");
    await reads(page, ".turn:has-text('two')", /The queue is full/);
    await page.press("#message", "Escape");
    await ended(page, 2);
    await isWholeIn(world, page);
  });

  journey("a message that is removed on its way is not answered", async (page) => {
    const slow = await hold(page, "**/messages", "POST");
    await say(page, "an endless one that nobody wants");
    await until(() => slow.asked.length > 0, "the message on its way");
    await inState(page, "live");
    await page.locator(".turn").getByRole("button", { name: "Discard" }).click();
    await until(async () => (await seen(page)).length === 0, "the message to be gone");
    slow.release();
    await page.locator(".turn .stopped").waitFor();
  });

  journey("a link is followed as soon as the server can say what is there", async (page) => {
    const session = await agentChat();
    await page.route("**/api/v1/session/*", (route) => route.abort());
    await page.goto(`${world.url}/#/c/${session.id}`);
    await reads(page, ".main", /The server cannot be reached[^]*Trying again/);
    await page.unroute("**/api/v1/session/*");
    await reads(page, ".head h1", /A trip/);
    await world.call("POST", "/chat/of-another-browser/messages", { message: "said elsewhere" });
    await page.goto(`${world.url}/#/c/of-another-browser`);
    await ended(page, 1);
    await becomes(() => asks(page), ["said elsewhere"]);
    await reads(page, ".entry.here", /said elsewhere/);
    await page.goto(`${world.url}/#/c/nobody-was-here`);
    await reads(page, ".main", /This chat is not here[^]*It was deleted, or it belongs to another server/);
  });

  journey("older chats that cannot be fetched are told, and are not offered once they are there", async (page) => {
    const { agent_id } = await agentChat();
    for (let i = 0; i < 100; ++i) await world.call("POST", "/api/v1/session", { agent_id, title: `Trip ${i}` });
    await page.reload();
    await page.route("**/api/v1/session?*cursor=*", (route) => route.abort(), { times: 1 });
    await page.click(".more-chats");
    await reads(page, ".chat-list", /They cannot be fetched: The server cannot be reached/);
    await page.click(".more-chats");
    await page.waitForSelector(".more-chats", { state: "detached" });
    const added = async (count, show) => {
      let last;
      for (let i = 0; i < count; ++i) last = await world.call("POST", "/api/v1/session", { agent_id, title: "A newer trip" });
      await show();
      await page.locator(`.entry a[href$="${last.id}"]`).waitFor();
      return page.locator(".more-chats").count();
    };
    assert.equal(await added(1, () => look(page)), 0);
    assert.equal(await added(1, () => page.reload()), 0, "all of them are kept");
    assert.equal(await added(101, () => page.reload()), 1, "between the newest and those that are kept some are missing");
    await page.click(".more-chats");
    await page.waitForSelector(".more-chats", { state: "detached" });
  });

  journey("the note that the data are others covers no message and can be put away", async (page) => {
    await say(page, "before the data are lost");
    await ended(page, 1);
    await until(() => page.evaluate(keptRuns), "that this browser keeps it");
    await world.server.kill9();
    await rm(join(world.server.folder, "data"), { recursive: true });
    await world.server.again();
    await page.waitForSelector(".gap-note");
    const [note, list] = [await page.locator(".gap-note").boundingBox(), await page.locator(".scroller").boundingBox()];
    assert.ok(note.y + note.height <= list.y + 1, "above the messages");
    await page.click(".gap-note button");
    await page.waitForSelector(".gap-note", { state: "detached" });
  });
});

describe("with keys", { concurrency: false }, () => {
  test("a key that is not possible is told so, and a sign-out reaches the other tabs", { timeout: 60_000 }, async () => {
    const world = await World.start({ config: { api_keys: ["the-right-key-1234"], console: { key: "the-console-key-1234" } } });
    try {
      await world.script([{ text: "A quick answer.", token_ms: 0 }]);
      const signIn = async (page, key) => {
        await page.fill("input[type=password]", key);
        await page.keyboard.press(ENTER);
      };
      const page = await world.page();
      await signIn(page, "ключ");
      await reads(page, "dialog", /not possible as a key/);
      await signIn(page, "the-right-key-1234");
      await page.waitForSelector("dialog", { state: "detached" });
      await say(page, "hello");
      await ended(page, 1);
      const other = await page.context().newPage();
      await other.goto(page.url());
      await signIn(other, "the-right-key-1234");
      await ended(other, 1);
      await other.click("[aria-label='Sign out']");
      await reads(page, ".main", /This chat is not here[^]*signed out in another tab/);
      await other.goto(`${world.url}/console`);
      await signIn(other, "ключ");
      await reads(other, "main", /not possible as a key/);
      assert.deepEqual(page.context().complaints, []);
    } finally {
      await world.end();
    }
  });
});
