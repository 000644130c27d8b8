// The last hour as small charts. Time runs from left to right in both languages.
import { useEffect, useMemo, useRef } from "preact/hooks";
import uPlot from "uplot";
import { language, theme } from "../shared/appearance";
import { clock, number } from "../shared/i18n";
import { useStore } from "../shared/store";
import { history, spanOf } from "./feed";
import { useTranslate } from "./texts";
import { brief, bytes } from "./units";
import type { Series } from "./wire";

interface Line {
  series: Series;
  label: string;
}
interface ChartProps {
  title: string;
  lines: Line[];
  format: (value: number) => string;
}

const HEIGHT = 132;
const COLOURS = ["--accent", "--code-title", "--warn"];

const compact = (value: number) => number(value, { notation: "compact", maximumFractionDigits: value < 10 ? 1 : 0 });
const percent = (value: number) => number(value / 100, { style: "percent", maximumFractionDigits: value < 10 ? 1 : 0 });
const milliseconds = brief;

const gappy = (series: Series) => series.endsWith("_ms");

/** For a canvas, which is drawn from left to right: number and unit in the order of their language. */
const isolated = (text: string) => `\u2068${text}\u2069`;

function optionsOf(width: number, lines: Line[], format: (value: number) => string): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const font = `11px ${style.getPropertyValue("--sans")}`;
  const axis = { stroke: colour("--soft"), font, ticks: { show: false }, grid: { stroke: colour("--line"), width: 1 } };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 5 }, sync: { key: "hour" } },
    padding: [8, 26, 0, 0],
    scales: {
      x: { time: true, range: (chart) => spanOf(chart.data[0]) },
      y: { range: (_, __, most) => [0, most > 0 ? most * 1.12 : 1] },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 22, space: 70, values: (_, at) => at.map((second) => isolated(clock(second * 1000))) },
      { ...axis, size: 58, space: 34, values: (_, values) => values.map((value) => isolated(format(value))) },
    ],
    series: [
      {},
      ...lines.map((line, i) => ({
        stroke: colour(COLOURS[i]!),
        width: 1.5,
        // A value between two gaps is no line.
        points: { show: gappy(line.series), size: 3, fill: colour(COLOURS[i]!) },
        ...(i === 0 && { fill: `color-mix(in srgb, ${colour("--accent")} 12%, transparent)` }),
      })),
    ],
  };
}

function Chart({ title, lines, format }: ChartProps) {
  useTranslate();
  const hour = useStore(history);
  const colours = useStore(theme);
  const tongue = useStore(language);
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const data = useMemo<uPlot.AlignedData>(
    () => (hour ? [hour.at_ms.map((at) => at / 1000), ...lines.map(({ series }) => hour.series[series])] : [[], ...lines.map(() => [])]),
    [hour],
  );
  useEffect(() => {
    const element = place.current!;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const make = () => {
      chart.current?.destroy();
      chart.current = new uPlot(optionsOf(element.clientWidth, lines, format), data, element);
    };
    make();
    const size = new ResizeObserver(() => chart.current?.setSize({ width: element.clientWidth, height: HEIGHT }));
    size.observe(element);
    dark.addEventListener("change", make);
    return () => {
      size.disconnect();
      dark.removeEventListener("change", make);
      chart.current?.destroy();
      chart.current = null;
    };
  }, [colours, tongue]);
  useEffect(() => chart.current?.setData(data), [data]);

  const latest = (series: Series) => {
    const value = hour?.series[series].at(-1);
    return value === undefined || value === null ? "–" : format(value);
  };
  const told = lines.map(({ label, series }) => `${label} ${latest(series)}`).join("; ");
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        {lines.map(({ label, series }, i) => (
          <span key={series} class="chart-line">
            <span class={`swatch swatch-${i}`} aria-hidden="true" />
            {label} <b>{latest(series)}</b>
          </span>
        ))}
      </figcaption>
      <div class="chart-place" dir="ltr" ref={place} role="img" aria-label={`${title}: ${told}`} />
    </figure>
  );
}

export function Charts() {
  const tt = useTranslate();
  const per = (value: number) => compact(value);
  return (
    <section class="charts" aria-label={tt("lastHour")}>
      <Chart title={tt("chartWork")} format={compact} lines={[{ series: "runs", label: tt("chartRuns") }, { series: "model_in_flight", label: tt("chartModel") }, { series: "model_queued", label: tt("chartQueued") }]} />
      <Chart title={tt("chartAnswers")} format={per} lines={[{ series: "messages_per_s", label: tt("chartAccepted") }, { series: "completed_per_s", label: tt("chartCompleted") }, { series: "failed_per_s", label: tt("chartFailed") }]} />
      <Chart title={tt("chartFirst")} format={milliseconds} lines={[{ series: "first_token_p50_ms", label: tt("median") }, { series: "first_token_p95_ms", label: tt("high") }]} />
      <Chart title={tt("chartTokens")} format={per} lines={[{ series: "tokens_out_per_s", label: tt("chartOut") }, { series: "tokens_in_per_s", label: tt("chartIn") }]} />
      <Chart title={tt("chartPresence")} format={compact} lines={[{ series: "connections", label: tt("chartConnections") }, { series: "watchers", label: tt("chartWatchers") }, { series: "sessions_awake", label: tt("chartAwake") }]} />
      <Chart title={tt("chartSync")} format={milliseconds} lines={[{ series: "sync_p50_ms", label: tt("median") }, { series: "sync_p95_ms", label: tt("high") }]} />
      <Chart title={tt("chartNode")} format={percent} lines={[{ series: "cpu_percent", label: tt("chartNode") }]} />
      <Chart title={tt("chartMemory")} format={bytes} lines={[{ series: "memory_bytes", label: tt("chartMemory") }, { series: "store_bytes", label: tt("chartStore") }]} />
    </section>
  );
}
