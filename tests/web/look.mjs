// Opens one page in Chromium and tells what happened, as JSON on stdout.
// Usage: look.mjs URL SELECTOR COUNT [CLICKED [SCREENSHOT]]
// Waits until SELECTOR is there COUNT times, then clicks on everything that CLICKED selects. Every request that would leave the server is refused
// and told.
import { mkdtempSync, rmSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const packages = createRequire(new URL("../../build/web/package.json", import.meta.url));
const { chromium } = packages("playwright-core");

const [url, selector, count, clicked, screenshot] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "parlance-web-"));
const context = await chromium.launchPersistentContext(folder, {
  executablePath: "/usr/bin/chromium",
  viewport: { width: 1280, height: 1600 },
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
const seen = { found: 0, status: 0, console: [], violations: [], outside: [], failed: [] };
try {
  const page = context.pages()[0] ?? (await context.newPage());
  await context.route("**/*", (route) => {
    if (route.request().url().startsWith(new URL(url).origin + "/")) return route.continue();
    seen.outside.push(route.request().url());
    return route.abort();
  });
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) seen.console.push(message.text());
  });
  page.on("pageerror", (error) => seen.console.push(String(error)));
  page.on("requestfailed", (request) => seen.failed.push(request.url()));
  await page.exposeBinding("tellViolation", (_, text) => seen.violations.push(text));
  await page.addInitScript(() =>
    document.addEventListener("securitypolicyviolation", (event) =>
      window.tellViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`)));
  seen.status = (await page.goto(url, { timeout: 30_000 })).status();
  await page
    .waitForFunction(([what, least]) => document.querySelectorAll(what).length >= least,
      [selector, Number(count)], { timeout: 30_000 })
    .catch(() => {});
  await page.waitForLoadState("networkidle", { timeout: 10_000 });
  seen.found = await page.locator(selector).count();
  const closed = (await page.innerText("body")).length;
  for (const each of clicked ? await page.locator(clicked).all() : []) await each.evaluate((element) => element.click());
  if (clicked) {
    // What was opened is there when the page's text has grown and stopped growing.
    await page
      .waitForFunction((least) => {
        const length = document.body.innerText.length;
        const settled = length > least && length === window.lengthBefore;
        window.lengthBefore = length;
        return settled;
      }, closed, { polling: 200, timeout: 10_000 })
      .catch(() => {});
  }
  seen.text = await page.innerText("body");
  if (screenshot) await page.screenshot({ path: screenshot });
} finally {
  await context.close();
  rmSync(folder, { recursive: true, force: true });
}
writeSync(1, JSON.stringify(seen) + "\n");
