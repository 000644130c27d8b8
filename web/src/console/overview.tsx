// The node at one glance: charts of the last hour, and tables of what is now.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Refusal } from "../shared/http";
import { Icon } from "../shared/icons";
import { clock, duration, number } from "../shared/i18n";
import { useStore } from "../shared/store";
import { Charts } from "./charts";
import { history, state, stop } from "./feed";
import { useTranslate } from "./texts";
import { brief, bytes, long, money } from "./units";
import type { History, Provider, Run, Session, State } from "./wire";

function logAddress(session: string): string {
  return `#/session/${encodeURIComponent(session)}`;
}

function Panel({ title, note, children, wide }: { title: string; note?: ComponentChildren; children: ComponentChildren; wide?: boolean }) {
  return (
    <section class={wide ? "panel wide" : "panel"} aria-label={title}>
      <header class="panel-head">
        <h2>{title}</h2>
        {note !== undefined && <span class="faint">{note}</span>}
      </header>
      {children}
    </section>
  );
}

/** A table that scrolls in itself where it is wider than its place. */
function Table({ label, head, children }: { label: string; head: ComponentChildren[]; children: ComponentChildren }) {
  return (
    <div class="table-place" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>{head.map((cell, i) => <th key={i} scope="col">{cell}</th>)}</tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

function SessionLink({ session }: { session: string }) {
  return <a class="id" href={logAddress(session)} title={session}><bdi>{session}</bdi></a>;
}

// ---- Runs ----

function StopButton({ run }: { run: Run }) {
  const t = useTranslate();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const act = async () => {
    setBusy(true);
    setProblem(null);
    try {
      await stop(run.session, run.message_id);
    } catch (error) {
      // It ended by itself meanwhile.
      if (!(error instanceof Refusal && error.status === 404)) setProblem((error as Error).message || t("unreachable"));
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <button type="button" class="small" disabled={busy} aria-label={t("stopOf", { session: run.session })} onClick={() => void act()}>
        <Icon name="stop" />{busy ? t("stopping") : t("stop")}
      </button>
      {problem && <span class="bad" role="alert">{t("stopFailed", { why: problem })}</span>}
    </>
  );
}

function Runs({ now, runs }: { now: number; runs: State["runs"] }) {
  const t = useTranslate();
  const note = [number(runs.total), runs.once > 0 && t("runsOnce", { n: runs.once })].filter(Boolean).join(" ");
  return (
    <Panel wide title={t("runs")} note={note}>
      {runs.oldest.length === 0 ? (
        <p class="empty faint">{t("noRuns")}</p>
      ) : (
        <Table label={t("runs")} head={[t("session"), t("message"), t("state"), t("since"), t("text"), t("queue"), t("watchers"), <span class="hidden">{t("stop")}</span>]}>
          {runs.oldest.map((run) => (
            <tr key={`${run.session} ${run.message_id}`}>
              <td><SessionLink session={run.session} /></td>
              <td><bdi class="id" title={run.message_id}>{run.message_id}</bdi></td>
              <td><span class={`tag ${run.activity}`}>{t(run.activity)}</span></td>
              <td class="num">{duration(now - run.started_ms)}</td>
              <td class="num">{bytes(run.text_bytes)}</td>
              <td class="num">{number(run.waiting)}</td>
              <td class="num">{number(run.watchers)}</td>
              <td class="act"><StopButton run={run} /></td>
            </tr>
          ))}
        </Table>
      )}
      {runs.total > runs.oldest.length && <p class="note faint">{t("runsShown", { shown: runs.oldest.length, total: runs.total })}</p>}
    </Panel>
  );
}

// ---- Sessions ----

function FindSession() {
  const t = useTranslate();
  const [session, setSession] = useState("");
  return (
    <form
      class="find"
      onSubmit={(event) => {
        event.preventDefault();
        location.hash = logAddress(session.trim());
      }}
    >
      <input type="search" dir="auto" aria-label={t("findSession")} placeholder={t("findSession")} maxLength={128} value={session}
        onInput={({ currentTarget }) => setSession(currentTarget.value)} />
      <button type="submit" class="small" disabled={session.trim() === ""}>{t("open")}</button>
    </form>
  );
}

function SessionRow({ now, session }: { now: number; session: Session }) {
  const t = useTranslate();
  return (
    <tr>
      <td><SessionLink session={session.session} /></td>
      <td><span class={`tag ${session.activity}`}>{t(session.activity)}</span></td>
      <td class="num">{number(session.watchers)}</td>
      <td class="num">{number(session.waiting)}</td>
      <td>{t(session.last_event)}{session.last_event_ms > 0 && <span class="faint"> {clock(session.last_event_ms)}</span>}</td>
      <td class="num">{number(session.last_seq)}</td>
      <td class="num">{long(Math.max(0, now - session.used_ms) / 1000)}</td>
    </tr>
  );
}

function Sessions({ now, sessions }: { now: number; sessions: State["sessions"] }) {
  const t = useTranslate();
  const shown = sessions.last_used;
  return (
    <Panel wide title={t("sessions")} note={t("sessionsNote", { awake: sessions.awake, watched: sessions.watched })}>
      <FindSession />
      {shown.length === 0 ? (
        <p class="empty faint">{t("noSessions")}</p>
      ) : (
        <Table label={t("sessions")} head={[t("session"), t("state"), t("watchers"), t("queue"), t("lastEvent"), t("events"), t("lastUsed")]}>
          {shown.map((session) => <SessionRow key={session.session} now={now} session={session} />)}
        </Table>
      )}
      {sessions.awake > shown.length && <p class="note faint">{t("sessionsShown", { shown: shown.length, total: sessions.awake })}</p>}
    </Panel>
  );
}

// ---- Providers ----

function ProviderRow({ provider }: { provider: Provider }) {
  const t = useTranslate();
  const breakers = {
    none: t("breakerNone"),
    closed: t("breakerClosed"),
    open: t("breakerOpen", { time: duration(provider.open_for_ms) }),
    half_open: t("breakerHalfOpen"),
  };
  const of = (count: number, most: number) => (most > 0 ? `${number(count)} / ${number(most)}` : number(count));
  const time = (ms: number | null) => (ms === null ? "–" : brief(ms));
  return (
    <tr>
      <td>
        <bdi>{provider.name}</bdi>
        <span class="faint"> {provider.offline ? t("offlineProvider") : <bdi>{provider.model}</bdi>}{provider.named && ` · ${t("namedProvider")}`}</span>
      </td>
      <td class="num">{of(provider.in_flight, provider.in_flight_max)}</td>
      <td class="num">{of(provider.waiting, provider.queue_max)}</td>
      <td><span class={`tag breaker-${provider.breaker}`}>{breakers[provider.breaker]}</span></td>
      <td class="num">{time(provider.first_text_ms)}</td>
      <td class="num">{time(provider.answer_ms)}</td>
      <td class="num">{number(provider.answered)}</td>
      <td class="num">{number(provider.failed)}</td>
      <td class="num">{number(provider.cancelled)}</td>
      <td class="num">{number(provider.tokens_in)} / {number(provider.tokens_out)}</td>
      <td class="num">{provider.cost ? money(provider.cost) : <span title={t("noPrices")}>–</span>}</td>
    </tr>
  );
}

function Providers({ providers }: { providers: Provider[] }) {
  const t = useTranslate();
  return (
    <Panel wide title={t("providers")}>
      <Table label={t("providers")} head={[
        t("provider"), t("inFlight"), t("queue"), t("breaker"),
        <span title={t("lastMinute")}>{t("firstText")}</span>, <span title={t("lastMinute")}>{t("wholeAnswer")}</span>,
        t("calls"), t("failedTries"), t("cancelled"), <span title={t("tokensNote")}>{t("tokens")}</span>, <span title={t("tokensNote")}>{t("cost")}</span>,
      ]}>
        {providers.map((provider, i) => <ProviderRow key={i} provider={provider} />)}
      </Table>
    </Panel>
  );
}

// ---- What the node stands on ----

function Facts({ facts }: { facts: [ComponentChildren, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value], i) => (
        <div key={i}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Of the step in which something was synced last; null when nothing was within the hour. */
function lastSync(hour: History | null): { median: number; high: number } | null {
  for (let i = (hour?.at_ms.length ?? 0) - 1; hour && i >= 0; --i) {
    const median = hour.series.sync_p50_ms[i];
    const high = hour.series.sync_p95_ms[i];
    if (typeof median === "number" && typeof high === "number") return { median, high };
  }
  return null;
}

function StoragePanel({ now }: { now: State }) {
  const t = useTranslate();
  const { storage } = now;
  const sync = lastSync(useStore(history));
  return (
    <Panel title={t("storage")}>
      {storage?.refuses_writes && <p class="alarm" role="alert"><Icon name="warning" />{t("refusesWrites")}</p>}
      {storage && (
        <Facts facts={[
          [t("files"), bytes(storage.file_bytes)],
          [t("writeAhead"), storage.log_bytes === null ? "–" : bytes(storage.log_bytes)],
          [t("inMemory"), bytes(storage.memory_bytes)],
          [t("compaction"), <>{bytes(storage.compaction_pending_bytes)} <span class="faint">{t("compacting", { n: storage.compactions_running })}</span></>],
          [<span title={t("lastOne")}>{t("syncTime")}</span>, sync ? t("syncValue", { median: brief(sync.median), high: brief(sync.high) }) : "–"],
          [t("diskFree"), t("diskOf", { free: bytes(storage.disk_free_bytes), all: bytes(storage.disk_bytes) })],
        ]} />
      )}
    </Panel>
  );
}

function Connections({ open }: { open: State["connections"] }) {
  const t = useTranslate();
  const sum = Object.values(open).reduce((all, some) => all + some, 0);
  return (
    <Panel title={t("connections")} note={number(sum)}>
      <Facts facts={[
        [t("chatSockets"), number(open.chat_sockets)],
        [t("chatStreams"), number(open.chat_streams)],
        [t("messageStreams"), number(open.message_streams)],
        [t("clientSockets"), number(open.client_sockets)],
        [t("http"), number(open.http)],
        [t("consoles"), number(open.consoles)],
      ]} />
    </Panel>
  );
}

function Nodes({ now }: { now: State }) {
  const t = useTranslate();
  const { sample } = now;
  return (
    <Panel title={t("nodes")} note={number(now.nodes.length)}>
      {now.nodes.map((node, i) => (
        <Facts key={i} facts={[
          [t("node"), <>{t("thisNode")} <span class={`tag ${node.ready ? "idle" : "broken"}`}>{node.stopping ? t("stoppingNode") : node.ready ? t("ready") : t("notReady")}</span></>],
          [t("version"), <bdi>{node.version}</bdi>],
          [t("environment"), <bdi>{node.environment}</bdi>],
          [t("cores"), number(node.cores)],
          [t("uptime"), long(node.uptime_s)],
          [t("memory"), sample ? bytes(sample.memory_bytes ?? 0) : "–"],
        ]} />
      ))}
    </Panel>
  );
}

export function Overview() {
  const t = useTranslate();
  const now = useStore(state);
  return (
    <main class="overview">
      <Charts />
      {now === null ? (
        <p class="empty faint with-icon"><span class="spinner" aria-hidden="true" />{t("waitingForState")}</p>
      ) : (
        <div class="panels">
          <Runs now={now.at_ms} runs={now.runs} />
          <Sessions now={now.at_ms} sessions={now.sessions} />
          <Providers providers={now.providers} />
          <StoragePanel now={now} />
          <Connections open={now.connections} />
          <Nodes now={now} />
        </div>
      )}
    </main>
  );
}
