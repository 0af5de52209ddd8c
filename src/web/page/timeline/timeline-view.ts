// The last day: each share's routes, each backend's phases, and each backend's calls by the minute.
import { type ComponentChild, h } from "preact";
import type { TimelineReport } from "../../../api/timeline-contract.ts";
import { phaseWords } from "../../../api/words/backend-words.ts";
import { mountWords } from "../../../api/words/share-words.ts";
import { msText, type Tone, type Words } from "../../../api/words/words.ts";
import { counted, durationText } from "../../../runtime/text/plain-text.ts";
import { useStore } from "../daemon/store.ts";
import type { ViewProps } from "../parts/app.ts";
import { nothing, section, table } from "../parts/elements.ts";
import { clockText, shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";

const WIDTH = 1000;
const HEIGHT = 24;
const AXIS_MINUTES = [1, 5, 15, 60, 240];
/** Of an axis; more would stand on one another. */
const MOST_MARKS = 7;
/** The end of each bar is now: it moves on though nothing happens. */
const AFRESH_MS = 60_000;
const CHANGES_SHOWN = 20;

export function TimelineView({ app }: ViewProps): ComponentChild {
  const events = useStore(app.store, (state) => state.events[0]?.id ?? 0);
  const { report: loaded, problem } = useLoaded(
    (signal) => app.requests.ask("timeline", null, { signal }),
    events,
    AFRESH_MS,
  );
  if (loaded === null) return nothing(problem === null ? "Asking the daemon …" : shown(problem));
  const report = zoomed(loaded);
  const { shares, backends, gaps } = report;
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
    h(Legend, { gaps: gaps.length > 0 }),
    bars(
      "Shares",
      shares.map(({ name, spans }) => ({ name, stretches: shareStretches(spans, report), report })),
    ),
    bars(
      "Servers",
      backends.map(({ name, spans }) => ({ name, stretches: backendStretches(spans, report), report })),
    ),
    backends.length === 0 ? null : section("Calls", h(Calls, { report })),
  );
}

/** From the first that is known on: an hour is no sliver of a day. */
export function zoomed(report: TimelineReport): TimelineReport {
  const begins = [...report.shares, ...report.backends].flatMap(({ spans }) => spans[0]?.from ?? []).sort();
  const from = begins[0] ?? report.from;
  return from > report.from ? { ...report, from } : report;
}

function Legend({ gaps }: { readonly gaps: boolean }): ComponentChild {
  const words: readonly (readonly [Stretch["tone"], string])[] = [
    ["good", "Thunderbolt, Ready"],
    ["warning", "Fallback, Degraded"],
    ["bad", "Error, Failed"],
    ["plain", "Not mounted, starting"],
    ...(gaps ? ([["unknown", "Unknown: no daemon ran, or the machine slept"]] as const) : []),
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
  return section(title, h("div", { class: "timeline" }, drawn, h(Axis, { report: first.report })));
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
      h(
        "details",
        {},
        h("summary", {}, `Changes of ${shown(name)}`),
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

/** At whole hours, or parts of one. */
function Axis({ report }: { readonly report: TimelineReport }): ComponentChild {
  const fromMs = Date.parse(report.from);
  const toMs = Date.parse(report.to);
  const step = AXIS_MINUTES.find((minutes) => (toMs - fromMs) / 60_000 / minutes <= MOST_MARKS) ?? 240;
  const first = new Date(fromMs);
  first.setHours(0, 0, 0, 0);
  const marks: Date[] = [];
  for (let at = first.getTime(); at <= toMs; at += step * 60_000) if (at > fromMs) marks.push(new Date(at));
  return h(
    "div",
    { class: "timeline-row", "aria-hidden": true },
    h("span", {}),
    h(
      "svg",
      { class: "axis" },
      marks.map((hour) => {
        const x = `${(((hour.getTime() - fromMs) / (toMs - fromMs)) * 100).toFixed(2)}%`;
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

function Calls({ report }: { readonly report: TimelineReport }): ComponentChild {
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
  const fromMs = Date.parse(report.from);
  const wholeMs = Math.max(1, Date.parse(report.to) - fromMs);
  const most = Math.max(1, ...minutes.map(({ calls }) => calls));
  const width = Math.max(2, (report.minute_step * 60_000 * 300) / wholeMs);
  return h(
    "svg",
    {
      viewBox: `0 0 300 ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": `${name}: at most ${most} calls in ${report.minute_step} min`,
    },
    report.gaps.map(({ from, to }) =>
      h("rect", {
        key: from,
        class: "stretch unknown",
        x: ((Date.parse(from) - fromMs) / wholeMs) * 300,
        y: 0,
        width: ((Date.parse(to) - Date.parse(from)) / wholeMs) * 300,
        height: HEIGHT,
      }),
    ),
    minutes.map(({ at, calls, errors }) => {
      const height = Math.max(1, (calls / most) * HEIGHT);
      return h("rect", {
        key: at,
        class: `stretch ${errors > 0 ? "bad" : "good"}`,
        x: Math.min(300 - width, ((Date.parse(at) - fromMs) / wholeMs) * 300),
        y: HEIGHT - height,
        width,
        height,
      });
    }),
  );
}

// Spans of a day as stretches of a bar. Pure.

interface Stretch {
  /** Parts of the whole bar, 0 to 1. */
  readonly from: number;
  readonly width: number;
  readonly tone: Tone | "unknown";
  readonly text: string;
  readonly fromMs: number;
  readonly toMs: number;
}

interface Span {
  readonly from: string;
  readonly to: string;
}

type Day = Pick<TimelineReport, "from" | "to" | "gaps">;

/** Shorter ones could not be seen, and may be what somebody looks for. */
const NARROWEST = 0.002;

export function shareStretches(
  spans: TimelineReport["shares"][number]["spans"],
  report: Day,
): readonly Stretch[] {
  return stretchesOf(spans, report, ({ state, route }) => mountWords(state, route));
}

export function backendStretches(
  spans: TimelineReport["backends"][number]["spans"],
  report: Day,
): readonly Stretch[] {
  return stretchesOf(spans, report, ({ phase }) => phaseWords(phase));
}

function stretchesOf<S extends Span>(
  spans: readonly S[],
  report: Day,
  told: (span: S) => Words,
): readonly Stretch[] {
  const startMs = Date.parse(report.from);
  const wholeMs = Math.max(1, Date.parse(report.to) - startMs);
  const place = (
    span: Span,
    { tone, text }: Omit<Words, "tone"> & Pick<Stretch, "tone">,
  ): readonly Stretch[] => {
    const fromMs = Math.max(startMs, Date.parse(span.from));
    const toMs = Math.min(startMs + wholeMs, Date.parse(span.to));
    if (!(toMs >= fromMs)) return [];
    const width = Math.max(NARROWEST, (toMs - fromMs) / wholeMs);
    const from = Math.min((fromMs - startMs) / wholeMs, 1 - width);
    return [{ from, width, tone, text, fromMs, toMs }];
  };
  const known = spans.flatMap((span) => place(span, told(span)));
  const gaps = report.gaps.flatMap((gap) => place(gap, { tone: "unknown", text: "unknown" }));
  // Gaps of before it was configured say nothing of it.
  const firstMs = known[0]?.fromMs ?? 0;
  return [...known, ...gaps.filter(({ toMs }) => toMs > firstMs)].sort(
    (one, other) => one.fromMs - other.fromMs,
  );
}

/** What it was, since when and how long; clock times of another day than `now` name it. */
export function stretchText({ text, fromMs, toMs }: Stretch, now: number): string {
  return `${clockText(fromMs, now)}: ${text} for ${durationText(toMs - fromMs)}`;
}
