// One chat: its messages, the state of its stream, and where to write.
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { language } from "../shared/appearance";
import { Refusal } from "../shared/http";
import { Icon } from "../shared/icons";
import { useStore } from "../shared/store";
import { answerOf, phaseOf, type Run, type StreamState, type Unsent } from "../stream";
import { agentOf, agents } from "./agents";
import { changeChat, type Chat, titleOf } from "./chats";
import { Composer, type ComposerHandle } from "./composer";
import { useEscape } from "./escape";
import { plainText } from "./markdown";
import type { ChatSession } from "./session";
import { Sources } from "./sources";
import { neverRan } from "./steps";
import { type TextKey, useTranslate } from "./texts";
import { COPIED_MS, copyText, Notice, Turn, type TurnActions, UnsentTurn } from "./turn";
import { dismissUpload, type Upload, upload, uploads } from "./uploads";
import { VirtualList } from "./virtual_list";
import { recordingsOf, retryVoice, sendRecording, stopPlaying, type VoiceOfRun } from "./voice";

interface Props {
  session: ChatSession;
  chat: Chat;
  composer: preact.RefObject<ComposerHandle>;
  onMenu: () => void;
  announce: (text: string) => void;
}

type Row = { run: Run } | { unsent: Unsent };
const keyOf = (row: Row) => ("run" in row ? row.run.id : row.unsent.id);

export function Conversation({ session, chat, composer, onMenu, announce }: Props) {
  const t = useTranslate();
  const transcript = useStore(session.transcript);
  const unsent = useStore(session.unsent);
  const held = useStore(session.held);
  const state = useStore(session.state);
  const loaded = useStore(session.loaded);
  const replaced = useStore(session.replaced);
  const [atEnd, setAtEnd] = useState(true);
  const [open, setOpen] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [documentsOpen, setDocumentsOpen] = useState(false);
  const list = useRef<VirtualList<Row>>(null);
  const voices = useVoices(session, chat);
  const work = useStore(uploads).get(chat.id) ?? [];

  const rows = useMemo<Row[]>(
    () => [...transcript.runs.map((run) => ({ run })), ...unsent.filter(({ id }) => !transcript.index.has(id)).map((each) => ({ unsent: each }))],
    [transcript.runs, unsent],
  );
  const running = transcript.runs.find((run) => run.outcome === null && phaseOf(run, transcript) === "running");
  const busy = running !== undefined || unsent.some((each) => each.refused === undefined);

  const guarded = useCallback((work: Promise<unknown>) => {
    work.catch((error) => setProblem(error instanceof Refusal ? error.message || t("unreachable") : String(error)));
  }, []);
  const say = useCallback(
    (text: string, instead?: string) => {
      setProblem(null);
      session.send(text);
      if (instead !== undefined) session.discard(instead);
      if (!chat.title) changeChat(chat.id, { title: titleOf(text) });
      list.current?.toEnd();
    },
    [session, chat],
  );
  const stop = useCallback(() => running && guarded(session.cancel(running.id)), [session, running?.id]);
  const actions = useMemo<TurnActions>(
    () => ({
      cancel: (run) => guarded(session.cancel(run.id)),
      retry: (run) => (run.text ? say(run.text) : guarded(retryVoice(chat.id, run.id))),
      edit: (text) => composer.current?.edit(text),
      sources: (run) => setOpen((now) => (now === run.id ? null : run.id)),
    }),
    [session, say],
  );
  const record = useCallback(
    async (recording: Blob, key: string) => {
      setProblem(null);
      list.current?.toEnd();
      try {
        await sendRecording(chat.id, recording, language.get(), key);
        return true;
      } catch (error) {
        setProblem(t("voiceFailed", { why: error instanceof Refusal ? error.message || t("unreachable") : String(error) }));
        // With an id it is in the log, and is tried again from there.
        return !(error instanceof Refusal && error.passing && error.messageId === undefined);
      }
    },
    [chat.id],
  );
  const addFiles = useCallback(
    (files: File[]) => {
      setDocumentsOpen(true);
      void upload(chat, files);
    },
    [chat],
  );

  // What happened, for those who do not see it.
  const ended = useRef<Set<string> | null>(null);
  const wasLive = useRef(false);
  useEffect(() => {
    const now = new Set(transcript.runs.filter((run) => run.outcome !== null).map((run) => run.id));
    if (ended.current && wasLive.current) {
      for (const run of transcript.runs.slice(-8)) {
        if (!now.has(run.id) || ended.current.has(run.id)) continue;
        if (run.outcome === "failed") announce(t("announceFailed", { text: run.error ?? "" }));
        else announce(t("announceDone", { text: plainText(answerOf(run) ?? "", 400) }));
      }
    }
    ended.current = now;
  }, [transcript.seq]);
  // After the one above: what comes in the same drawing as "live" was missed, and is no news.
  useEffect(() => {
    wasLive.current = state === "live";
  }, [state]);

  useEscape("sources", open ? () => setOpen(null) : null);
  useEscape("answer", running ? stop : null);
  useEffect(() => stopPlaying, []);

  const copied = useRef(new WeakMap<HTMLElement, ReturnType<typeof setTimeout>>());
  const onClick = async (event: MouseEvent) => {
    const button = (event.target as Element).closest<HTMLElement>("[data-copy]");
    if (!button) return;
    const code = button.closest(".code")?.querySelector("code")?.textContent ?? "";
    if (!(await copyText(code))) return;
    clearTimeout(copied.current.get(button));
    button.textContent = t("copied");
    copied.current.set(button, setTimeout(() => (button.textContent = t("copyCode")), COPIED_MS));
  };

  const shownRun = open === null ? undefined : transcript.runs[transcript.index.get(open) ?? -1];
  const agent = agentOf(chat.agentId);
  useStore(agents);
  const subtitle = chat.kind === "agent" ? agent?.name : undefined;
  return (
    <div class={shownRun ? "conversation with-sources" : "conversation"}>
      <header class="head">
        <button type="button" class="quiet icon-button only-narrow" aria-label={t("openMenu")} onClick={onMenu}>
          <Icon name="menu" />
        </button>
        <div class="head-text">
          <h1 dir="auto">{chat.title || t("untitled")}</h1>
          {subtitle && (
            <span class="faint head-agent" dir="auto">
              {subtitle}
            </span>
          )}
        </div>
        {chat.kind === "documents" && (
          <button type="button" class="small with-icon" aria-expanded={documentsOpen} onClick={() => setDocumentsOpen(!documentsOpen)}>
            <Icon name="sources" />
            {t("documentsOf", { n: chat.files?.length ?? 0 })}
          </button>
        )}
        <StateChip state={state} onReconnect={() => session.reconnect()} announce={announce} />
      </header>

      {(documentsOpen || work.length > 0) && (
        <Documents
          chat={chat}
          work={work}
          onClose={() => {
            setDocumentsOpen(false);
            for (const { key, failed } of work) if (failed !== null) dismissUpload(chat, key);
          }}
        />
      )}

      <div class="thread" onClick={(event) => void onClick(event)}>
        {replaced && (
          <div class="faint gap-note" role="status">
            <span>{t("gapNote")}</span>
            <button type="button" class="quiet icon-button small" aria-label={t("close")} onClick={() => session.replaced.set(false)}>
              <Icon name="close" />
            </button>
          </div>
        )}
        {loaded && (
          <VirtualList
            key={chat.id}
            ref={list}
            items={rows}
            keyOf={keyOf}
            label={chat.title || t("untitled")}
            onEnd={setAtEnd}
            render={(row, place) =>
              "run" in row ? (
                <Turn
                  run={row.run}
                  before={transcript.runs[place - 1]}
                  phase={phaseOf(row.run, transcript)}
                  voice={voices.get(row.run.id)}
                  sourcesOpen={open === row.run.id}
                  untouched={neverRan(row.run, transcript.runs)}
                  actions={actions}
                />
              ) : (
                <UnsentTurn
                  message={row.unsent}
                  waits={state === "offline" ? "offline" : held}
                  onEdit={() => composer.current?.edit(row.unsent.text, row.unsent.id)}
                  onRetry={() => session.resend(row.unsent.id)}
                  onDiscard={() => session.discard(row.unsent.id)}
                />
              )
            }
          />
        )}
        {loaded && rows.length === 0 && <Empty state={state} chat={chat} work={work.length > 0} />}
        {!atEnd && (
          <button type="button" class="to-end" aria-label={t("latest")} title={t("latest")} onClick={() => list.current?.toEnd()}>
            <Icon name="down" />
          </button>
        )}
      </div>

      <Composer
        key={chat.id}
        handle={composer}
        draft={chat.id}
        busy={busy}
        problem={problem}
        onSend={say}
        onStop={running ? stop : undefined}
        onFiles={chat.kind === "documents" ? addFiles : undefined}
        onRecording={chat.kind === "agent" ? record : undefined}
        onEditLast={() => transcript.runs.findLast((run) => run.text !== "")?.text}
      />
      {shownRun && <Sources chat={chat} run={shownRun} onClose={() => setOpen(null)} />}
    </div>
  );
}

function Empty({ state, chat, work }: { state: StreamState; chat: Chat; work: boolean }) {
  const t = useTranslate();
  if (state === "refused") {
    return (
      <div class="empty">
        <h2>{t("gone")}</h2>
        <p class="faint">{t("goneHint")}</p>
      </div>
    );
  }
  if (state !== "live" || work) return null;
  return (
    <div class="empty">
      <p class="faint">{t(chat.kind === "documents" && !chat.files?.length ? "documentsNone" : "emptyChat")}</p>
    </div>
  );
}

const STATES: Record<StreamState, { text: TextKey; hint: TextKey }> = {
  connecting: { text: "connecting", hint: "connectingHint" },
  "catching-up": { text: "catchingUp", hint: "catchingUpHint" },
  live: { text: "live", hint: "liveHint" },
  offline: { text: "offline", hint: "offlineHint" },
  refused: { text: "noAccess", hint: "goneHint" },
};

const LASTING_MS = 3_000;

function StateChip({ state, onReconnect, announce }: { state: StreamState; onReconnect: () => void; announce: (text: string) => void }) {
  const t = useTranslate();
  const { text, hint } = STATES[state];
  // Every try to connect is a change to be seen, and none to be told.
  const lasting = state === "live" || state === "refused" ? state : "offline";
  const told = useRef<StreamState>("live");
  useEffect(() => {
    if (told.current === lasting) return;
    const timer = setTimeout(() => {
      told.current = lasting;
      announce(`${t(STATES[lasting].text)}. ${t(STATES[lasting].hint)}`);
    }, LASTING_MS);
    return () => clearTimeout(timer);
  }, [lasting]);
  return (
    <div class={`state ${state}`} data-state={state} title={t(hint)}>
      <span class="dot" />
      <span class="state-text">{t(text)}</span>
      {state === "offline" && (
        <button type="button" class="quiet icon-button small" aria-label={t("reconnect")} title={t("reconnect")} onClick={onReconnect}>
          <Icon name="retry" turns />
        </button>
      )}
    </div>
  );
}

function Documents({ chat, work, onClose }: { chat: Chat; work: readonly Upload[]; onClose: () => void }) {
  const t = useTranslate();
  const files = chat.files ?? [];
  return (
    <section class="documents" aria-label={t("documentsTitle")}>
      <div class="documents-head">
        <div>
          <h2>{t("documentsTitle")}</h2>
          <p class="faint">{files.length > 0 || work.length > 0 ? t("documentsKinds") : t("documentsNone")}</p>
        </div>
        <button type="button" class="quiet icon-button" aria-label={t("close")} onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
      <ul>
        {files.map((file, i) => (
          <li key={`${file.name} ${i}`} class="with-icon">
            <Icon name="sources" />
            <bdi>{file.name}</bdi>
          </li>
        ))}
        {work.map(
          ({ key, files, failed }) =>
            failed === null && (
              <li key={key} class="with-icon faint" role="status">
                <span class="spinner" />
                {files.length === 1 ? t("storing", { name: files[0]!.name }) : t("storingMany", { n: files.length })}
              </li>
            ),
        )}
      </ul>
      {work.map(
        ({ key, files, failed, again }) =>
          failed !== null && (
            <Notice key={key} title={t("notStored", { names: files.map((file) => file.name).join(", ") })} text={failed}>
              {again && (
                <button type="button" class="small" onClick={() => void upload(chat, files, key)}>
                  {t("retry")}
                </button>
              )}
              <button type="button" class="small" onClick={() => dismissUpload(chat, key)}>
                {t("discard")}
              </button>
            </Notice>
          ),
      )}
    </section>
  );
}

/** The recordings of a chat; asked for when the number of voice messages that have ended changes. */
function useVoices(session: ChatSession, chat: Chat): ReadonlyMap<string, VoiceOfRun> {
  const transcript = useStore(session.transcript);
  const [voices, setVoices] = useState<ReadonlyMap<string, VoiceOfRun>>(new Map());
  const steps = useMemo(
    () =>
      chat.kind === "agent"
        ? transcript.runs.reduce((n, run) => n + (run.text === "" ? 1 + (run.outcome === null ? 0 : 1) : 0), 0)
        : 0,
    [transcript.seq, chat.kind],
  );
  useEffect(() => {
    if (steps === 0) return;
    let here = true;
    recordingsOf(chat.id).then(
      (found) => here && setVoices(found),
      () => {}, // The texts are there without.
    );
    return () => {
      here = false;
    };
  }, [steps, chat.id]);
  return voices;
}
