// The text of an answer, which may be growing.
import { Component, createRef } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { language } from "../shared/appearance";
import { useStore } from "../shared/store";
import type { Run } from "../stream";
import { coloursReady } from "./code";
import { type Block, MarkdownBlocks } from "./markdown";
import { morph } from "./morph";

/** What was drawn of answers that do not change any more, for when they come into view again. */
const drawn = new WeakMap<Run, { look: string; blocks: readonly Block[] }>();

/** Of the page's time, what drawing a growing answer may take. */
const SHARE = 1 / 16;

/** What of a growing text is to be drawn now: long blocks are drawn less often. */
function useGrowing(text: string, done: boolean) {
  const last = useRef({ text, cost: 0, at: 0 });
  const [, again] = useState(0);
  const wait = last.current.at + last.current.cost / SHARE - performance.now();
  const due = done || wait <= 0;
  if (due) last.current.text = text;
  const behind = last.current.text !== text;
  useEffect(() => {
    if (!behind) return;
    const timer = setTimeout(() => again((n) => n + 1), wait);
    return () => clearTimeout(timer);
  }, [behind]);
  const drew = (began: number) => {
    const now = performance.now();
    Object.assign(last.current, { cost: now - began, at: now });
  };
  return { shown: last.current.text, drew };
}

export function Answer({ run, text: whole, done }: { run: Run; text: string; done: boolean }) {
  const { shown: text, drew } = useGrowing(whole, done);
  const look = `${useStore(language)} ${useStore(coloursReady)}`;
  const markdown = useRef<MarkdownBlocks>();
  const seen = useRef(look);
  const began = useRef(0);
  const blocks = useMemo(() => {
    const before = drawn.get(run);
    if (done && before?.look === look) return before.blocks;
    markdown.current ??= new MarkdownBlocks();
    if (seen.current !== look) markdown.current.forget();
    seen.current = look;
    began.current = performance.now();
    const blocks = markdown.current.of(text, done);
    if (done) drawn.set(run, { look, blocks });
    return blocks;
  }, [done ? run : null, text, done, look]);
  useLayoutEffect(() => drew(began.current), [blocks]);
  return (
    <div class={done ? "md" : "md growing"} dir="auto">
      {blocks.map((block) => (
        <Html key={block.key} html={block.html} />
      ))}
    </div>
  );
}

/** Sanitised HTML. While it grows only what is new in it is drawn. */
class Html extends Component<{ html: string }> {
  private readonly place = createRef<HTMLDivElement>();

  override shouldComponentUpdate({ html }: { html: string }) {
    if (html === this.props.html) return false;
    const next = document.createElement("template");
    next.innerHTML = html;
    morph(this.place.current!, next.content);
    return false;
  }

  override render() {
    return <div ref={this.place} class="block" dangerouslySetInnerHTML={{ __html: this.props.html }} />;
  }
}
