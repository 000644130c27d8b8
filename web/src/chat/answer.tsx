// The text of an answer, which may be growing.
import { useMemo, useRef } from "preact/hooks";
import { Component } from "preact";
import { language } from "../shared/appearance";
import { useStore } from "../shared/store";
import type { Run } from "../stream";
import { coloursReady } from "./code";
import { type Block, MarkdownBlocks } from "./markdown";

/** What was drawn of answers that do not change any more, for when they come into view again. */
const drawn = new WeakMap<Run, { look: string; blocks: readonly Block[] }>();

export function Answer({ run, text, done }: { run: Run; text: string; done: boolean }) {
  const look = `${useStore(language)} ${useStore(coloursReady)}`;
  const markdown = useRef<MarkdownBlocks>();
  const seen = useRef(look);
  const blocks = useMemo(() => {
    const before = drawn.get(run);
    if (done && before?.look === look) return before.blocks;
    markdown.current ??= new MarkdownBlocks();
    if (seen.current !== look) markdown.current.forget();
    seen.current = look;
    const blocks = markdown.current.of(text, done);
    if (done) drawn.set(run, { look, blocks });
    return blocks;
  }, [run, text, done, look]);
  return (
    <div class={done ? "md" : "md growing"} dir="auto">
      {blocks.map((block) => (
        <Html key={block.key} html={block.html} />
      ))}
    </div>
  );
}

/** Sanitised HTML; set anew only where it changed, so that what is selected in it stays so. */
class Html extends Component<{ html: string }> {
  override shouldComponentUpdate(next: { html: string }) {
    return next.html !== this.props.html;
  }

  override render() {
    return <div class="block" dangerouslySetInnerHTML={{ __html: this.props.html }} />;
  }
}
