// Where messages are written, or spoken.
import { useEffect, useImperativeHandle, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Ref } from "preact";
import { newId } from "../shared/http";
import { duration } from "../shared/i18n";
import { Icon } from "../shared/icons";
import { kept } from "../shared/store";
import { composing, useEscape } from "./escape";
import { useTranslate } from "./texts";
import { Recording } from "./voice";

export interface ComposerHandle {
  focus: () => void;
  /** Writes a message anew, instead of the one of the outbox with that id if there is one. The draft comes back afterwards. */
  edit: (text: string, instead?: string) => void;
  /** Takes back what could not be sent. */
  putBack: (text: string) => void;
}

interface Editing {
  draft: string;
  instead?: string;
}

function readEditing(json: string | null): Editing | null {
  try {
    return JSON.parse(json ?? "null");
  } catch {
    return null;
  }
}

/** False: the same recording may be sent again, with the same key. */
type SendRecording = (recording: Blob, key: string) => Promise<boolean>;

interface Props {
  handle: Ref<ComposerHandle>;
  /** Under which name a draft is kept. */
  draft: string;
  busy: boolean;
  /** `instead` is the id of a message in the outbox that this one replaces. */
  onSend: (text: string, instead?: string) => void;
  onStop?: (() => void) | undefined;
  onFiles?: ((files: File[]) => void) | undefined;
  onRecording?: SendRecording | undefined;
  onEditLast?: (() => string | undefined) | undefined;
  problem?: string | null;
}

export function Composer({ handle, draft, busy, onSend, onStop, onFiles, onRecording, onEditLast, problem }: Props) {
  const t = useTranslate();
  const area = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const keptDraft = kept(`parlance.draft.${draft}`, () => sessionStorage);
  const keptEditing = kept(`parlance.draft.${draft}/editing`, () => sessionStorage);
  const [text, setText] = useState(keptDraft.get() ?? "");
  const written = useRef(text);
  const [editing, setEditing] = useState(() => readEditing(keptEditing.get()));
  const [micProblem, setMicProblem] = useState<string | null>(null);
  const told = micProblem ?? problem;

  const change = (value: string) => {
    written.current = value;
    setText(value);
    keptDraft.set(value || null);
  };
  const changeEditing = (value: Editing | null) => {
    setEditing(value);
    keptEditing.set(value && JSON.stringify(value));
  };
  const edit = (value: string, instead?: string) => {
    changeEditing({ draft: editing?.draft ?? text, ...(instead !== undefined && { instead }) });
    change(value);
    area.current?.focus();
  };
  const leave = () => {
    changeEditing(null);
    change(editing?.draft ?? "");
    area.current?.focus();
  };
  const putBack = (value: string) => change(written.current ? `${value}\n${written.current}` : value);
  useImperativeHandle(handle, () => ({ focus: () => area.current?.focus(), edit, putBack }));

  // As high as what is in it, up to what the style allows.
  useLayoutEffect(() => {
    const element = area.current;
    if (!element) return;
    element.style.height = "auto";
    element.style.height = `${element.scrollHeight}px`;
  }, [text]);

  const send = () => {
    const message = text.trim();
    if (!message) return;
    change(editing?.draft ?? "");
    changeEditing(null);
    onSend(message, editing?.instead);
  };
  useEscape("composer", text === "" ? () => area.current?.blur() : null);
  const onKeyDown = (event: KeyboardEvent) => {
    if (composing(event)) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (event.key === "ArrowUp" && text === "") {
      const last = onEditLast?.();
      if (last === undefined) return;
      event.preventDefault();
      edit(last);
    } else if (event.key === "Escape" && editing) {
      event.stopPropagation();
      leave();
    }
  };

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {editing && (
        <div class="composer-note">
          <Icon name="edit" />
          <span>{t(editing.instead === undefined ? "editing" : "editingUnsent")}</span>
          <button type="button" class="quiet small" onClick={leave}>
            {t("cancel")}
          </button>
        </div>
      )}
      {told && (
        <div class="composer-note bad" role="alert">
          <Icon name="warning" />
          <span dir="auto">{told}</span>
        </div>
      )}
      <div class="composer-box">
        {onFiles && (
          <>
            <button type="button" class="quiet icon-button" aria-label={t("addFiles")} title={t("addFiles")} onClick={() => picker.current?.click()}>
              <Icon name="attach" />
            </button>
            <input
              ref={picker}
              type="file"
              multiple
              hidden
              onChange={({ currentTarget }) => {
                if (currentTarget.files?.length) onFiles([...currentTarget.files]);
                currentTarget.value = "";
              }}
            />
          </>
        )}
        <textarea
          id="message"
          ref={area}
          rows={1}
          dir="auto"
          value={text}
          aria-label={t("message")}
          placeholder={t(busy ? "messageQueued" : "messagePlaceholder")}
          onInput={({ currentTarget }) => {
            change(currentTarget.value);
            if (!currentTarget.value && !editing?.draft) changeEditing(null);
          }}
          onKeyDown={onKeyDown}
        />
        {onRecording && Recording.supported() && <Recorder chat={draft} offered={!busy && text === ""} onRecording={onRecording} onProblem={setMicProblem} onDone={() => matchMedia("(pointer: fine)").matches && area.current?.focus()} />}
        {busy && onStop && (
          <button type="button" class="round stop" aria-label={t("stop")} title={`${t("stop")} (${t("stopHint")})`} onClick={onStop}>
            <Icon name="stop" />
          </button>
        )}
        {(!busy || text.trim() !== "") && (
          <button type="submit" class="round" aria-label={t(busy ? "queue" : "send")} title={t(busy ? "queue" : "send")} disabled={text.trim() === ""}>
            <Icon name={busy ? "plus" : "send"} />
          </button>
        )}
      </div>
    </form>
  );
}

/** Recordings that did not reach the server, by chat. */
const unsent = new Map<string, { recording: Blob; key: string }>();

interface RecorderProps {
  chat: string;
  /** Whether one may be begun. */
  offered: boolean;
  onRecording: SendRecording;
  onProblem: (problem: string | null) => void;
  /** Nothing is recorded any more. */
  onDone: () => void;
}

function Recorder({ chat, offered, onRecording, onProblem, onDone }: RecorderProps) {
  const t = useTranslate();
  const [recording, setRecording] = useState<Recording | null>(null);
  const [starting, setStarting] = useState(false);
  const [sending, setSending] = useState(false);
  const [left, setLeft] = useState(unsent.has(chat));
  const [, tick] = useState(0);
  const current = useRef<Recording | null>(null);
  // Which start is still wanted: people take their time over the browser's question.
  const wanted = useRef(0);
  const sendButton = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    if (!recording) return;
    sendButton.current?.focus();
    const timer = setInterval(() => tick((n) => n + 1), 500);
    return () => clearInterval(timer);
  }, [recording]);
  useEffect(
    () => () => {
      ++wanted.current;
      current.current?.discard();
    },
    [],
  );

  const hold = (now: Recording | null) => {
    current.current = now;
    setRecording(now);
  };
  const start = async () => {
    const mine = ++wanted.current;
    onProblem(null);
    setStarting(true);
    try {
      const begun = await Recording.start();
      if (mine !== wanted.current) return begun.discard();
      hold(begun);
    } catch (error) {
      if (mine === wanted.current) onProblem(t("micDenied", { why: error instanceof Error ? error.message : "" }));
    } finally {
      if (mine === wanted.current) setStarting(false);
    }
  };
  const send = async () => {
    const { recording, key } = unsent.get(chat)!;
    setSending(true);
    try {
      if (await onRecording(recording, key)) unsent.delete(chat);
    } finally {
      setLeft(unsent.has(chat));
      setSending(false);
    }
  };
  const stop = async () => {
    setSending(true);
    hold(null);
    unsent.set(chat, { recording: await recording!.stop(), key: newId() });
    await send();
  };
  const discard = () => {
    ++wanted.current;
    setStarting(false);
    recording?.discard();
    hold(null);
    unsent.delete(chat);
    setLeft(false);
    onDone();
  };
  useEscape("recording", recording || starting ? discard : null);

  if (sending) {
    return (
      <span class="recorder faint" role="status">
        <span class="spinner" />
        {t("recordingSent")}
      </span>
    );
  }
  if (starting) {
    return (
      <span class="recorder" role="status">
        <span class="spinner" />
        <span class="faint">{t("recordStarting")}</span>
        <button type="button" class="quiet icon-button" aria-label={t("recordCancel")} title={t("recordCancel")} onClick={discard}>
          <Icon name="trash" />
        </button>
      </span>
    );
  }
  if (recording || left) {
    const [label, act] = recording ? [t("recordStop"), stop] : [t("recordAgain"), send];
    return (
      <span class="recorder" role="status">
        {recording ? (
          <>
            <span class="pulse" />
            <span>{duration(Math.floor((Date.now() - recording.startedAt) / 1000) * 1000)}</span>
          </>
        ) : (
          <span class="faint">{t("recordingLeft")}</span>
        )}
        <button type="button" class="quiet icon-button" aria-label={t("recordCancel")} title={t("recordCancel")} onClick={discard}>
          <Icon name="trash" />
        </button>
        <button ref={sendButton} type="button" class="round" aria-label={label} title={label} onClick={() => void act()}>
          <Icon name={recording ? "check" : "retry"} />
        </button>
      </span>
    );
  }
  if (!offered) return null;
  return (
    <button type="button" class="quiet icon-button" aria-label={t("record")} title={t("record")} onClick={() => void start()}>
      <Icon name="mic" />
    </button>
  );
}
