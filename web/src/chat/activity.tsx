// The steps before an answer: what was planned, which tools were used with what, and how long it took.
import { useState } from "preact/hooks";
import { duration } from "../shared/i18n";
import { Icon, type IconName } from "../shared/icons";
import type { Run } from "../stream";
import { activitiesOf, type Activity, pretty, type ToolUse } from "./steps";
import { type TextKey, useTranslate } from "./texts";

const KINDS: Record<string, { icon: IconName; text: TextKey }> = {
  PlanningStep: { icon: "plan", text: "stepPlan" },
  ActionStep: { icon: "tool", text: "stepAction" },
  TranscriptStep: { icon: "mic", text: "stepTranscript" },
  AudioStep: { icon: "volume", text: "stepAudio" },
};

export function Activities({ run, running }: { run: Run; running: boolean }) {
  const t = useTranslate();
  const all = activitiesOf(run);
  // Open while something happens, closed afterwards, unless someone has chosen otherwise.
  const [chosen, choose] = useState<boolean | null>(null);
  const open = chosen ?? (running && run.live === null);
  if (all.length === 0) return null;
  const busy = running ? all.at(-1)!.tools.find((tool) => tool.result === null) : undefined;
  return (
    <div class="activities">
      <button type="button" class="quiet activities-head" aria-expanded={open} onClick={() => choose(!open)}>
        <span class={open ? "chevron open" : "chevron"}>
          <Icon name="chevron" turns />
        </span>
        {busy ? t("calling", { name: busy.name }) : t("steps", { n: all.length })}
      </button>
      {open && (
        <ol class="activity-list">
          {all.map((activity) => (
            <One key={activity.key} activity={activity} running={running} />
          ))}
        </ol>
      )}
    </div>
  );
}

function One({ activity, running }: { activity: Activity; running: boolean }) {
  const t = useTranslate();
  const kind = KINDS[activity.type];
  return (
    <li class="activity">
      <span class="activity-icon">
        <Icon name={kind?.icon ?? "tool"} />
      </span>
      <div class="activity-body">
        <div class="activity-name">{kind ? t(kind.text) : activity.type}</div>
        {activity.text && (
          <div class="activity-text" dir="auto">
            {activity.text}
          </div>
        )}
        {activity.tools.map((tool, i) => (
          <Tool key={i} tool={tool} running={running} />
        ))}
      </div>
    </li>
  );
}

function Tool({ tool, running }: { tool: ToolUse; running: boolean }) {
  const t = useTranslate();
  const args = pretty(tool.args);
  return (
    <div class={tool.failed ? "tool failed" : "tool"}>
      <div class="tool-head">
        <code dir="ltr">{tool.name}</code>
        {tool.result === null && (running ? <span class="spinner" /> : <span class="faint">{t("toolUnfinished")}</span>)}
        {tool.failed && <span class="bad">{t("toolFailed")}</span>}
        {tool.took !== null && <span class="faint">{duration(tool.took)}</span>}
      </div>
      {args !== "{}" && <Text label={t("arguments")} text={args} />}
      {tool.result !== null && <Text label={t("result")} text={pretty(tool.result)} />}
    </div>
  );
}

const SHORT = 400;

function Text({ label, text }: { label: string; text: string }) {
  const t = useTranslate();
  const [all, showAll] = useState(false);
  const long = text.length > SHORT;
  return (
    <div class="tool-text">
      <span class="faint">{label}</span>
      <pre dir="auto" tabindex={0} aria-label={label}>
        {long && !all ? `${text.slice(0, SHORT)}…` : text}
      </pre>
      {long && (
        <button type="button" class="quiet small" onClick={() => showAll(!all)}>
          {t(all ? "showLess" : "showAll")}
        </button>
      )}
    </div>
  );
}
