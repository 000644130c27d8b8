// Where messages are written, or spoken.
import { useEffect, useImperativeHandle, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Ref } from "preact";
import { duration } from "../shared/i18n";
import { Icon } from "../shared/icons";
import { kept } from "../shared/store";
import { useTranslate } from "./texts";
import { Recording } from "./voice";

export interface ComposerHandle {
  focus: () => void;
  edit: (text: string) => void;
}

interface Props {
  handle: Ref<ComposerHandle>;
  /** Under which name a draft is kept. */
  draft: string;
  busy: boolean;
  onSend: (text: string) => void;
  onStop?: (() => void) | undefined;
  onFiles?: ((files: File[]) => void) | undefined;
  onRecording?: ((recording: Blob) => Promise<void>) | undefined;
  onEditLast?: (() => string | undefined) | undefined;
  problem?: string | null;
}

export function Composer({ handle, draft, busy, onSend, onStop, onFiles, onRecording, onEditLast, problem }: Props) {
  const t = useTranslate();
  const area = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const keptDraft = kept(`parlance.draft.${draft}`, () => sessionStorage);
  const [text, setText] = useState(keptDraft.get() ?? "");
  const [editing, setEditing] = useState(false);

  const change = (value: string) => {
    setText(value);
    keptDraft.set(value || null);
    if (!value) setEditing(false);
  };
  const edit = (value: string) => {
    change(value);
    setEditing(true);
    area.current?.focus();
  };
  useImperativeHandle(handle, () => ({ focus: () => area.current?.focus(), edit }));

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
    change("");
    onSend(message);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing) return;
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
      change("");
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
          <span>{t("editing")}</span>
          <button type="button" class="quiet small" onClick={() => change("")}>
            {t("cancel")}
          </button>
        </div>
      )}
      {problem && (
        <div class="composer-note bad" role="alert">
          <Icon name="warning" />
          <span dir="auto">{problem}</span>
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
          onInput={({ currentTarget }) => change(currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        {onRecording && !busy && text === "" && Recording.supported() && <Recorder onRecording={onRecording} />}
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

function Recorder({ onRecording }: { onRecording: (recording: Blob) => Promise<void> }) {
  const t = useTranslate();
  const [recording, setRecording] = useState<Recording | null>(null);
  const [sending, setSending] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [, tick] = useState(0);
  const current = useRef<Recording | null>(null);
  current.current = recording;

  useEffect(() => {
    if (!recording) return;
    const timer = setInterval(() => tick((n) => n + 1), 500);
    return () => clearInterval(timer);
  }, [recording]);
  useEffect(() => () => current.current?.discard(), []);

  const start = async () => {
    setProblem(null);
    try {
      setRecording(await Recording.start());
    } catch (error) {
      setProblem(t("micDenied", { why: error instanceof Error ? error.message : "" }));
    }
  };
  const stop = async () => {
    setRecording(null);
    setSending(true);
    try {
      await onRecording(await recording!.stop());
    } finally {
      setSending(false);
    }
  };

  if (sending) {
    return (
      <span class="recorder faint" role="status">
        <span class="spinner" />
        {t("recordingSent")}
      </span>
    );
  }
  if (recording) {
    return (
      <span class="recorder" role="status">
        <span class="pulse" />
        <span>{duration(Math.floor((Date.now() - recording.startedAt) / 1000) * 1000)}</span>
        <button type="button" class="quiet icon-button" aria-label={t("recordCancel")} title={t("recordCancel")} onClick={() => {
          recording.discard();
          setRecording(null);
        }}>
          <Icon name="trash" />
        </button>
        <button type="button" class="round" aria-label={t("recordStop")} title={t("recordStop")} onClick={() => void stop()}>
          <Icon name="check" />
        </button>
      </span>
    );
  }
  return (
    <button type="button" class="quiet icon-button" aria-label={problem ?? t("record")} title={problem ?? t("record")} onClick={() => void start()}>
      <Icon name={problem ? "warning" : "mic"} />
    </button>
  );
}
