// One message of the user with what came of it.
import { Component } from "preact";
import { useEffect, useState } from "preact/hooks";
import { directionOf, language } from "../shared/appearance";
import { clock, duration, moment, number } from "../shared/i18n";
import { Icon, type IconName } from "../shared/icons";
import { useStore } from "../shared/store";
import { answerOf, type Held, type Phase, type Run, type Unsent } from "../stream";
import { Activities } from "./activity";
import { Answer } from "./answer";
import { sourcesOf, tookOf } from "./steps";
import { t, type TextKey, useTranslate } from "./texts";
import { playing, type Recorded, toggle, type VoiceOfRun } from "./voice";

export interface TurnActions {
  cancel: (run: Run) => void;
  retry: (run: Run) => void;
  edit: (text: string) => void;
  sources: (run: Run) => void;
}

interface Props {
  run: Run;
  before: Run | undefined;
  phase: Phase;
  voice: VoiceOfRun | undefined;
  sourcesOpen: boolean;
  /** It never had its turn. */
  untouched: boolean;
  actions: TurnActions;
}

/** Drawn anew only when something of it has changed: there may be many, and deltas come often. */
export class Turn extends Component<Props> {
  override shouldComponentUpdate(next: Props) {
    const now = this.props;
    return (
      next.run !== now.run || next.phase !== now.phase || next.voice !== now.voice ||
      next.sourcesOpen !== now.sourcesOpen || next.untouched !== now.untouched || next.actions !== now.actions
    );
  }

  override render(props: Props) {
    return <Drawn {...props} />;
  }
}

function Drawn({ run, before, phase, voice, sourcesOpen, untouched, actions }: Props) {
  const t = useTranslate();
  const running = phase === "running";
  const ended = run.outcome !== null;
  const text = answerOf(run);
  const spoken = run.text === "" || voice !== undefined;
  const heard = spoken ? run.steps.find((step) => step.type === "TranscriptStep")?.text : undefined;
  const question = run.text || heard || "";
  return (
    <article class="turn" aria-busy={running}>
      <div class="ask">
        <h2 class="hidden">{t("you")}</h2>
        <div class={phase === "waiting" ? "bubble faded" : "bubble"} {...(question && { dir: "auto" })}>
          {spoken && (
            // Its direction is the page's, and says nothing of what was said.
            <div class="voice-line" dir={directionOf(language.get())}>
              {voice?.question ? <Player audio={voice.question} label={t("playRecording")} /> : <Icon name="mic" />}
              {!heard && <span class="faint">{t("voiceMessage")}</span>}
            </div>
          )}
          {question && <Question text={question} />}
        </div>
        <div class="turn-tools">
          {phase === "waiting" ? (
            <>
              <span class="faint with-icon">
                <Icon name="clock" />
                {t("waiting")}
              </span>
              <Tool icon="close" label={t("removeQueued")} text={t("remove")} onClick={() => actions.cancel(run)} />
            </>
          ) : (
            <>
              <time class="faint on-hover" dateTime={new Date(run.at).toISOString()} title={moment(run.at)}>
                {clock(run.at)}
              </time>
              {question && <CopyTool text={question} label={t("copyMessage")} hover />}
              {question && <Tool icon="edit" label={t("editAgain")} onClick={() => actions.edit(question)} hover />}
            </>
          )}
        </div>
      </div>

      {phase !== "waiting" && (
        <div class="reply">
          <h2 class="hidden">{t("assistant")}</h2>
          <Activities run={run} running={running} />
          {text ? <Answer run={run} text={text} done={ended || run.live === null} /> : null}
          {running && !text && (
            <div class="thinking faint">
              <span class="spinner" />
              {t("thinking")}
            </div>
          )}
          {running && run.error && <Notice title={t("stalled")} text={run.error} />}
          {run.outcome === "failed" && (
            <Notice title={t("failed")} text={run.error ?? ""}>
              <button type="button" class="small" onClick={() => actions.retry(run)}>
                <Icon name="retry" />
                {t("retry")}
              </button>
            </Notice>
          )}
          {run.outcome === "cancelled" && (
            <div class="faint with-icon stopped">
              <Icon name={untouched ? "close" : "stop"} />
              {t(untouched ? "removed" : "stopped")}
            </div>
          )}
          {ended && !untouched && <ReplyTools run={run} before={before} text={text} voice={voice} sourcesOpen={sourcesOpen} actions={actions} />}
        </div>
      )}
    </article>
  );
}

function ReplyTools({ run, before, text, voice, sourcesOpen, actions }: Omit<Props, "phase" | "untouched"> & { text: string | null }) {
  const sources = sourcesOf(run);
  const took = tookOf(run, before);
  const usage = run.usage;
  return (
    <div class="turn-tools">
      {sources !== null && (
        <button type="button" class="quiet small with-icon sources-button" aria-expanded={sourcesOpen} onClick={() => actions.sources(run)}>
          <Icon name="sources" />
          {t("sources", { n: sources.length })}
        </button>
      )}
      {voice?.answer && <Player audio={voice.answer} label={t("playAnswer")} />}
      {text && <CopyTool text={text} label={t("copyAnswer")} />}
      {run.outcome !== "failed" && <Tool icon="retry" label={t("retryHint")} onClick={() => actions.retry(run)} />}
      <span class="faint meta">
        {took !== null && <span title={t("took", { time: duration(took) })}>{duration(took)}</span>}
        {usage && (
          <span title={t("tokensOf", { in: usage.prompt_tokens, out: usage.completion_tokens })}>{t("tokens", { n: usage.total_tokens })}</span>
        )}
      </span>
    </div>
  );
}

const LONG_LINES = 14;
const LONG_TEXT = 1200;
// Of a long text, what is laid out while it is folded: more than is seen of it.
const FOLDED_TEXT = 4000;

function Question({ text }: { text: string }) {
  const t = useTranslate();
  const [all, showAll] = useState(false);
  const long = text.length > LONG_TEXT || text.split("\n").length > LONG_LINES;
  return (
    <>
      <div class={long && !all ? "said short" : "said"}>{long && !all ? text.slice(0, FOLDED_TEXT) : text}</div>
      {long && (
        <button type="button" class="quiet small" aria-expanded={all} onClick={() => showAll(!all)}>
          {t(all ? "showLess" : "showAll")}
        </button>
      )}
    </>
  );
}

const WAITS = { offline: "sendingOffline", full: "sendingFull", busy: "sendingBusy" } satisfies Record<Held | "offline", TextKey>;

/** A message that the server is not known to have yet. */
export function UnsentTurn({ message, waits, onEdit, onRetry, onDiscard }: {
  message: Unsent;
  /** For what; it is on its way when for nothing. */
  waits: keyof typeof WAITS | undefined;
  onEdit: () => void;
  onRetry: () => void;
  onDiscard: () => void;
}) {
  const t = useTranslate();
  return (
    <article class="turn">
      <div class="ask">
        <h2 class="hidden">{t("you")}</h2>
        <div class="bubble faded" dir="auto">
          <Question text={message.text} />
        </div>
        {message.refused === undefined ? (
          <div class="turn-tools">
            <span class="faint with-icon">
              {waits ? <Icon name="clock" /> : <span class="spinner" />}
              {t(waits ? WAITS[waits] : "sending")}
            </span>
            <Tool icon="close" label={t("discard")} text={t("remove")} onClick={onDiscard} />
          </div>
        ) : (
          <Notice title={t("refused")} text={message.refused}>
            <button type="button" class="small" onClick={onEdit}>
              {t("edit")}
            </button>
            <button type="button" class="small" onClick={onRetry}>
              {t("retry")}
            </button>
            <button type="button" class="small" onClick={onDiscard}>
              {t("discard")}
            </button>
          </Notice>
        )}
      </div>
    </article>
  );
}

export function Notice({ title, text, children }: { title: string; text: string; children?: preact.ComponentChildren }) {
  return (
    <div class="notice" role="note">
      <Icon name="warning" />
      <div class="notice-body">
        <strong>{title}</strong>
        {text && <div dir="auto">{text}</div>}
        {children && <div class="notice-actions">{children}</div>}
      </div>
    </div>
  );
}

function Tool({ icon, label, text, onClick, hover }: { icon: IconName; label: string; text?: string; onClick: () => void; hover?: boolean }) {
  return (
    <button type="button" class={`quiet small ${text ? "with-icon" : "icon-button"} ${hover ? "on-hover" : ""}`} aria-label={label} title={label} onClick={onClick}>
      <Icon name={icon} turns={icon === "retry"} />
      {text}
    </button>
  );
}

/** How long it is said that something was copied. */
export const COPIED_MS = 1500;

function CopyTool({ text, label, hover }: { text: string; label: string; hover?: boolean }) {
  const [copied, setCopied] = useState(0);
  useEffect(() => {
    const timer = copied && setTimeout(() => setCopied(0), COPIED_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    if (await copyText(text)) setCopied((times) => times + 1);
  };
  return <Tool icon={copied ? "check" : "copy"} label={copied ? t("copied") : label} onClick={copy} {...(hover && { hover })} />;
}

/** False where the browser does not let us. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages without https have no such interface; the old way works there.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "hidden";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

function Player({ audio, label }: { audio: Recorded; label: string }) {
  const now = useStore(playing);
  const mine = now?.href === audio.href ? now : null;
  const active = mine !== null && mine.state !== "failed";
  const name = mine?.state === "failed" ? t("playFailed", { why: mine.error ?? "" }) : active ? t("pause") : label;
  return (
    <button type="button" class="small player with-icon" aria-label={name} title={name} onClick={() => void toggle(audio.href)}>
      {mine?.state === "loading" ? <span class="spinner" /> : <Icon name={mine?.state === "failed" ? "warning" : active ? "pause" : "play"} />}
      {audio.duration_ms !== null && <span>{number(audio.duration_ms / 1000, { style: "unit", unit: "second", unitDisplay: "narrow", maximumFractionDigits: 1 })}</span>}
    </button>
  );
}
