// The console's frame: who is signed in, how the connection is, and which view is shown.
import { useEffect, useId, useState } from "preact/hooks";
import { language, theme, type Theme } from "../shared/appearance";
import { possibleKey, Refusal, send } from "../shared/http";
import { Icon, type IconName } from "../shared/icons";
import { useStore } from "../shared/store";
import { consoleKey, link, refused, run, state, trouble } from "./feed";
import { Log } from "./log";
import { Overview } from "./overview";
import { useTranslate } from "./texts";
import { long } from "./units";

const THEMES: Theme[] = ["system", "light", "dark"];

/** The session whose log the address asks for. */
function sessionAsked(): string | null {
  const found = /^#\/session\/(.+)$/.exec(location.hash);
  if (!found) return null;
  try {
    return decodeURIComponent(found[1]!);
  } catch {
    return null;
  }
}

function Appearance() {
  const t = useTranslate();
  const chosen = useStore(theme);
  const next = THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length]!;
  const names = { system: t("themeSystem"), light: t("themeLight"), dark: t("themeDark") };
  const icons: Record<Theme, IconName> = { system: "system", light: "sun", dark: "moon" };
  const label = t("theme", { value: names[chosen] });
  const other = language.get() === "ar" ? "en" : "ar";
  return (
    <>
      <button type="button" class="quiet small" lang={other} onClick={() => language.set(other)}>
        {t("language")}
      </button>
      <button type="button" class="quiet small icon-button" aria-label={label} title={label} onClick={() => theme.set(next)}>
        <Icon name={icons[chosen]} />
      </button>
    </>
  );
}

/** In place of a status: no request was made. */
const IMPOSSIBLE = -1;

function SignIn() {
  const t = useTranslate();
  const id = useId();
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const was = useStore(refused);
  const problemOf = (status: number) => t(status === IMPOSSIBLE ? "keyImpossible" : status === 403 ? "noKey" : status === 401 ? "keyWrong" : "unreachable");
  const [status, setStatus] = useState<number | null>(null);
  const told = status ?? was?.status ?? null;
  const signIn = async () => {
    setBusy(true);
    setStatus(null);
    refused.set(null);
    try {
      if (!possibleKey(key.trim())) return setStatus(IMPOSSIBLE);
      const response = await send("GET", "/console/api/state", { token: key.trim() });
      await response.body?.cancel();
      consoleKey.set(key.trim());
    } catch (error) {
      setStatus(error instanceof Refusal ? error.status : 0);
    } finally {
      setBusy(false);
    }
  };
  return (
    <main class="sign-in">
      <form
        class="form card"
        onSubmit={(event) => {
          event.preventDefault();
          void signIn();
        }}
      >
        <h1>{t("app")} <span class="faint">{t("title")}</span></h1>
        <div class="field">
          <label for={id}>{t("keyLabel")}</label>
          <input id={id} type="password" dir="ltr" autocomplete="current-password" autoFocus required value={key} aria-invalid={told !== null}
            aria-describedby={`${id}-hint ${id}-problem`} onInput={({ currentTarget }) => setKey(currentTarget.value)} />
          <p id={`${id}-hint`} class="hint faint">{t("keyHint")}</p>
        </div>
        <div id={`${id}-problem`} class="bad hint" role="alert">{told === null ? "" : problemOf(told)}</div>
        <div class="sign-in-foot">
          <Appearance />
          <span class="grow" />
          <button type="submit" class="primary" disabled={busy || key.trim() === ""}>{t("signIn")}</button>
        </div>
      </form>
    </main>
  );
}

function Head() {
  const t = useTranslate();
  const how = useStore(link);
  const why = useStore(trouble);
  const node = useStore(state)?.nodes[0];
  return (
    <header class="console-head">
      <h1><a href="#/">{t("app")} <span class="faint">{t("title")}</span></a></h1>
      <span class={`state ${how}`} role="status"><span class="dot" aria-hidden="true" />{t(how)}{how !== "live" && why !== null && <bdi>: {why}</bdi>}</span>
      {node && (
        <span class="head-node faint">
          <bdi>{node.version}</bdi> · <bdi>{node.environment}</bdi> · {t("uptime")} {long(node.uptime_s)}
        </span>
      )}
      <span class="grow" />
      <a class="button quiet small" href="/">{t("toChat")}</a>
      <Appearance />
      <button type="button" class="quiet small" onClick={() => consoleKey.set(null)}>{t("signOut")}</button>
    </header>
  );
}

export function App() {
  const t = useTranslate();
  const key = useStore(consoleKey);
  const [session, setSession] = useState(sessionAsked);
  useEffect(() => {
    const look = () => setSession(sessionAsked());
    addEventListener("hashchange", look);
    return () => removeEventListener("hashchange", look);
  }, []);
  useEffect(() => {
    if (key === null) return;
    const ended = new AbortController();
    void run(key, ended.signal);
    return () => {
      ended.abort();
      state.set(null);
      trouble.set(null);
    };
  }, [key]);
  useEffect(() => {
    document.title = session === null ? `${t("app")} · ${t("title")}` : t("log", { session });
  });
  if (key === null) return <SignIn />;
  return (
    <div class="console">
      <Head />
      {session === null ? <Overview /> : <Log key={session} session={session} />}
    </div>
  );
}
