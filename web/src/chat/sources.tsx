// The passages that an answer was made from, beside it.
import { useEffect, useState } from "preact/hooks";
import { Refusal } from "../shared/http";
import { number } from "../shared/i18n";
import { Icon } from "../shared/icons";
import type { Run } from "../stream";
import type { Chat } from "./chats";
import { type Passage, passagesOf, passageText } from "./documents";
import { sourcesOf } from "./steps";
import { useTranslate } from "./texts";

interface Shown {
  name: string;
  from: number;
  to: number;
  passage?: Passage;
}

export function Sources({ chat, run, onClose }: { chat: Chat; run: Run; onClose: () => void }) {
  const t = useTranslate();
  const [passages, setPassages] = useState<Passage[] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    setPassages(null);
    setProblem(null);
    if (!chat.secret) return;
    let here = true;
    passagesOf(chat, run.id, run.text).then(
      (found) => here && setPassages(found),
      (error) => here && setProblem(error instanceof Refusal ? error.message || t("unreachable") : String(error)),
    );
    return () => {
      here = false;
    };
  }, [chat.id, run.id]);

  // What the step says is there at once; the passages with their texts follow.
  const named: Shown[] = sourcesOf(run) ?? [];
  const shown: Shown[] = passages?.length ? passages.map((each) => ({ name: each.name, from: each.span[0], to: each.span[1], passage: each })) : named;
  return (
    <aside class="sources" aria-label={t("sourcesTitle")}>
      <header class="panel-head">
        <div>
          <h2>{t("sourcesTitle")}</h2>
          <p class="faint">{t(shown.length > 0 ? "sourcesHint" : "sourcesNone")}</p>
        </div>
        <button type="button" class="quiet icon-button" aria-label={t("close")} onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      {problem && <p class="bad">{t("passageUnread", { why: problem })}</p>}
      <ol class="source-list">
        {shown.map((each, i) => (
          <Source key={`${each.name} ${each.from}`} place={i + 1} chat={chat} source={each} waiting={chat.secret !== undefined && passages === null && !problem} />
        ))}
      </ol>
    </aside>
  );
}

function Source({ place, chat, source, waiting }: { place: number; chat: Chat; source: Shown; waiting: boolean }) {
  const t = useTranslate();
  const { passage } = source;
  const [text, setText] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const whole = text ?? passage?.text ?? null;
  const fetchText = async () => {
    try {
      setText(await passageText(chat, passage!.id));
    } catch (error) {
      setProblem(error instanceof Refusal ? error.message || t("unreachable") : String(error));
    }
  };
  return (
    <li class="source">
      <div class="source-head">
        <span class="source-number">{number(place)}</span>
        <span class="source-name" dir="auto">
          {source.name}
        </span>
      </div>
      <div class="faint source-place">
        {t("sourceSpan", { from: source.from, to: source.to })}
        {passage?.distance != null && ` · ${t("distance", { n: number(passage.distance, { maximumFractionDigits: 2 }) })}`}
      </div>
      {whole !== null && (
        <blockquote dir="auto" tabindex={0}>
          {whole}
        </blockquote>
      )}
      {waiting && <span class="spinner" />}
      {passage && whole === null && (
        <button type="button" class="quiet small" onClick={() => void fetchText()}>
          {t("wholePassage")}
        </button>
      )}
      {problem && <p class="bad">{t("passageUnread", { why: problem })}</p>}
    </li>
  );
}
