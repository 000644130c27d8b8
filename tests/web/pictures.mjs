// The README's pictures, of a running server: docs/pictures/chat.png and console.png.
// Usage: node tests/web/pictures.mjs   (after scripts/test, which installs the browser's driver)
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { World, root, until } from "./world.mjs";

const KEY = "the-key-of-the-pictures";
const BUSY_MS = 130_000;
const folder = join(root, "docs", "pictures");
const ANSWER = `Of course. This is a **short plan**:

1. Begin with the pyramids, before the crowds.
2. Then the Egyptian Museum.
3. End the day in Khan el-Khalili.

\`\`\`python
from collections import Counter

def top(path: str, n: int = 10) -> list[tuple[str, int]]:
    """The most frequent words."""
    with open(path) as file:
        return Counter(file.read().lower().split()).most_common(n)
\`\`\`
`;

async function chat(world) {
  await world.script([
    { when: "plan", text: ANSWER, token_ms: 2 },
    { when: "calc", text: "I will compute that first.", tool_calls: [{ name: "calculator", arguments: { expression: "17*23+4" } }] },
    { when: "long", tokens: 4000, token_ms: 25 },
    { text: "It is **395**: \`17 × 23 + 4\`." },
  ]);
  const page = await world.page();
  await page.waitForSelector("#message");
  const say = async (text, answers) => {
    await page.fill("#message", text);
    await page.keyboard.press("Enter");
    await until(async () => (await page.locator(".turn .meta").count()) >= answers, text);
  };
  await say("A plan for a day in Cairo, and a script that counts words", 1);
  await say("calc 17*23+4", 2);
  await page.click(".turn:last-child .activities-head >> nth=-1");
  await page.getByText("Arguments").waitFor();
  await page.screenshot({ path: join(folder, "chat.png") });
}

/** What the console's charts show: chats that ebb and flow. */
async function busy(world) {
  await world.script([
    { when: "calc", text: "I will compute that first.", tool_calls: [{ name: "calculator", arguments: { expression: "17*23+4" } }] },
    { when: "long", tokens: 4000, token_ms: 25 },
    { when: "detail", tokens: 120, token_ms: 25, first_token_ms: 180 },
    { tokens: 40, token_ms: 15, first_token_ms: 90 },
  ]);
  const texts = ["Where is my parcel?", "Explain that in detail", "calc 17*23+4", "And in one sentence?"];
  for (let i = 0, end = Date.now() + BUSY_MS; Date.now() < end; ++i) {
    await world.call("POST", `/chat/customer-${100 + ((i * 37) % 60)}/messages`, { message: texts[i % texts.length] });
    await new Promise((resolve) => setTimeout(resolve, 120 + 100 * Math.sin(i / 40)));
  }
}

/** Its own journey takes pictures of every view; one of them is for the README. */
async function console_(world) {
  await busy(world);
  const views = mkdtempSync(join(tmpdir(), "parlance-pictures-"));
  try {
    execFileSync("node", [join(root, "tests/web/console_page.mjs"), `http://127.0.0.1:${world.server.port}`, KEY, views], {
      timeout: 180_000,
      stdio: "inherit",
    });
    copyFileSync(join(views, "overview-en-light.png"), join(folder, "console.png"));
  } finally {
    rmSync(views, { recursive: true });
  }
}

mkdirSync(folder, { recursive: true });
const world = await World.start({
  provider: { prices: { currency: "USD", input: 0.15, output: 0.6 } },
  environment: { PARLANCE_CONSOLE_KEY: KEY },
});
try {
  await chat(world);
  await console_(world);
} finally {
  await world.end();
}
