// The smaller dialogs: name, delete, keys.
import { useState } from "preact/hooks";
import { Dialog } from "../shared/dialog";
import { Refusal } from "../shared/http";
import { Field, unsavedOf } from "./agent_editor";
import { type Chat, renameChat } from "./chats";
import { deleteChat } from "./deletion";
import { forgetChat } from "./session";
import { useTranslate } from "./texts";

const reasonOf = (error: unknown, unreachable: string) => (error instanceof Refusal ? error.message || unreachable : String(error));

export function Rename({ chat, onClose }: { chat: Chat; onClose: () => void }) {
  const t = useTranslate();
  const [title, setTitle] = useState(chat.title);
  const [problem, setProblem] = useState<string>();
  const save = async () => {
    try {
      await renameChat(chat, title.trim());
      onClose();
    } catch (error) {
      setProblem(reasonOf(error, t("unreachable")));
    }
  };
  return (
    <Dialog title={t("renameTitle")} closeLabel={t("close")} onClose={onClose} unsaved={title === chat.title ? undefined : unsavedOf()}>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <Field label={t("chatName")} wrong={problem}>
          {(ids) => <input {...ids} autoFocus dir="auto" required maxLength={200} value={title} onInput={({ currentTarget }) => setTitle(currentTarget.value)} />}
        </Field>
        <div class="dialog-actions">
          <button type="button" onClick={onClose}>{t("cancel")}</button>
          <button type="submit" class="primary" disabled={title.trim() === ""}>{t("save")}</button>
        </div>
      </form>
    </Dialog>
  );
}

export function Delete({ chat, onClose, onDeleted }: { chat: Chat; onClose: () => void; onDeleted: () => void }) {
  const t = useTranslate();
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const remove = async () => {
    setBusy(true);
    try {
      await deleteChat(chat);
      forgetChat(chat);
      onDeleted();
    } catch (error) {
      setProblem(reasonOf(error, t("unreachable")));
      setBusy(false);
    }
  };
  const what = chat.kind === "agent" ? "deleteAgent" : chat.kind === "documents" ? "deleteDocuments" : "deletePlain";
  return (
    <Dialog title={t("deleteTitle")} closeLabel={t("close")} onClose={onClose}>
      <p dir="auto">{t(what, { title: chat.title || t("untitled") })}</p>
      {problem && <p class="bad" role="alert">{problem}</p>}
      <div class="dialog-actions">
        <button type="button" autoFocus onClick={onClose}>{t("cancel")}</button>
        <button type="button" class="danger" disabled={busy} onClick={() => void remove()}>{t("delete")}</button>
      </div>
    </Dialog>
  );
}

export function Shortcuts({ onClose }: { onClose: () => void }) {
  const t = useTranslate();
  const rows = [
    ["Enter", t("shortcutSend")],
    ["Shift + Enter", t("shortcutLine")],
    ["↑", t("shortcutEdit")],
    ["Esc", t("shortcutStop")],
    ["/", t("shortcutWrite")],
    ["Ctrl + K", t("shortcutSearch")],
    ["Ctrl + Alt + N", t("shortcutNew")],
    ["?", t("shortcutHelp")],
  ];
  return (
    <Dialog title={t("shortcuts")} closeLabel={t("close")} onClose={onClose}>
      <dl class="shortcuts">
        {rows.map(([keys, text]) => (
          <div key={keys}>
            <dt>
              <kbd dir="ltr">{keys}</kbd>
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
