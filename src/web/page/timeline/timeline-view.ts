// The last day: routes of each share, phases of each backend, and its calls by the minute.
import { type ComponentChild, h } from "preact";
import type { TimelineReport } from "../../../api/contract/timeline.ts";
import { phaseWords } from "../../../api/words/backend-words.ts";
import { mountWords } from "../../../api/words/share-words.ts";
import { msText, type Tone, type Words } from "../../../api/words/words.ts";
import { counted, durationText } from "../../../runtime/text/plain-text.ts";
import { useStore } from "../daemon/store.ts";
import type { ViewProps } from "../parts/app.ts";
import { fold, loading, nothing, section, table } from "../parts/elements.ts";
import { clockText, shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";

const WIDTH = 1000;
const HEIGHT = 24;
const CALLS_WIDTH = 300;
const AXIS_MINUTES = [1, 5, 15, 60, 240];
/** Maximum number of labels on an axis; more would overlap. */
const MOST_MARKS = 7;
/** Time between two loads without an event, ms; needed because the bars end at the current time. */
const AGAIN_MS = 60_000;
const CHANGES_SHOWN = 20;

export function TimelineView({ app }: ViewProps): ComponentChild {
  const events = useStore(app.store, (state) => state.events[0]?.id ?? 0);
  const { report: loaded, problem } = useLoaded(
    (signal) => app.requests.ask("timeline", null, { signal }),
    events,
    AGAIN_MS,
  );
  if (loaded === null) return loading(problem);
  const report = zoomed(loaded);
  const { shares, backends } = report;
  if (shares.length === 0 && backends.length === 0)
    return nothing("Nothing has been set up in the last day.");
  return h(
    "div",
    {},
    h(
      "p",
      { class: "dim" },
      `Known since ${clockText(Date.parse(report.known_since), Date.parse(report.to))}.`,
    ),
    legend(),
    bars(
      "Shares",
      shares.map(({ name, spans }) => ({
        name,
        stretches: stretchesOf(spans, report, ({ state, route }) => mountWords(state, route)),
        report,
      })),
    ),
    bars(
      "Servers",
      backends.map(({ name, spans }) => ({
        name,
        stretches: stretchesOf(spans, report, ({ phase }) => phaseWords(phase)),
        report,
      })),
    ),
    backends.length === 0 ? null : section("Calls", callTable(report)),
  );
}

/** The report, cut to begin with its first span, so that even one hour of data fills the bars. */
function zoomed(report: TimelineReport): TimelineReport {
  const begins = [...report.shares, ...report.backends].flatMap(({ spans }) => spans[0]?.from ?? []).sort();
  const from = begins[0] ?? report.from;
  return from > report.from ? { ...report, from } : report;
}

function legend(): ComponentChild {
  const words: readonly (readonly [Stretch["tone"], string])[] = [
    ["good", "Thunderbolt, Ready"],
    ["warning", "Fallback, Degraded"],
    ["bad", "Error, Failed"],
    ["plain", "Not mounted, starting"],
    ["unknown", "Unknown: no daemon ran, or the machine slept"],
  ];
  return h(
    "p",
    { class: "legend" },
    words.map(([tone, text]) =>
      h(
        "span",
        { key: tone },
        h(
          "svg",
          { viewBox: "0 0 10 10", "aria-hidden": true },
          h("rect", { class: `stretch ${tone}`, width: 10, height: 10, rx: 2 }),
        ),
        text,
      ),
    ),
  );
}

interface BarProps {
  readonly name: string;
  readonly stretches: readonly Stretch[];
  readonly report: TimelineReport;
}

function bars(title: string, all: readonly BarProps[]): ComponentChild {
  const [first] = all;
  if (first === undefined) return null;
  const drawn = all.map((props) => h(Bar, { key: props.name, ...props }));
  return section(title, h("div", { class: "timeline" }, drawn, axis(first.report)));
}

function Bar({ name, stretches, report }: BarProps): ComponentChild {
  const now = Date.parse(report.to);
  const last = stretches.at(-1);
  const states = stretches.filter(({ tone }) => tone !== "unknown").length;
  const label = `${shown(name)}: ${counted(states, "state")}, now ${last?.text ?? "unknown"}`;
  return h(
    "div",
    { class: "timeline-row" },
    h("strong", {}, shown(name)),
    h(
      "div",
      {},
      h(
        "svg",
        { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
        stretches.map((stretch) => {
          const { from, width, tone, fromMs } = stretch;
          const place = { x: from * WIDTH, y: 0, width: width * WIDTH, height: HEIGHT };
          return h(
            "rect",
            { key: `${fromMs} ${tone}`, class: `stretch ${tone}`, ...place },
            h("title", {}, stretchText(stretch, now)),
          );
        }),
      ),
      fold(
        `Changes of ${shown(name)}`,
        h(
          "ol",
          { class: "plain-list" },
          stretches
            .slice(-CHANGES_SHOWN)
            .reverse()
            .map((stretch) =>
              h("li", { key: `${stretch.fromMs} ${stretch.text}` }, stretchText(stretch, now)),
            ),
        ),
      ),
    ),
  );
}

/** Marks at whole hours, or parts of an hour. */
function axis(report: TimelineReport): ComponentChild {
  const { fromMs, wholeMs, part } = scaleOf(report);
  const step = AXIS_MINUTES.find((minutes) => wholeMs / 60_000 / minutes <= MOST_MARKS) ?? 240;
  const first = new Date(fromMs);
  first.setHours(0, 0, 0, 0);
  const marks: Date[] = [];
  for (let at = first.getTime(); at <= fromMs + wholeMs; at += step * 60_000)
    if (at > fromMs) marks.push(new Date(at));
  return h(
    "div",
    { class: "timeline-row", "aria-hidden": true },
    h("span", {}),
    h(
      "svg",
      { class: "axis" },
      marks.map((hour) => {
        const x = `${(part(hour.getTime()) * 100).toFixed(2)}%`;
        return h(
          "g",
          { key: hour.getTime() },
          h("line", { x1: x, x2: x, y1: 0, y2: 4 }),
          h(
            "text",
            { x, y: 17, "text-anchor": "middle" },
            hour.toLocaleTimeString(undefined, { hour12: false, hour: "2-digit", minute: "2-digit" }),
          ),
        );
      }),
    ),
  );
}

function callTable(report: TimelineReport): ComponentChild {
  const rows = report.backends.map(({ name, minutes }) => {
    const calls = minutes.reduce((sum, minute) => sum + minute.calls, 0);
    const errors = minutes.reduce((sum, minute) => sum + minute.errors, 0);
    const weighed = minutes.reduce((sum, { calls: count, p50_ms: p50 }) => sum + count * (p50 ?? 0), 0);
    const worst = Math.max(0, ...minutes.map(({ p99_ms: p99 }) => p99 ?? 0));
    return [
      shown(name),
      String(calls),
      String(errors),
      calls === 0 ? "–" : msText(weighed / calls),
      calls === 0 ? "–" : msText(worst),
      callBars(shown(name), minutes, report),
    ];
  });
  const titles = ["Server", "Calls", "Errors", "Typical", "Slowest minute", "Over the day"];
  return table("Calls of the last day", titles, rows);
}

function callBars(
  name: string,
  minutes: TimelineReport["backends"][number]["minutes"],
  report: TimelineReport,
): ComponentChild {
  const { wholeMs, part } = scaleOf(report);
  const most = Math.max(1, ...minutes.map(({ calls }) => calls));
  const width = Math.max(2, (report.minute_step * 60_000 * CALLS_WIDTH) / wholeMs);
  return h(
    "svg",
    {
      viewBox: `0 0 ${CALLS_WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": `${name}: at most ${most} calls in ${report.minute_step} min`,
    },
    report.gaps.map(({ from, to }) => {
      const x = part(Date.parse(from)) * CALLS_WIDTH;
      const place = { x, y: 0, width: part(Date.parse(to)) * CALLS_WIDTH - x, height: HEIGHT };
      return h("rect", { key: from, class: "stretch unknown", ...place });
    }),
    minutes.map(({ at, calls, errors }) => {
      const height = Math.max(1, (calls / most) * HEIGHT);
      const x = Math.min(CALLS_WIDTH - width, part(Date.parse(at)) * CALLS_WIDTH);
      const place = { x, y: HEIGHT - height, width, height };
      return h("rect", { key: at, class: `stretch ${errors > 0 ? "bad" : "good"}`, ...place });
    }),
  );
}

// Spans of a day as stretches of a bar. Pure.

interface Stretch {
  /** Fractions of the whole bar, 0 to 1. */
  readonly from: number;
  readonly width: number;
  readonly tone: Tone | "unknown";
  readonly text: string;
  readonly fromMs: number;
  readonly toMs: number;
}

type Span = Pick<TimelineReport, "from" | "to">;
type Day = Pick<TimelineReport, "from" | "to" | "gaps">;

/** Minimum width of a stretch, so that short ones stay visible. */
const NARROWEST = 0.002;

/** `part` maps a moment to its place in the report's time, 0 to 1. */
function scaleOf({ from, to }: Span) {
  const fromMs = Date.parse(from);
  const wholeMs = Math.max(1, Date.parse(to) - fromMs);
  return { fromMs, wholeMs, part: (ms: number): number => (ms - fromMs) / wholeMs };
}

export function stretchesOf<S extends Span>(
  spans: readonly S[],
  report: Day,
  wordsOf: (span: S) => Words,
): readonly Stretch[] {
  const { fromMs: startMs, wholeMs, part } = scaleOf(report);
  const place = (span: Span, { tone, text }: Pick<Stretch, "tone" | "text">): readonly Stretch[] => {
    const fromMs = Math.max(startMs, Date.parse(span.from));
    const toMs = Math.min(startMs + wholeMs, Date.parse(span.to));
    if (!(toMs >= fromMs)) return [];
    const width = Math.max(NARROWEST, (toMs - fromMs) / wholeMs);
    const from = Math.min(part(fromMs), 1 - width);
    return [{ from, width, tone, text, fromMs, toMs }];
  };
  const known = spans.flatMap((span) => place(span, wordsOf(span)));
  const gaps = report.gaps.flatMap((gap) => place(gap, { tone: "unknown", text: "unknown" }));
  // Leaves out gaps before the first span, when the share or backend was not configured yet.
  const firstMs = known[0]?.fromMs ?? 0;
  return [...known, ...gaps.filter(({ toMs }) => toMs > firstMs)].sort(
    (one, other) => one.fromMs - other.fromMs,
  );
}

/** "14:32:05: Ready for 5 min", with the day if it is not today. */
export function stretchText({ text, fromMs, toMs }: Stretch, now: number): string {
  return `${clockText(fromMs, now)}: ${text} for ${durationText(toMs - fromMs)}`;
}
