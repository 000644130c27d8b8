// One session's log, event by event, in pages from its end; and all of it as a file.
import { useEffect, useState } from "preact/hooks";
import { call, send } from "../shared/http";
import { Icon } from "../shared/icons";
import { number } from "../shared/i18n";
import { language } from "../shared/appearance";
import { consoleKey } from "./feed";
import { t, useTranslate } from "./texts";
import type { LogEvent, LogPage } from "./wire";

const PAGE = 50;

function pathOf(session: string, query: string): string {
  return `/console/api/sessions/${encodeURIComponent(session)}/log?${query}`;
}

/** To the millisecond, since events are told apart by it. */
function instant(time: string): string {
  return new Intl.DateTimeFormat(language.get(), {
    month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3,
  }).format(new Date(time));
}

function useKindOf() {
  const t = useTranslate();
  return (event: LogEvent): string => {
    switch (event.type) {
      case "message_accepted":
        return t("eventMessage");
      case "step_recorded":
        return t(`event${event.step_type as "PlanningStep" | "ActionStep" | "FinalAnswerStep" | "PartialAnswerStep" | "TranscriptStep" | "AudioStep"}`);
      case "run_ended":
        return event.outcome === "cancelled" ? t("eventCancelled") : t("eventEnded");
      case "run_failed":
        return t("eventFailed");
      case "lifecycle_changed":
        return t("eventLifecycle");
      case "documents_stored":
        return t("eventDocuments");
    }
  };
}

/** What an event says, in one line. */
function gist(event: LogEvent): string {
  const text = event.text ?? event.error ?? event.state ?? (event.document_ids as string[] | undefined)?.join(", ") ?? "";
  if (text !== "") return String(text);
  const calls = event.tool_calls as { name: string; arguments: string }[] | undefined;
  if (calls) return calls.map(({ name, arguments: given }) => `${name} ${given}`).join("; ");
  const results = event.tool_results as { name: string; output: string }[] | undefined;
  if (results) return results.map(({ name, output }) => `${name}: ${output}`).join("; ");
  if (event.type === "run_ended") return t("usage", { in: event.tokens_in as number, out: event.tokens_out as number });
  return "";
}

function EventRow({ event }: { event: LogEvent }) {
  const kindOf = useKindOf();
  const bad = event.type === "run_failed" || (event.tool_results as { failed: boolean }[] | undefined)?.some(({ failed }) => failed);
  return (
    <li>
      <details class="event">
        <summary>
          <span class="seq num">{number(event.seq, { useGrouping: false })}</span>
          <span class="time num">{instant(event.time)}</span>
          <span class={`tag event-${event.type}${bad ? " bad" : ""}`}>{kindOf(event)}</span>
          <span class="gist" dir="auto">{gist(event).slice(0, 300)}</span>
        </summary>
        <pre dir="auto" tabIndex={0}>{JSON.stringify(event, null, 2)}</pre>
      </details>
    </li>
  );
}

function Download({ session }: { session: string }) {
  const t = useTranslate();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const fetchAll = async () => {
    setBusy(true);
    setProblem(null);
    try {
      const response = await send("GET", pathOf(session, "format=jsonl"), { token: consoleKey.get() ?? "" });
      const address = URL.createObjectURL(await response.blob());
      const link = document.createElement("a");
      link.href = address;
      link.download = `${session}.jsonl`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    } catch (error) {
      setProblem((error as Error).message || t("unreachable"));
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      {problem && <span class="bad" role="alert">{t("downloadFailed", { why: problem })}</span>}
      <button type="button" class="small" disabled={busy} onClick={() => void fetchAll()}>
        <Icon name="down" />{busy ? t("downloading") : t("download")}
      </button>
    </>
  );
}

export function Log({ session }: { session: string }) {
  const t = useTranslate();
  const [range, setRange] = useState("");
  const [again, setAgain] = useState(0);
  const [page, setPage] = useState<LogPage | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    const gone = new AbortController();
    const read = async () => {
      setProblem(null);
      try {
        setPage(await call<LogPage>("GET", pathOf(session, `limit=${PAGE}${range}`), { token: consoleKey.get() ?? "", signal: gone.signal }));
      } catch (error) {
        if (gone.signal.aborted) return;
        const status = (error as { status?: number }).status;
        setProblem(status === 404 ? t("noLog") : t("logFailed", { why: (error as Error).message || t("unreachable") }));
      }
    };
    void read();
    return () => gone.abort();
  }, [session, range, again]);

  const first = page?.events[0]?.seq ?? 0;
  const last = page?.events.at(-1)?.seq ?? 0;
  return (
    <main class="log">
      <header class="log-head">
        <a class="button quiet small" href="#/"><span class="back"><Icon name="chevron" turns /></span>{t("back")}</a>
        <h2><bdi>{session}</bdi></h2>
        <span class="grow" />
        <Download session={session} />
      </header>
      <nav class="log-pages" aria-label={t("events")}>
        <button type="button" class="small" disabled={first <= 1} onClick={() => setRange(`&before=${first}`)}>{t("older")}</button>
        <button type="button" class="small" disabled={!page || last >= page.last} onClick={() => setRange(`&after=${last}`)}>{t("newer")}</button>
        <button type="button" class="small" onClick={() => { setRange(""); setAgain((n) => n + 1); }}>{t("newest")}</button>
        {page && page.events.length > 0 && (
          <span class="faint" role="status">{t("ofEvents", { first, last, all: page.last })}</span>
        )}
      </nav>
      {problem ? (
        <p class="empty bad" role="alert">{problem}</p>
      ) : page === null ? (
        <p class="empty faint with-icon"><span class="spinner" aria-hidden="true" />{t("waitingForState")}</p>
      ) : (
        <ol class="events">{page.events.map((event) => <EventRow key={event.cursor} event={event} />)}</ol>
      )}
    </main>
  );
}
