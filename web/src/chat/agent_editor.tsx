// Agents: the list of them, and one to be made or changed.
import { useEffect, useRef, useState } from "preact/hooks";
import { Dialog } from "../shared/dialog";
import { type FieldProblem, newId, Refusal } from "../shared/http";
import { Icon } from "../shared/icons";
import { useStore } from "../shared/store";
import { type Agent, agents, type AgentSettings, changeAgent, createAgent, deleteAgent, readAgent } from "./agents";
import { loadSessions } from "./chats";
import { t, type TextKey, useTranslate } from "./texts";

const EMPTY: AgentSettings = { name: "", description: null, prompt: "", model: null, temperature: null, voice: null, tools: [] };
// What the server has by itself; another name is taken, too.
const KNOWN_TOOLS = ["calculator", "current_time", "search_history"];

const reasonOf = (error: unknown, unreachable: string) => (error instanceof Refusal ? error.message || unreachable : String(error));

export const unsavedOf = () => ({ question: t("unsaved"), keep: t("unsavedKeep"), discard: t("unsavedDiscard") });

export function AgentList({ onEdit, onNew, onClose }: { onEdit: (agent: Agent) => void; onNew: () => void; onClose: () => void }) {
  const t = useTranslate();
  const all = useStore(agents);
  return (
    <Dialog title={t("agents")} closeLabel={t("close")} onClose={onClose}>
      <p class="faint">{t(all?.length === 0 ? "noAgents" : "agentsHint")}</p>
      <ul class="agent-list">
        {all?.map((agent) => (
          <li key={agent.id}>
            <button type="button" class="answerer" onClick={() => onEdit(agent)}>
              <Icon name="agent" />
              <span class="answerer-text">
                <span class="answerer-name" dir="auto">
                  {agent.name}
                </span>
                <span class="faint answerer-hint" dir="auto">
                  {agent.description || agent.prompt}
                </span>
              </span>
              <Icon name="edit" />
            </button>
          </li>
        ))}
      </ul>
      <div class="dialog-actions">
        <button type="button" class="primary" onClick={onNew}>
          <Icon name="plus" />
          {t("newAgent")}
        </button>
      </div>
    </Dialog>
  );
}

export function AgentEditor({ id, onDone, onClose }: { id: string | null; onDone: (agent: Agent | null) => void; onClose: () => void }) {
  const t = useTranslate();
  const [settings, setSettings] = useState<AgentSettings | null>(id === null ? EMPTY : null);
  const [tools, setTools] = useState("");
  const [before, setBefore] = useState<AgentSettings>(EMPTY);
  const [tag, setTag] = useState("");
  const [key] = useState(newId);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [fields, setFields] = useState<FieldProblem[]>([]);
  const form = useRef<HTMLFormElement>(null);
  const [deleting, setDeleting] = useState<"ask" | "in use" | null>(null);

  const load = async () => {
    const read = await readAgent(id!);
    setSettings(read.agent);
    setTools(read.agent.tools.join(", "));
    setBefore(read.agent);
    setTag(read.tag);
  };
  useEffect(() => {
    if (id !== null) load().catch((error) => setProblem(reasonOf(error, t("unreachable"))));
  }, [id]);

  const changed =
    settings !== null &&
    (tools !== before.tools.join(", ") ||
      (["name", "description", "prompt", "model", "temperature", "voice"] as const).some((member) => (settings[member] ?? "") !== (before[member] ?? "")));

  const save = async () => {
    if (!settings || busy) return;
    setBusy(true);
    setProblem(null);
    setFields([]);
    const names = [...new Set(tools.split(/[\s,،]+/).filter(Boolean))];
    const { name, description, prompt, model, temperature, voice } = settings;
    const wanted: AgentSettings = { name, description: description || null, prompt, model: model || null, temperature, voice: voice || null, tools: names };
    try {
      onDone(id === null ? await createAgent(wanted, key) : await changeAgent(id, wanted, tag));
    } catch (error) {
      if (error instanceof Refusal && error.status === 412) {
        await load().catch(() => {});
        setProblem(t("agentChanged"));
      } else {
        const refused = error instanceof Refusal ? error.fields : [];
        setFields(refused);
        // Told at their fields, or above where one has none here.
        if (refused.length === 0 || !refused.every(({ pointer }) => pointer.split("/")[1]! in EMPTY)) setProblem(reasonOf(error, t("unreachable")));
      }
    } finally {
      setBusy(false);
    }
  };
  const remove = async (withSessions: boolean) => {
    setBusy(true);
    try {
      await deleteAgent(id!, withSessions);
      if (withSessions) void loadSessions().catch(() => {});
      onDone(null);
    } catch (error) {
      if (error instanceof Refusal && error.status === 409) setDeleting("in use");
      else setProblem(reasonOf(error, t("unreachable")));
    } finally {
      setBusy(false);
    }
  };

  const set = (changes: Partial<AgentSettings>) => setSettings((now) => now && { ...now, ...changes });
  useEffect(() => form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus(), [fields]);

  const wrong = (member: string) => fields.find((each) => each.pointer === `/${member}` || each.pointer.startsWith(`/${member}/`))?.message;
  const text = (member: "name" | "description" | "model" | "voice", label: TextKey, hint?: TextKey, required = false, most = 200) => (
    <Field label={t(label)} hint={hint && t(hint)} wrong={wrong(member)}>
      {(ids) => (
        <input {...ids} dir="auto" maxLength={most} required={required} value={settings![member] ?? ""} onInput={({ currentTarget }) => set({ [member]: currentTarget.value })} />
      )}
    </Field>
  );

  if (deleting) {
    return (
      <Dialog key="delete" title={t("agentDeleteTitle", { name: settings?.name ?? "" })} closeLabel={t("close")} onClose={() => setDeleting(null)}>
        <p>{t(deleting === "in use" ? "agentInUse" : "agentDeleteHint")}</p>
        {problem && <p class="bad" role="alert">{problem}</p>}
        <div class="dialog-actions">
          <button type="button" autoFocus onClick={() => setDeleting(null)}>{t("cancel")}</button>
          <button type="button" class="danger" disabled={busy} onClick={() => void remove(deleting === "in use")}>
            {t(deleting === "in use" ? "agentDeleteAll" : "delete")}
          </button>
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog key="edit" title={t(id === null ? "newAgent" : "editAgent")} closeLabel={t("close")} onClose={onClose} unsaved={changed ? unsavedOf() : undefined} wide>
      {problem && <p class="bad" role="alert" dir="auto">{problem}</p>}
      {!settings && !problem && <p class="faint">{t("loading")}</p>}
      {settings && (
        <form
          ref={form}
          class="form"
          onSubmit={(event) => {
            event.preventDefault();
            void save();
          }}
        >
          {text("name", "agentName", undefined, true)}
          {text("description", "agentDescription", "agentDescriptionHint", false, 2000)}
          <Field label={t("agentPrompt")} hint={t("agentPromptHint")} wrong={wrong("prompt")}>
            {(ids) => (
              <textarea {...ids} dir="auto" rows={5} maxLength={32000} required value={settings.prompt} onInput={({ currentTarget }) => set({ prompt: currentTarget.value })} />
            )}
          </Field>
          <div class="form-row">
            {text("model", "agentModel", "agentModelHint")}
            <Field label={t("agentTemperature")} hint={t("agentTemperatureHint")} wrong={wrong("temperature")}>
              {(ids) => (
                <input {...ids} type="number" min="0" max="2" step="0.1" dir="ltr" value={settings.temperature ?? ""}
                  onInput={({ currentTarget }) => set({ temperature: currentTarget.value === "" ? null : Number(currentTarget.value) })} />
              )}
            </Field>
          </div>
          <div class="form-row">
            <Field label={t("agentTools")} hint={t("agentToolsHint")} wrong={wrong("tools")}>
              {(ids) => <input {...ids} dir="ltr" placeholder={KNOWN_TOOLS.join(", ")} value={tools} onInput={({ currentTarget }) => setTools(currentTarget.value)} />}
            </Field>
            {text("voice", "agentVoice", "agentVoiceHint", false, 100)}
          </div>
          <div class="dialog-actions">
            {id !== null && (
              <button type="button" class="quiet bad" onClick={() => setDeleting("ask")}>
                <Icon name="trash" />
                {t("agentDelete")}
              </button>
            )}
            <span class="grow" />
            <button type="button" onClick={onClose}>{t("cancel")}</button>
            <button type="submit" class="primary" aria-disabled={busy}>{t("save")}</button>
          </div>
        </form>
      )}
    </Dialog>
  );
}

let fieldsMade = 0;

export function Field({ label, hint, wrong, children }: {
  label: string;
  hint?: string | undefined;
  wrong?: string | undefined;
  children: (ids: { id: string; "aria-describedby": string; "aria-invalid": boolean }) => preact.ComponentChildren;
}) {
  const [id] = useState(() => `field-${++fieldsMade}`);
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, "aria-describedby": `${id}-hint`, "aria-invalid": wrong !== undefined })}
      <div id={`${id}-hint`} class={wrong ? "bad hint" : "faint hint"} dir="auto">{wrong ?? hint}</div>
    </div>
  );
}
