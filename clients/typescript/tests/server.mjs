// The real programs for the tests, each ended by its own process.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const bin = process.env.PARLANCE_BIN_DIR ?? join(root, "build/release/bin");

/** How long a condition may take on a busy machine before the test says that it never came. */
export const PATIENCE = 20_000;

/** Fails where `promise` takes too long. */
export async function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${PATIENCE} ms: ${what}`)), PATIENCE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

class Program {
  log = [];

  async spawn(name, args, environment, pattern) {
    const kept = Object.entries(process.env).filter(
      ([key]) => !/^(OPENAI_|PARLANCE_|LOG_LEVEL|DATABASE_URL|[a-z]+_proxy$)/i.test(key),
    );
    this.child = spawn(join(bin, name), args, {
      env: { ...Object.fromEntries(kept), ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.exited = once(this.child, "exit");
    for (const stream of [this.child.stdout, this.child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        this.log.push(line);
        if (pattern.test(line)) this.ready();
      });
    }
    const ready = new Promise((resolve, reject) => {
      this.ready = resolve;
      this.exited.then(([code]) => reject(new Error(`${name} ended with ${code}\n${this.log.join("\n")}`)));
    });
    ready.catch(() => {});
    await within(ready, `${name} is ready`);
  }

  async kill9() {
    this.child.kill("SIGKILL");
    await within(this.exited, "the end of a process");
  }
}

/** The simulated model provider. */
export class Upstream extends Program {
  static async start(...args) {
    const upstream = new Upstream();
    await upstream.spawn("parlance-upstream", ["--listen", "127.0.0.1:0", ...args], {}, /listening on/);
    upstream.port = Number(/listening on .*:(\d+)/.exec(upstream.log.join("\n"))[1]);
    return upstream;
  }
}

/** `parlance serve` on a free port; started again at the same one, on the same data. */
export class Server extends Program {
  port = 0;

  static async start({ upstream, config = {}, provider: more = {}, environment = {} } = {}) {
    const server = new Server();
    server.folder = await mkdtemp(join(tmpdir(), "parlance-client-"));
    server.environment = environment;
    const provider = { name: "main", api_key: "sk-test", model: "simulated", backoff_first: "5ms", ...more };
    if (upstream) config = { ...config, providers: [{ ...provider, base_url: `http://127.0.0.1:${upstream.port}/v1` }] };
    await writeFile(join(server.folder, "parlance.yaml"), JSON.stringify({ drain_timeout: "500ms", ...config }));
    await server.again();
    return server;
  }

  async again() {
    this.log.length = 0;
    const args = ["serve", "--data", join(this.folder, "data"), "--config", join(this.folder, "parlance.yaml")];
    args.push("--listen", `127.0.0.1:${this.port}`);
    await this.spawn("parlance", args, this.environment, /^ready/);
    this.port = Number(/^listening on \S*:(\d+)/m.exec(this.log.join("\n"))[1]);
  }

  get host() {
    return `127.0.0.1:${this.port}`;
  }

  async restart() {
    await this.kill9();
    await this.again();
  }

  async end() {
    await this.kill9();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Calls with what `start` makes, and ends it whatever happens. */
export function using(args, test) {
  return async () => {
    const upstream = await Upstream.start(...args);
    let server;
    try {
      server = await Server.start({ upstream });
      await test(server);
    } finally {
      await server?.end();
      await upstream.kill9();
    }
  };
}
