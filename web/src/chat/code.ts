// Colours for code. The library and each language come when an answer first wants them.
import type { HLJSApi, LanguageFn } from "highlight.js";
import { Store } from "../shared/store";

type Load = () => Promise<{ default: LanguageFn }>;

const languages: Record<string, Load> = {
  bash: () => import("highlight.js/lib/languages/bash"),
  c: () => import("highlight.js/lib/languages/c"),
  cpp: () => import("highlight.js/lib/languages/cpp"),
  css: () => import("highlight.js/lib/languages/css"),
  diff: () => import("highlight.js/lib/languages/diff"),
  go: () => import("highlight.js/lib/languages/go"),
  java: () => import("highlight.js/lib/languages/java"),
  javascript: () => import("highlight.js/lib/languages/javascript"),
  json: () => import("highlight.js/lib/languages/json"),
  python: () => import("highlight.js/lib/languages/python"),
  rust: () => import("highlight.js/lib/languages/rust"),
  sql: () => import("highlight.js/lib/languages/sql"),
  typescript: () => import("highlight.js/lib/languages/typescript"),
  xml: () => import("highlight.js/lib/languages/xml"),
  yaml: () => import("highlight.js/lib/languages/yaml"),
};

const otherNames: Record<string, string> = {
  sh: "bash", shell: "bash", zsh: "bash", console: "bash", "c++": "cpp", cc: "cpp", h: "cpp", hpp: "cpp", golang: "go",
  js: "javascript", jsx: "javascript", mjs: "javascript", py: "python", python3: "python", rs: "rust",
  ts: "typescript", tsx: "typescript", html: "xml", svg: "xml", yml: "yaml", patch: "diff", jsonc: "json",
};

const LONGEST = 50_000;

/** Rises when a language has come. */
export const coloursReady = new Store(0);

let library: HLJSApi | undefined;
const asked = new Set<string>();

/** Highlighted HTML, all else escaped; null where the language is unknown, or not here yet. */
export function highlighted(code: string, lang: string): string | null {
  const lower = lang.toLowerCase();
  const name = otherNames[lower] ?? lower;
  if (!Object.hasOwn(languages, name) || code.length > LONGEST) return null;
  if (library?.getLanguage(name)) return library.highlight(code, { language: name, ignoreIllegals: true }).value;
  if (!asked.has(name)) {
    asked.add(name);
    void load(name).catch(() => asked.delete(name));
  }
  return null;
}

async function load(name: string): Promise<void> {
  const [core, language] = await Promise.all([import("highlight.js/lib/core"), languages[name]!()]);
  library = core.default;
  library.registerLanguage(name, language.default);
  coloursReady.update((n) => n + 1);
}
