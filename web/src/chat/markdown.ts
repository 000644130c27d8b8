// Markdown to safe HTML, block by block: while an answer is written only its last block is made anew.
//
// Two walls against what an answer might try: raw HTML in it is text (`html` below), and what comes
// out passes DOMPurify with a short list of tags. The pages' policy is the third.
import DOMPurify from "dompurify";
import { Marked, type Token, type Tokens } from "marked";
import { highlighted } from "./code";
import { t } from "./texts";

export interface Block {
  key: number;
  html: string;
  /** What it was made of. */
  raw: string;
  growing: boolean;
}

/** True while the block that is being drawn may still grow. */
let growing = false;

const marked = new Marked({ gfm: true, breaks: true });
marked.use({
  renderer: {
    html({ text }) {
      return /^<br\s*\/?>$/i.test(text.trim()) ? "<br>" : escaped(text);
    },
    code({ text, lang }) {
      const name = /^[\w+#.-]{1,30}/.exec(lang ?? "")?.[0] ?? "";
      const inner = (growing ? null : highlighted(text, name)) ?? escaped(text);
      return (
        `<div class="code" dir="ltr"><div class="code-head"><span>${escaped(name)}</span>` +
        `<button type="button" class="quiet" data-copy="code">${escaped(t("copyCode"))}</button></div>` +
        `<pre tabindex="0"><code>${inner}</code></pre></div>\n`
      );
    },
    // Below the page's own headings; they look as they were meant.
    heading({ depth, tokens }) {
      const level = Math.min(6, depth + 2);
      return `<h${level} class="h${depth}">${this.parser.parseInline(tokens)}</h${level}>\n`;
    },
    codespan({ text }) {
      return `<code dir="auto">${escaped(text)}</code>`;
    },
    table(token) {
      const cell = (tag: string, each: Tokens.TableCell) =>
        `<${tag}${each.align ? ` class="to-${each.align}"` : ""}>${this.parser.parseInline(each.tokens)}</${tag}>`;
      const row = (cells: Tokens.TableCell[], tag: string) => `<tr>${cells.map((each) => cell(tag, each)).join("")}</tr>`;
      const rows = token.rows.map((cells) => row(cells, "td")).join("");
      return `<div class="table" tabindex="0"><table><thead>${row(token.header, "th")}</thead><tbody>${rows}</tbody></table></div>\n`;
    },
    link({ href, tokens }) {
      const inner = this.parser.parseInline(tokens);
      if (!/^(https?:|mailto:)/i.test(href)) return inner;
      return `<a href="${escaped(href)}" target="_blank" rel="noopener noreferrer nofollow">${inner}</a>`;
    },
    // Pictures from elsewhere would tell that elsewhere who reads here.
    image({ href, text }) {
      const label = escaped(text || t("image"));
      if (/^data:image\/(png|jpeg|gif|webp);base64,/i.test(href)) return `<img src="${escaped(href)}" alt="${label}">`;
      if (!/^https?:/i.test(href)) return label;
      return `<a href="${escaped(href)}" target="_blank" rel="noopener noreferrer nofollow">${label}</a>`;
    },
    checkbox({ checked }) {
      return checked ? "☑ " : "☐ ";
    },
  },
});

const ALLOWED = {
  ALLOWED_TAGS:
    "p br hr h1 h2 h3 h4 h5 h6 strong em del code pre blockquote ul ol li table thead tbody tr th td a img div span button".split(" "),
  ALLOWED_ATTR: ["href", "target", "rel", "src", "alt", "class", "dir", "start", "tabindex", "type", "data-copy"],
  // Of all others the value has to be an address.
  ADD_URI_SAFE_ATTR: ["target", "rel", "dir", "start", "tabindex", "type", "data-copy"],
  ALLOW_DATA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|data:image\/(?:png|jpeg|gif|webp);base64,)/i,
};

// Each point of a list runs as it is written, with its mark on that side.
DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName === "LI") node.setAttribute("dir", "auto");
});

export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (each) => `&#${each.charCodeAt(0)};`);
}

function htmlOf(tokens: Token[]): string {
  return DOMPurify.sanitize(marked.parser(tokens), ALLOWED);
}

const isBlank = (token: Token) => token.type === "space";

/** The blocks of one text that may grow. */
export class MarkdownBlocks {
  private text = "";
  private blocks: Block[] = [];
  /** So many blocks, and so much of the text, will not change any more. */
  private firm = 0;
  private firmLength = 0;
  private done = false;

  /** The blocks of `text`; those that did not change are the same objects. */
  of(written: string, done: boolean): readonly Block[] {
    const text = written.includes("\r") ? written.replace(/\r\n?/g, "\n") : written;
    if (text === this.text && done === this.done && this.blocks.length > 0) return this.blocks;
    if (!text.startsWith(this.text) || done) this.firm = this.firmLength = 0;
    this.text = text;
    this.done = done;

    const tokens = marked.lexer(text.slice(this.firmLength));
    const groups = tokens.filter((token) => !isBlank(token));
    const blocks = this.blocks.slice(0, this.firm);
    groups.forEach((token, i) => {
      blocks.push(this.block(blocks.length, token, i === groups.length - 1 && !done));
    });
    this.blocks = blocks;
    if (!done) this.settle(tokens);
    return blocks;
  }

  /** Draws everything anew, in other colours or another language. */
  forget(): void {
    this.text = "";
    this.blocks = [];
    this.firm = this.firmLength = 0;
  }

  private block(place: number, token: Token, grows: boolean): Block {
    const before = this.blocks[place];
    if (before?.raw === token.raw && before.growing === grows) return before;
    growing = grows;
    const html = htmlOf([token]);
    growing = false;
    return { key: place, html, raw: token.raw, growing: grows };
  }

  /** All but the last two blocks are done: what follows cannot become part of them. */
  private settle(tokens: Token[]): void {
    let keep = 0;
    for (let i = tokens.length - 1, left = 2; i >= 0; --i) {
      if (!isBlank(tokens[i]!) && --left === 0) {
        keep = i;
        break;
      }
    }
    for (const token of tokens.slice(0, keep)) {
      this.firmLength += token.raw.length;
      if (!isBlank(token)) ++this.firm;
    }
  }
}

/** The words alone, for a list or a screen reader. */
export function plainText(markdown: string, most: number): string {
  const text = markdown.replace(/```[\s\S]*?(```|$)/g, " ").replace(/[#*_`>|~-]+/g, " ").replace(/\s+/g, " ").trim();
  return text.length > most ? `${text.slice(0, most)}…` : text;
}
