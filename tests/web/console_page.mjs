// The operator's console in Chromium: signs in, waits for a run that it starts itself, stops it, and
// reads the session's log. Ends with 0 when all of that went well and nothing was objected to.
// Usage: console_page.mjs SERVER_URL CONSOLE_KEY [PICTURES_FOLDER]
// With a folder: every view as a picture, in both languages and both themes.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const packages = createRequire(new URL("../../build/web/package.json", import.meta.url));
const { chromium } = packages("playwright-core");
const axe = readFileSync(packages.resolve("axe-core/axe.min.js"), "utf8");

const [server, key, pictures] = process.argv.slice(2);
const PATIENCE = 30_000;
const folder = mkdtempSync(join(tmpdir(), "parlance-console-"));
const context = await chromium.launchPersistentContext(folder, {
  executablePath: "/usr/bin/chromium",
  viewport: { width: 1440, height: 1000 },
  locale: "en-GB",
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});

const objections = [];
const page = context.pages()[0] ?? (await context.newPage());
page.setDefaultTimeout(PATIENCE);
page.on("console", (message) => {
  // What the browser says of every answer that is no success; those are looked at below.
  const refused = /Failed to load resource/.test(message.text());
  if (["error", "warning"].includes(message.type()) && !refused) objections.push(message.text());
});
page.on("pageerror", (error) => objections.push(String(error)));
await context.route("**/*", (route) => {
  const url = route.request().url();
  if (url.startsWith(`${server}/`) || url.startsWith("blob:")) return route.continue();
  objections.push(`asked for ${url}`);
  return route.abort();
});
await page.exposeBinding("tellViolation", (_, text) => objections.push(text));
await page.addInitScript(() =>
  document.addEventListener("securitypolicyviolation", (event) =>
    window.tellViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`)));

/** Serious findings of axe, by the driver's own way into the page, which no policy forbids. */
async function accessible(view) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, impact, nodes } of violations) {
    if (!["serious", "critical"].includes(impact)) continue;
    objections.push(`${view}: ${id}: ${nodes.map((node) => `${node.html} ${node.any.map(({ message }) => message)}`).join("\n")}`);
  }
}

async function picture(name) {
  if (!pictures) return;
  for (const language of ["en", "ar"]) {
    for (const theme of ["light", "dark"]) {
      await page.evaluate(([tongue, colours]) => {
        for (const [name, value] of [["parlance.language", tongue], ["parlance.theme", colours]]) {
          localStorage.setItem(name, value);
          dispatchEvent(new StorageEvent("storage", { key: name, newValue: value }));
        }
      }, [language, theme]);
      await page.waitForFunction((tongue) => document.documentElement.lang === tongue, language);
      await accessible(`${name} ${language} ${theme}`);
      await page.screenshot({ path: join(pictures, `${name}-${language}-${theme}.png`), fullPage: true });
    }
  }
  await page.evaluate(() => {
    localStorage.setItem("parlance.language", "en");
    dispatchEvent(new StorageEvent("storage", { key: "parlance.language", newValue: "en" }));
  });
}

async function signIn() {
  await page.goto(`${server}/console`);
  await page.getByLabel("Console key").fill("not-the-key-of-the-console");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("This is not the console’s key.").waitFor();
  await accessible("sign-in");
  await picture("sign-in");
  await page.getByLabel("Console key").fill(key);
  await page.keyboard.press("Enter");
  await page.getByText("Live", { exact: true }).waitFor();
}

async function seeAndStop() {
  const said = await fetch(`${server}/chat/from-the-test/messages`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ message: "a long answer, please", message_id: "m1" }),
  });
  assert.equal(said.status, 202);
  const row = page.getByRole("region", { name: "Runs in progress" }).getByRole("row", { name: /from-the-test/ });
  await row.getByText("Writing").waitFor();
  // The charts have their first points within two steps.
  await page.waitForFunction(() => document.querySelectorAll(".chart canvas").length === 8);
  if (pictures) {
    await page.waitForFunction(() => !document.querySelector(".chart-line b")?.textContent?.includes("–"));
  }
  await accessible("overview");
  await picture("overview");
  await row.getByRole("button", { name: "Stop the run of from-the-test" }).click();
  await row.waitFor({ state: "detached" });
}

async function readLog() {
  await page.getByLabel("Open a log by its session").fill("from-the-test");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "from-the-test" }).waitFor();
  await page.getByText("Cancelled", { exact: true }).waitFor();
  await page.locator(".event summary").first().click();
  await page.getByText('"a long answer, please"').waitFor();
  await accessible("log");
  await picture("log");
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download as JSON Lines" }).click(),
  ]);
  assert.equal(file.suggestedFilename(), "from-the-test.jsonl");
  const lines = readFileSync(await file.path(), "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.equal(lines.at(0).type, "message_accepted");
  assert.equal(lines.at(-1).outcome, "cancelled");
  await page.getByRole("link", { name: "Overview" }).click();
  await page.getByRole("heading", { name: "Live sessions" }).waitFor();
}

async function signOut() {
  await page.reload();
  await page.getByText("Live", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Console key").waitFor();
}

try {
  await signIn();
  await seeAndStop();
  await readLog();
  if (pictures) {
    await page.setViewportSize({ width: 390, height: 844 });
    await picture("narrow");
  }
  await signOut();
  assert.deepEqual(objections, []);
} finally {
  await context.close();
  rmSync(folder, { recursive: true, force: true });
}
