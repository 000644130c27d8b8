// The list of chats, with what belongs to the page as a whole below it.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Ref, RefObject } from "preact";
import { language, theme, type Theme } from "../shared/appearance";
import { apiKey, Refusal } from "../shared/http";
import { Icon, type IconName } from "../shared/icons";
import { useStore } from "../shared/store";
import { agentOf, agents } from "./agents";
import { type Chat, chats, loadSessions, moreSessions } from "./chats";
import { useEscape } from "./escape";
import { type Excerpt, excerptOf, folded } from "./search";
import { cache } from "./session";
import { answerOf } from "../stream";
import { type TextKey, useTranslate } from "./texts";

interface Props {
  current: string | null;
  searchBox: RefObject<HTMLInputElement>;
  closeButton: Ref<HTMLButtonElement>;
  onRename: (chat: Chat) => void;
  onDelete: (chat: Chat) => void;
  onAgents: () => void;
  onShortcuts: () => void;
  onSignOut: () => void;
  onClose: () => void;
  /** The search is over, without a chat. */
  onLeave: () => void;
}

const DAY = 86_400_000;

function groupOf(at: number): TextKey {
  const midnight = new Date().setHours(0, 0, 0, 0);
  if (at >= midnight) return "today";
  if (at >= midnight - DAY) return "yesterday";
  return at >= midnight - 7 * DAY ? "week" : "older";
}

const SEARCH_MS = 200;

/** Where the words stand in the chats that this browser keeps. */
function useFound(wanted: string): ReadonlyMap<string, Excerpt> {
  const [found, setFound] = useState<ReadonlyMap<string, Excerpt>>(new Map());
  useEffect(() => {
    setFound(new Map());
    if (wanted.length < 2) return;
    const search = new AbortController();
    const timer = setTimeout(async () => {
      const read = ({ text }: { text: string | null }) => excerptOf(text ?? "", wanted);
      const all = await cache
        .find((run) => read(run) ?? read({ text: answerOf(run) }), search.signal)
        .catch(() => new Map<string, Excerpt>());
      if (!search.signal.aborted) setFound(all);
    }, SEARCH_MS);
    return () => {
      clearTimeout(timer);
      search.abort();
    };
  }, [wanted]);
  return found;
}

export function Sidebar(props: Props) {
  const t = useTranslate();
  const all = useStore(chats);
  const more = useStore(moreSessions);
  useStore(agents);
  const [query, setQuery] = useState("");
  const list = useRef<HTMLElement>(null);
  const [searching, setSearching] = useState(false);
  const wanted = folded(query.trim());
  const found = useFound(wanted);
  useEscape("search", !searching ? null : query ? () => setQuery("") : props.onLeave);

  const groups = useMemo(() => {
    const fits = (chat: Chat) =>
      !wanted || found.has(chat.id) || folded([chat.title, agentOf(chat.agentId)?.name, ...(chat.files ?? []).map((file) => file.name)].join(" ")).includes(wanted);
    const out = new Map<TextKey, Chat[]>();
    for (const chat of [...all].sort((a, b) => b.updatedAt - a.updatedAt).filter(fits)) {
      const group = groupOf(chat.updatedAt);
      out.set(group, [...(out.get(group) ?? []), chat]);
    }
    return [...out];
  }, [all, wanted, found, agents.get()]);

  // Arrows go through the list, as in any list.
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const links = [...list.current!.querySelectorAll<HTMLElement>("a")];
    const at = links.indexOf(document.activeElement as HTMLElement);
    const next = links[event.key === "ArrowDown" ? at + 1 : at - 1];
    if (!next) return;
    event.preventDefault();
    next.focus();
  };
  const onListKey = (event: KeyboardEvent) => {
    onKeyDown(event);
    if (event.key !== "Escape" || !query) return;
    // As after Escape in the search box: the next one leaves the search.
    event.preventDefault();
    setQuery("");
    props.searchBox.current?.focus();
  };

  return (
    <nav class="sidebar" aria-label={t("chats")}>
      <div class="sidebar-head">
        <a class="brand" href="#/">
          <Logo />
          {t("app")}
        </a>
        <button ref={props.closeButton} type="button" class="quiet icon-button only-narrow" aria-label={t("closeMenu")} onClick={props.onClose}>
          <Icon name="close" />
        </button>
      </div>
      <a class="button new-chat" href="#/" onClick={props.onClose}>
        <Icon name="plus" />
        {t("newChat")}
      </a>
      <div class="search">
        <Icon name="search" />
        <input
          ref={props.searchBox}
          type="search"
          dir="auto"
          value={query}
          placeholder={t("search")}
          aria-label={t("search")}
          onInput={({ currentTarget }) => setQuery(currentTarget.value)}
          onFocus={() => setSearching(true)}
          onBlur={() => setSearching(false)}
          onKeyDown={onKeyDown}
        />
      </div>
      <section ref={list} class="chat-list" aria-label={t("chats")} onKeyDown={onListKey}>
        {groups.map(([group, some]) => (
          <div key={group}>
            <h2>{t(group)}</h2>
            <ul>
              {some.map((chat) => (
                <Entry key={chat.id} chat={chat} found={found.get(chat.id)} {...props} />
              ))}
            </ul>
          </div>
        ))}
        {groups.length === 0 && <p class="faint empty-list">{query ? t("noMatches", { query }) : t("noChats")}</p>}
        {more && !query && <MoreChats />}
      </section>
      <Foot {...props} />
    </nav>
  );
}

function MoreChats() {
  const t = useTranslate();
  const [problem, setProblem] = useState<string | null>(null);
  const more = () => {
    setProblem(null);
    loadSessions(true).catch((error) => setProblem(error instanceof Refusal ? error.message || t("unreachable") : String(error)));
  };
  return (
    <>
      <button type="button" class="quiet small more-chats" onClick={more}>
        {t("moreChats")}
      </button>
      {problem && (
        <p class="bad hint" role="alert">
          {t("moreChatsFailed", { why: problem })}
        </p>
      )}
    </>
  );
}

function Entry({ chat, found, current, onRename, onDelete, onClose }: { chat: Chat; found: Excerpt | undefined } & Props) {
  const t = useTranslate();
  const title = chat.title || t("untitled");
  const here = chat.id === current;
  const agent = agentOf(chat.agentId);
  const kind: { icon: IconName; text: string } =
    chat.kind === "documents"
      ? { icon: "sources", text: t("documentsChat") }
      : chat.kind === "agent"
        ? { icon: "agent", text: agent?.name ?? (agents.get() ? t("agentGone") : "") }
        : { icon: "chat", text: t("plainChat") };
  return (
    <li class={here ? "entry here" : "entry"}>
      <a href={`#/c/${chat.id}`} {...(here && { "aria-current": "page" })} onClick={onClose}>
        <Icon name={kind.icon} />
        <span class="entry-text">
          <span class="entry-title" dir="auto">
            {title}
          </span>
          {chat.kind !== "plain" && (
            <span class="entry-kind" dir="auto">
              {kind.text}
            </span>
          )}
          {found && (
            <span class="entry-kind" dir="auto">
              {found.before}
              <mark>{found.match}</mark>
              {found.after}
            </span>
          )}
        </span>
      </a>
      <Menu label={t("optionsOf", { title })}>
        <button type="button" class="quiet" onClick={() => onRename(chat)}>
          <Icon name="edit" />
          {t("rename")}
        </button>
        <button type="button" class="quiet bad" onClick={() => onDelete(chat)}>
          <Icon name="trash" />
          {t("delete")}
        </button>
      </Menu>
    </li>
  );
}

/** A button with a short list of actions. */
function Menu({ label, children }: { label: string; children: preact.ComponentChildren }) {
  const [open, setOpen] = useState(false);
  const whole = useRef<HTMLDivElement>(null);
  return (
    <div
      ref={whole}
      class={open ? "menu open" : "menu"}
      onFocusOut={({ relatedTarget }) => !whole.current?.contains(relatedTarget as Node | null) && setOpen(false)}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.stopPropagation();
        setOpen(false);
        whole.current?.querySelector("button")?.focus();
      }}
    >
      <button type="button" class="quiet icon-button" aria-label={label} aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name="more" />
      </button>
      {open && (
        <div
          class="menu-list"
          // What comes now gives the focus back to what had it.
          onClickCapture={() => whole.current?.querySelector("button")?.focus()}
          onClick={() => setOpen(false)}
        >
          {children}
        </div>
      )}
    </div>
  );
}

const THEMES: Record<Theme, { icon: IconName; text: TextKey; next: Theme }> = {
  system: { icon: "system", text: "themeSystem", next: "light" },
  light: { icon: "sun", text: "themeLight", next: "dark" },
  dark: { icon: "moon", text: "themeDark", next: "system" },
};

function Foot({ onAgents, onShortcuts, onSignOut }: Props) {
  const t = useTranslate();
  const look = THEMES[useStore(theme)];
  const key = useStore(apiKey);
  return (
    <div class="sidebar-foot">
      <button type="button" class="quiet with-icon grow" onClick={onAgents}>
        <Icon name="agent" />
        {t("agents")}
      </button>
      <button type="button" class="quiet small" lang={language.get() === "en" ? "ar" : "en"} title={t("languageLabel")}
        onClick={() => language.update((now) => (now === "en" ? "ar" : "en"))}>
        {t("language")}
      </button>
      <button type="button" class="quiet icon-button" aria-label={`${t("theme")}: ${t(look.text)}`} title={`${t("theme")}: ${t(look.text)}`}
        onClick={() => theme.set(look.next)}>
        <Icon name={look.icon} />
      </button>
      <button type="button" class="quiet icon-button" aria-label={t("shortcuts")} title={t("shortcuts")} onClick={onShortcuts}>
        <Icon name="help" />
      </button>
      {key && (
        <button type="button" class="quiet icon-button" aria-label={t("signOut")} title={t("signOut")} onClick={onSignOut}>
          <Icon name="key" />
        </button>
      )}
    </div>
  );
}

function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="9" class="logo-ground" />
      <path d="M9 11.500h14M9 16.500h9M9 21.500h5" class="logo-lines" />
    </svg>
  );
}
