// A server with the simulated model, a door before it that can be shut, and a browser: for the
// journeys and the pictures. Pages come from the server; from PARLANCE_WEB_DIST where that is set.
import { createReadStream, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { PATIENCE, Server, Upstream } from "../../clients/typescript/tests/server.mjs";

export { PATIENCE };
export const root = fileURLToPath(new URL("../../", import.meta.url));
const packages = createRequire(join(root, "build/web/package.json"));
const { chromium } = packages("playwright-core");
export const axePath = () => packages.resolve("axe-core/axe.min.js");

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2" };
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; font-src 'self'";

/** Between browser and server: hands on what comes, as long as it is open. */
class Door {
  open = true;
  webSockets = true;
  sockets = new Set();

  constructor(server, pages) {
    this.server = server;
    this.pages = pages;
    this.http = http.createServer((request, response) => this.pass(request, response));
    this.http.on("upgrade", (request, socket, head) => this.upgrade(request, socket, head));
    this.http.on("connection", (socket) => {
      if (!this.open) return socket.destroy();
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
      socket.on("error", () => {});
    });
  }

  async start() {
    await new Promise((resolve) => this.http.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.http.address().port}`;
  }

  pass(request, response) {
    const path = new URL(request.url, "http://here").pathname;
    if (this.pages && request.method === "GET" && (path === "/" || path === "/console" || path.startsWith("/assets/"))) {
      return this.page(path, response);
    }
    const onward = http.request(
      { host: "127.0.0.1", port: this.server.port, method: request.method, path: request.url, headers: request.headers },
      (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
        answer.on("error", () => response.destroy());
      },
    );
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  }

  page(path, response) {
    const name = path === "/" ? "index.html" : path === "/console" ? "console.html" : normalize(path).slice(1);
    const file = join(this.pages, name);
    if (!existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { "Content-Type": TYPES[extname(file)], "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff" });
    createReadStream(file).pipe(response);
  }

  upgrade(request, socket, head) {
    if (!this.webSockets) return socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    const onward = net.connect(this.server.port, "127.0.0.1", () => {
      const lines = request.rawHeaders.map((each, i) => (i % 2 ? `${each}\r\n` : `${each}: `)).join("");
      onward.write(`GET ${request.url} HTTP/1.1\r\n${lines}\r\n`);
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    for (const each of [onward, socket]) {
      each.on("error", () => {});
      each.on("close", () => (onward.destroy(), socket.destroy()));
    }
  }

  /** Ends all connections; new ones come through. */
  cut() {
    for (const socket of this.sockets) socket.destroy();
  }

  shut() {
    this.open = false;
    this.cut();
  }

  unlock() {
    this.open = true;
  }

  end() {
    this.cut();
    this.http.close();
  }
}

export class World {
  static async start({ upstream = [], config = {}, provider = {}, environment = {}, browserArgs = [] } = {}) {
    const world = new World();
    try {
      world.upstream = await Upstream.start(...upstream);
      if (typeof config === "function") config = config(`http://127.0.0.1:${world.upstream.port}/v1`);
      world.server = await Server.start({ upstream: world.upstream, config, provider, environment });
      world.door = new Door(world.server, process.env.PARLANCE_WEB_DIST);
      await world.door.start();
      world.browserArgs = browserArgs;
      return world;
    } catch (error) {
      await world.end();
      throw error;
    }
  }

  get url() {
    return this.door.url;
  }

  async script(entries) {
    const answer = await fetch(`http://127.0.0.1:${this.upstream.port}/script`, { method: "PUT", body: JSON.stringify(entries) });
    if (!answer.ok) throw new Error(await answer.text());
  }

  /** A call of the server's own, as another client would do it. */
  async call(method, path, body, headers = {}) {
    const answer = await fetch(`http://127.0.0.1:${this.server.port}${path}`, {
      method,
      headers: { ...(body !== undefined && { "Content-Type": "application/json" }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }

  /** A browser of its own, with nothing in it. Everything it complains about is in `complaints`. */
  async browser(options = {}) {
    const folder = mkdtempSync(join(tmpdir(), "parlance-web-"));
    const context = await chromium.launchPersistentContext(folder, {
      executablePath: "/usr/bin/chromium",
      viewport: { width: 1280, height: 860 },
      args: [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", ...this.browserArgs,
      ],
      ...options,
    });
    context.setDefaultTimeout(PATIENCE);
    context.complaints = [];
    await context.route("**/*", (route) => {
      const { origin } = new URL(route.request().url());
      if (origin === this.url || route.request().url().startsWith("blob:")) return route.continue();
      context.complaints.push(`a request to ${origin}`);
      return route.abort();
    });
    await context.exposeBinding("tellViolation", (_, text) => context.complaints.push(text));
    await context.addInitScript(() =>
      document.addEventListener("securitypolicyviolation", (event) =>
        window.tellViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`)));
    const watch = (page) => page.on("pageerror", (error) => context.complaints.push(String(error.stack ?? error)));
    context.pages().forEach(watch);
    context.on("page", watch);
    (this.contexts ??= []).push({ context, folder });
    return context;
  }

  async page(options) {
    const context = await this.browser(options);
    const page = context.pages()[0] ?? (await context.newPage());
    await page.goto(this.url);
    return page;
  }

  async end() {
    for (const { context, folder } of this.contexts ?? []) {
      await context.close().catch(() => {});
      rmSync(folder, { recursive: true, force: true });
    }
    this.door?.end();
    await this.server?.end();
    await this.upstream?.kill9();
  }
}

/** The processes of the browsers that this program has started, with what they were started with. */
export function browserProcesses() {
  const isOurs = (pid) => {
    for (let at = pid; at > 1; at = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${at}/status`, "utf8"))[1])) {
      if (at === process.pid) return true;
    }
    return false;
  };
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).flatMap((pid) => {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      return command.includes("chromium") && isOurs(pid) ? [{ pid, command }] : [];
    } catch {
      return []; // Ended meanwhile.
    }
  });
}

/** Does with all browsers what sleep does with a laptop; the answer wakes it. */
export function stopBrowsers() {
  const stopped = browserProcesses();
  for (const { pid } of stopped) process.kill(pid, "SIGSTOP");
  return () => stopped.forEach(({ pid }) => process.kill(pid, "SIGCONT"));
}

/** Returns the first true value of `condition()`. */
export async function until(condition, what, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${patience} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}
