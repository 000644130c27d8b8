// The chat page: which chat is open, and the dialogs above it.
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { language } from "../shared/appearance";
import { apiKey, Refusal, signInWanted } from "../shared/http";
import { Icon } from "../shared/icons";
import { SignIn } from "../shared/sign_in";
import { useStore } from "../shared/store";
import { AgentEditor, AgentList } from "./agent_editor";
import { loadAgents } from "./agents";
import { type Chat, chatOf, chats, loadSessions } from "./chats";
import type { ComposerHandle } from "./composer";
import { Conversation } from "./conversation";
import { Delete, Rename, Shortcuts } from "./dialogs";
import { newDocumentsChat } from "./documents";
import { DropTarget } from "./drop_target";
import { type Missing, useMissing } from "./find_chat";
import { useEscape } from "./escape";
import { ChatSession, forgetEverything, sayFirst } from "./session";
import { Sidebar } from "./sidebar";
import { Start } from "./start";
import { type TextKey, useTranslate } from "./texts";
import { upload } from "./uploads";

type Open =
  | { what: "rename" | "delete"; chat: Chat }
  | { what: "agents" | "shortcuts" }
  | { what: "agent"; id: string | null; back: boolean };

function chatInAddress(): string | null {
  return /^#\/c\/([A-Za-z0-9._~-]{1,128})$/.exec(location.hash)?.[1] ?? null;
}

/** Where the list of chats covers the page; as in the style. */
const narrow = matchMedia("(max-width: 760px)");

function refresh(): void {
  // What cannot be had now is asked for again when the page is looked at again.
  void loadAgents().catch(() => {});
  void loadSessions().catch(() => {});
}

export function App() {
  const t = useTranslate();
  const tongue = useStore(language);
  const all = useStore(chats);
  const wantsKey = useStore(signInWanted);
  const [id, setId] = useState(chatInAddress);
  const [menu, setMenu] = useState(false);
  const [open, setOpen] = useState<Open | null>(null);
  const [said, announce] = useState("");
  /** Why no chat was begun with the files that were dropped. */
  const [problem, setProblem] = useState<string | null>(null);
  const composer = useRef<ComposerHandle>(null);
  const searchBox = useRef<HTMLInputElement>(null);
  const closeMenu = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    const onHash = () => setId(chatInAddress());
    addEventListener("hashchange", onHash);
    return () => removeEventListener("hashchange", onHash);
  }, []);

  useEffect(() => {
    refresh();
    const onLook = () => document.visibilityState === "visible" && refresh();
    document.addEventListener("visibilitychange", onLook);
    const unwatch = apiKey.watch((key) => key && refresh());
    return () => {
      document.removeEventListener("visibilitychange", onLook);
      unwatch();
    };
  }, []);

  const chat = id === null ? undefined : all.find((each) => each.id === id);
  const missing = useMissing(id, chat !== undefined, wantsKey);
  const known = chat?.id;
  const session = useMemo(() => (known === undefined ? null : new ChatSession(chatOf(known)!)), [known]);
  useEffect(() => () => session?.close(), [session]);

  useEffect(() => {
    document.title = chat?.title ? `${chat.title} – ${t("app")}` : t("app");
  }, [chat?.title, tongue]);
  // Not on a phone, whose keyboard would cover what is to be read.
  const write = () => !open && matchMedia("(pointer: fine)").matches && composer.current?.focus();
  useEffect(() => void write(), [known]);
  useEffect(() => {
    // A dialog gives the focus back, unless what had it is gone.
    if (document.activeElement === document.body) write();
  }, [open === null, wantsKey]);

  const start = useCallback(() => {
    location.hash = "#/";
    setMenu(false);
    setTimeout(() => composer.current?.focus());
  }, []);
  const begun = useCallback((fresh: Chat, first: { text?: string; files?: File[] }) => {
    if (first.text) sayFirst(fresh, first.text);
    setProblem(null);
    location.hash = `#/c/${fresh.id}`;
    if (first.files) void upload(fresh, first.files);
  }, []);

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      // AltGr, which some keyboards write letters with, is told as Ctrl and Alt.
      const control = (event.ctrlKey || event.metaKey) && !event.getModifierState("AltGraph");
      const writing = event.target instanceof Element && event.target.matches("input:not([type=radio]), textarea");
      if (document.querySelector("dialog[open]")) return;
      const act = (action: () => void) => {
        event.preventDefault();
        action();
      };
      if (control && event.code === "KeyK") {
        act(() => {
          setMenu(narrow.matches);
          setTimeout(() => searchBox.current?.focus());
        });
      } else if (control && event.altKey && event.code === "KeyN") {
        act(start);
      } else if (!writing && !control && event.key === "/") {
        act(() => composer.current?.focus());
      } else if (!writing && event.key === "?") {
        act(() => setOpen({ what: "shortcuts" }));
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [start]);
  useEscape("list", menu ? () => setMenu(false) : null);

  useEffect(() => {
    const onWidth = () => setMenu(false);
    narrow.addEventListener("change", onWidth);
    return () => narrow.removeEventListener("change", onWidth);
  }, []);
  useLayoutEffect(() => {
    if (!menu) return;
    const before = document.activeElement;
    closeMenu.current?.focus();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, [menu]);

  const signOut = () => {
    apiKey.set(null);
    void forgetEverything().catch(() => {});
    location.hash = "#/";
    signInWanted.set(true);
  };
  const close = () => setOpen(null);
  const startWith = (files: File[]) => {
    setProblem(null);
    newDocumentsChat(files[0]!.name).then(
      (fresh) => begun(fresh, { files }),
      (error) => setProblem(error instanceof Refusal ? error.message || t("unreachable") : String(error)),
    );
  };

  return (
    <div class={menu ? "page menu-open" : "page"}>
      <a class="skip" href="#message" inert={menu} onClick={(event) => {
        event.preventDefault();
        composer.current?.focus();
      }}>
        {t("skip")}
      </a>
      <Sidebar
        current={id}
        searchBox={searchBox}
        closeButton={closeMenu}
        onRename={(chat) => setOpen({ what: "rename", chat })}
        onDelete={(chat) => setOpen({ what: "delete", chat })}
        onAgents={() => setOpen({ what: "agents" })}
        onShortcuts={() => setOpen({ what: "shortcuts" })}
        onSignOut={signOut}
        onClose={() => setMenu(false)}
        onLeave={() => (menu ? setMenu(false) : composer.current?.focus())}
      />
      <div class="veil" onClick={() => setMenu(false)} />
      <DropTarget
        class="main"
        inert={menu}
        text={t(chat ? (chat.kind === "documents" ? "dropHere" : "dropElsewhere") : "dropNew")}
        onFiles={chat ? (chat.kind === "documents" ? (files) => void upload(chat, files) : undefined) : startWith}
      >
        {session && chat ? (
          <Conversation key={chat.id} session={session} chat={chat} composer={composer} onMenu={() => setMenu(true)} announce={announce} />
        ) : id === null ? (
          <Start composer={composer} problem={problem} onMenu={() => setMenu(true)} onNewAgent={() => setOpen({ what: "agent", id: null, back: false })} onBegun={begun} />
        ) : (
          <div class="conversation">
            <header class="head only-narrow">
              <button type="button" class="quiet icon-button" aria-label={t("openMenu")} onClick={() => setMenu(true)}>
                <Icon name="menu" />
              </button>
            </header>
            <NoChat why={missing} />
          </div>
        )}
      </DropTarget>

      {open?.what === "rename" && <Rename chat={open.chat} onClose={close} />}
      {open?.what === "delete" && (
        <Delete
          chat={open.chat}
          onClose={close}
          onDeleted={() => {
            close();
            if (open.chat.id === id) location.hash = "#/";
          }}
        />
      )}
      {open?.what === "agents" && (
        <AgentList onClose={close} onNew={() => setOpen({ what: "agent", id: null, back: true })} onEdit={({ id }) => setOpen({ what: "agent", id, back: true })} />
      )}
      {open?.what === "agent" && (
        <AgentEditor
          key={open.id}
          id={open.id}
          onClose={() => setOpen(open.back ? { what: "agents" } : null)}
          onDone={() => setOpen(open.back ? { what: "agents" } : null)}
        />
      )}
      {open?.what === "shortcuts" && <Shortcuts onClose={close} />}
      {wantsKey && (
        <SignIn
          key={tongue}
          probe="/api/v1/agent?limit=1"
          texts={{ title: t("signIn"), hint: t("signInHint"), label: t("apiKey"), wrong: t("signInWrong"), impossible: t("signInImpossible"), unreachable: t("unreachable"), close: t("close") }}
        />
      )}
      <div class="hidden" aria-live="polite">
        {said}
      </div>
    </div>
  );
}

const HINTS: Record<Exclude<Missing, "looking">, { text: TextKey; hint: TextKey }> = {
  unreachable: { text: "unreachable", hint: "unreachableHint" },
  gone: { text: "gone", hint: "goneHint" },
  removed: { text: "gone", hint: "removedHint" },
};

/** In place of a chat that is not there. */
function NoChat({ why }: { why: Missing }) {
  const t = useTranslate();
  return (
    <div class="empty" role="status">
      {why === "looking" ? (
        <p class="faint">{t("loading")}</p>
      ) : (
        <>
          <h1>{t(HINTS[why].text)}</h1>
          <p class="faint">{t(HINTS[why].hint)}</p>
          <a class="button" href="#/">{t("newChat")}</a>
        </>
      )}
    </div>
  );
}
