// A chat that is to begin: who answers, and the first message.
import { useId, useMemo, useRef, useState } from "preact/hooks";
import { newId, Refusal } from "../shared/http";
import { Icon, type IconName } from "../shared/icons";
import { kept, useStore } from "../shared/store";
import { type Agent, agents } from "./agents";
import { type Chat, chats, newAgentChat, newPlainChat, renameChat, titleOf } from "./chats";
import { Composer, type ComposerHandle } from "./composer";
import { newDocumentsChat } from "./documents";
import { composing } from "./escape";
import { folded } from "./search";
import { useTranslate } from "./texts";

interface Props {
  composer: preact.RefObject<ComposerHandle>;
  /** Of what was tried elsewhere. */
  problem: string | null;
  onMenu: () => void;
  onNewAgent: () => void;
  /** The chat is there; what is to happen in it first. */
  onBegun: (chat: Chat, first: { text?: string; files?: File[] }) => void;
}

const PLAIN = "plain";
const DOCUMENTS = "documents";
const keptChoice = kept("parlance.answerer");

/** So many agents are shown; of more, those that are searched for. */
const AGENTS_SHOWN = 12;

/** The one that was talked to or made last comes first. */
function newestFirst(all: readonly Agent[], chats: readonly Chat[]): Agent[] {
  const at = new Map(all.map((agent) => [agent.id, Date.parse(agent.created_at) || 0]));
  for (const { agentId, updatedAt } of chats) {
    if (agentId !== undefined && updatedAt > (at.get(agentId) ?? Infinity)) at.set(agentId, updatedAt);
  }
  return [...all].sort((a, b) => at.get(b.id)! - at.get(a.id)!);
}

export function Start({ composer, problem: other, onMenu, onNewAgent, onBegun }: Props) {
  const t = useTranslate();
  const all = useStore(agents);
  const [choice, setChoice] = useState(keptChoice.get() ?? PLAIN);
  const [problem, setProblem] = useState<string | null>(null);
  const [beginning, setBeginning] = useState(false);
  // The same for every try with an agent, so that none makes a second session.
  const tried = useRef<{ kind: string; title: string; key: string } | null>(null);
  const chosen = choice === DOCUMENTS || all?.some((agent) => agent.id === choice) ? choice : PLAIN;

  const many = (all?.length ?? 0) > AGENTS_SHOWN;
  const [query, setQuery] = useState("");
  const [everyAgent, setEveryAgent] = useState(false);
  const listId = useId();
  const wanted = many ? folded(query.trim()) : "";
  const known = useStore(chats);
  const ordered = useMemo(() => (many ? newestFirst(all!, known) : (all ?? [])), [all, known]);
  const shown = useMemo(() => {
    if (wanted) return ordered.filter(({ name, description, prompt }) => folded(`${name} ${description || prompt}`).includes(wanted));
    return everyAgent || !many ? ordered : ordered.filter(({ id }, place) => place < AGENTS_SHOWN || id === chosen);
  }, [ordered, wanted, everyAgent, chosen]);

  // Who goes through the list with arrows chooses at every step, and is not there yet.
  const byKey = useRef(false);
  const choose = (id: string) => {
    setChoice(id);
    keptChoice.set(id);
    if (!byKey.current) composer.current?.focus();
  };
  const beginWith = async (agentId: string, title: string) => {
    if (tried.current?.kind !== agentId) tried.current = { kind: agentId, title, key: newId() };
    const { title: asked, key } = tried.current;
    const chat = await newAgentChat(agentId, asked, key);
    tried.current = null;
    // Its first try had another text.
    if (asked !== title) await renameChat(chat, title).catch(() => {});
    return chat;
  };
  const begin = async (kind: string, first: { text?: string; files?: File[] }) => {
    if (beginning) {
      if (first.text) composer.current?.putBack(first.text);
      return;
    }
    setBeginning(true);
    setProblem(null);
    const title = titleOf(first.text ?? first.files?.map((file) => file.name).join(", ") ?? "");
    try {
      const chat = await (kind === DOCUMENTS ? newDocumentsChat(title) : kind === PLAIN ? newPlainChat(title) : beginWith(kind, title));
      onBegun(chat, first);
    } catch (error) {
      setProblem(error instanceof Refusal ? error.message || t("unreachable") : String(error));
      setBeginning(false);
      if (first.text) composer.current?.putBack(first.text);
    }
  };

  return (
    <div class="conversation start">
      <header class="head only-narrow">
        <button type="button" class="quiet icon-button" aria-label={t("openMenu")} onClick={onMenu}>
          <Icon name="menu" />
        </button>
        <div class="head-text">
          <span class="head-name">{t("newChat")}</span>
        </div>
      </header>
      <div class="start-body">
        <h1>{t("hello")}</h1>
        <Composer
          handle={composer}
          draft="new"
          busy={false}
          problem={problem ?? other}
          onSend={(text) => void begin(chosen, { text })}
          onFiles={chosen === DOCUMENTS ? (files) => void begin(DOCUMENTS, { files }) : undefined}
        />
        <fieldset class="answerers">
          <legend class="faint">{t("whoAnswers")}</legend>
          {many && (
            <div class="answerer-search">
              <div class="search">
                <Icon name="search" />
                <input
                  type="search"
                  dir="auto"
                  value={query}
                  placeholder={t("searchAgents")}
                  aria-label={t("searchAgents")}
                  aria-controls={listId}
                  onInput={({ currentTarget }) => setQuery(currentTarget.value)}
                  onKeyDown={(event) => {
                    if (event.key !== "Escape" || !query || composing(event)) return;
                    event.preventDefault();
                    setQuery("");
                  }}
                />
              </div>
              {!wanted && (
                <button type="button" class="small" aria-expanded={everyAgent} aria-controls={listId} onClick={() => setEveryAgent(!everyAgent)}>
                  {everyAgent ? t("showLess") : t("showAllAgents", { n: all!.length })}
                </button>
              )}
            </div>
          )}
          {many && (
            <p class={wanted && shown.length === 0 ? "faint agents-found" : "hidden"} role="status">
              {wanted && t("agentsFound", { n: shown.length })}
            </p>
          )}
          <div class="answerer-list" id={listId} onKeyDown={() => (byKey.current = true)} onPointerDown={() => (byKey.current = false)}>
            <Answerer id={PLAIN} chosen={chosen} icon="chat" name={t("assistant")} hint={t("plainHint")} onChoose={choose} />
            <Answerer id={DOCUMENTS} chosen={chosen} icon="sources" name={t("documentsChat")} hint={t("documentsHint")} onChoose={choose} />
            {shown.map((agent) => (
              <Answerer key={agent.id} id={agent.id} chosen={chosen} icon="agent" name={agent.name} hint={agent.description || agent.prompt} onChoose={choose} />
            ))}
            <button type="button" class="answerer add" onClick={onNewAgent}>
              <Icon name="plus" />
              <span class="answerer-text">
                <span class="answerer-name">{t("newAgent")}</span>
                <span class="faint answerer-hint">{t("newAgentHint")}</span>
              </span>
            </button>
          </div>
        </fieldset>
      </div>
    </div>
  );
}

function Answerer({ id, chosen, icon, name, hint, onChoose }: {
  id: string;
  chosen: string;
  icon: IconName;
  name: string;
  hint: string;
  onChoose: (id: string) => void;
}) {
  return (
    <label class={id === chosen ? "answerer chosen" : "answerer"}>
      <input type="radio" name="answerer" class="hidden" checked={id === chosen} onChange={() => onChoose(id)} />
      <Icon name={icon} />
      <span class="answerer-text">
        <span class="answerer-name" dir="auto">
          {name}
        </span>
        <span class="faint answerer-hint" dir="auto">
          {hint}
        </span>
      </span>
    </label>
  );
}
