#!/usr/bin/env node
// What the chat page costs in Chromium: its first load, a long chat while it is scrolled, a fast
// stream. Its server and simulated model are those of PARLANCE_BIN_DIR.
// Usage: page_figures.mjs [--messages N] --json FILE
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { browserProcesses, until, World } from "../tests/web/world.mjs";

function secondsOf(file) {
  const fields = readFileSync(file, "utf8").replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

const TOKEN_MS = 10;
const STREAM_MS = 10_000;
const SCROLL_MS = 8000;
const { values: options } = parseArgs({
  options: { messages: { type: "string", default: "5000" }, json: { type: "string" } },
});
const messages = Number(options.messages);

/** Of a page: how often it draws, and how much of that was late, while it is moved by so many pixels at each frame. */
async function drawn(page, pixels) {
  const frames = await page.evaluate(
    ({ pixels, time }) =>
      new Promise((resolve) => {
        const scroller = document.querySelector(".scroller") ?? document.scrollingElement;
        const times = [];
        let at = performance.now();
        const end = at + time;
        const step = (now) => {
          times.push(now - at);
          at = now;
          scroller.scrollTop -= pixels;
          if (now < end) requestAnimationFrame(step);
          else resolve(times.slice(5));
        };
        requestAnimationFrame(step);
      }),
    { pixels, time: SCROLL_MS },
  );
  return {
    perSecond: frames.length / (frames.reduce((a, b) => a + b) / 1000),
    latePercent: (100 * frames.filter((each) => each > 25).length) / frames.length,
    count: frames.length,
  };
}

const text = Array.from({ length: 12 }, (_, i) => `Paragraph ${i} has **some words** of an answer, and \`code\` in it. It goes on for a while, as answers do.`);
const answer = `${text.slice(0, 3).join("\n\n")}\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n\`\`\`json\n{"n": 1}\n\`\`\`\n`;
// Paragraphs, lists and code, as much as the stream lasts.
const long = Array.from({ length: 60 }, () => `${text.slice(0, 2).join(" ")}\n\n1. a point\n2. another\n\n\`\`\`python\ndef f(x):\n    return x + 1\n\`\`\`\n`).join("\n");

const world = await World.start();
try {
  await world.script([{ when: "stream", text: long, token_ms: TOKEN_MS }, { text: answer, token_ms: 0 }]);
  const out = {};
  const page = await world.page();
  await page.waitForSelector("#message");
  out.first_paint_ms = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
  out.first_load_bytes = await page.evaluate(() =>
    performance.getEntriesByType("resource").filter(({ name }) => /\.(js|css)$/.test(name)).reduce((sum, each) => sum + each.encodedBodySize, 0));
  out.rest_frames_per_s = (await drawn(page, 0)).perSecond;
  // Seconds of processor that the page's main thread has had: others on the machine do not count.
  const busy = async () => {
    const renderers = browserProcesses().filter(({ command }) => command.includes("--type=renderer") && !command.includes("--extension-process"));
    return Math.max(...renderers.map(({ pid }) => secondsOf(`/proc/${pid}/task/${pid}/stat`)));
  };

  // A stream of 100 tokens a second.
  await page.fill("#message", "stream, please");
  await page.keyboard.press("Enter");
  await until(async () => (await page.locator(".md.growing").count()) > 0, "the stream");
  await page.waitForTimeout(500);
  const length = () => page.locator(".md").evaluate((each) => each.textContent.split(/\s+/).length);
  const [before, words, at] = [await busy(), await length(), Date.now()];
  await page.waitForTimeout(STREAM_MS);
  const seconds = (Date.now() - at) / 1000;
  out.stream_words_per_s = ((await length()) - words) / seconds;
  out.stream_main_thread_percent = (100 * ((await busy()) - before)) / seconds;
  await page.keyboard.press("Escape");

  // A long chat.
  const id = "a-long-chat";
  for (let i = 0; i < messages / 2; ) {
    const response = await fetch(`http://127.0.0.1:${world.server.port}/chat/${id}/messages`, {
      method: "POST",
      body: JSON.stringify({ message: `Question number ${i}`, message_id: `m${i}` }),
      headers: { "Content-Type": "application/json", Connection: "close" },
    }).catch(() => null);
    if (response?.ok) ++i;
    else await new Promise((resolve) => setTimeout(resolve, 5));
    await response?.body?.cancel();
  }
  await page.evaluate((id) => {
    const now = Date.now();
    localStorage.setItem("parlance.chats", JSON.stringify([{ id, kind: "plain", title: "A long chat", createdAt: now, updatedAt: now }]));
  }, id);
  await page.goto(`${world.url}/?1#/c/${id}`);
  const opened = Date.now();
  const last = `Question number ${messages / 2 - 1}`;
  await page.locator(".said", { hasText: last }).waitFor();
  out.long_chat_read_anew_ms = Date.now() - opened;
  await page.waitForTimeout(4000);
  await page.goto(`${world.url}/?2#/c/${id}`);
  const again = Date.now();
  await page.locator(".said", { hasText: last }).waitFor();
  out.long_chat_opened_again_ms = Date.now() - again;
  out.rows_drawn = await page.locator(".row").count();

  await page.waitForTimeout(500);
  const scrollBusy = await busy();
  const scrolled = await drawn(page, 60); // 3,600 pixels a second.
  out.scroll_frames_per_s = scrolled.perSecond;
  out.scroll_late_percent = scrolled.latePercent;
  out.scroll_main_thread_ms_per_frame = (1000 * ((await busy()) - scrollBusy)) / scrolled.count;
  const invalid = page.context().complaints;
  writeFileSync(options.json, JSON.stringify({ valid: invalid.length === 0, invalid, numbers: out }));
} finally {
  await world.end();
}
