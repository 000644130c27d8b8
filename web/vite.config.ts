import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
// Where `npm run dev` finds a server; its pages are then at the port that Vite tells.
const server = process.env.PARLANCE_URL ?? "http://127.0.0.1:8080";
const routes = ["/chat", "/history", "/api", "/auth", "/sessions", "/queries", "/documents", "/passages", "/ws", "/healthz", "/console/"];

export default defineConfig({
  root: here("."),
  base: "/",
  // The client library of this tree, as its sources are.
  resolve: { alias: { "parlance-client": here("../clients/typescript/src") } },
  esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
  build: {
    outDir: process.env.PARLANCE_WEB_OUT ?? here("../build/page/dist"),
    emptyOutDir: true,
    target: "es2022",
    // Everything is a file of its own: the pages' policy allows nothing inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: { index: here("index.html"), console: here("console.html") },
    },
  },
  server: {
    proxy: Object.fromEntries(routes.map((path) => [path, { target: server, ws: true, changeOrigin: false }])),
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
