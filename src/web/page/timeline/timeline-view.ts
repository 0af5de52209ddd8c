// The last day of the shares: what programs felt of each.
import { type ComponentChild, h } from "preact";
import type { TimelineReport } from "../../../api/contract/timeline.ts";
import { IMPACT_LABELS, type Impact } from "../../../api/labels/impact.ts";
import type { Label, Tone } from "../../../api/labels/label.ts";
import { mountText, onlyHost } from "../../../api/labels/share-labels.ts";
import { durationText, pluralize } from "../../../runtime/text/plain-text.ts";
import { useStore } from "../daemon/store.ts";
import type { ViewProps } from "../parts/app.ts";
import { details, loading, section } from "../parts/elements.ts";
import { clockText, shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";

const WIDTH = 1000;
const HEIGHT = 24;
const AXIS_MINUTES = [1, 5, 15, 60, 240];
/** Maximum number of labels on an axis; more would overlap. */
const MOST_MARKS = 7;
/** The part of an axis that half a label takes at 390 px. */
const EDGE = 0.06;
/** Time between two loads without an event, ms; needed because the bars end at the current time. */
const AGAIN_MS = 60_000;
const CHANGES_SHOWN = 20;

export function TimelineView({ app }: ViewProps): ComponentChild {
  const events = useStore(app.store, (state) => state.events[0]?.id ?? 0);
  const configured = app.store.get().status?.shares ?? [];
  const { report: loaded, problem } = useLoaded(
    (signal) => app.requests.call("timeline", null, { signal }),
    events,
    AGAIN_MS,
  );
  if (loaded === null) return loading(problem);
  const report = begun(loaded);
  const { shares } = report;
  return h(
    "div",
    {},
    bars(
      "What programs noticed in the last 24 hours",
      shares.map(({ name, spans }) => ({
        name,
        stretches: stretchesOf(spans, report, ({ state, route, impact }) => {
          const share = configured.find((each) => each.name === name);
          const label = mountText(
            state,
            route,
            share === undefined ? null : onlyHost(share),
            share?.tb_link?.kind,
          );
          return impactLabel(impact ?? (state === "mounted" ? "fine" : "failed"), label.text);
        }),
        report,
      })),
    ),
  );
}

/** The report, cut to begin with its first span: even one hour of data fills the bars. */
function begun(report: TimelineReport): TimelineReport {
  const [first = report.from] = report.shares.flatMap(({ spans }) => spans[0]?.from ?? []).sort();
  return { ...report, from: first > report.from ? first : report.from };
}

function impactLabel(impact: Impact, state: string): Label {
  const { text, tone } = IMPACT_LABELS[impact];
  return { tone, text: impact === "waited" || impact === "failed" ? `${text}: ${state}` : state };
}

function legend(): ComponentChild {
  const entries: readonly Pick<Stretch, "tone" | "text">[] = [
    ...Object.values(IMPACT_LABELS),
    { tone: "unknown", text: "Unknown: no daemon ran, or the machine slept" },
  ];
  return h(
    "p",
    { class: "legend" },
    entries.map(({ tone, text }) =>
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
  return section(title, legend(), h("div", { class: "timeline" }, drawn, axis(first.report)));
}

function Bar({ name, stretches, report }: BarProps): ComponentChild {
  const now = Date.parse(report.to);
  const last = stretches.at(-1);
  const states = stretches.filter(({ tone }) => tone !== "unknown").length;
  const label = `${shown(name)}: ${pluralize(states, "state")}, now ${last?.text ?? "unknown"}`;
  return h(
    "div",
    { class: "timeline-row" },
    h("strong", {}, shown(name)),
    h(
      "div",
      { class: "bar" },
      h(
        "svg",
        {
          ...{
            viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
            preserveAspectRatio: "none",
            role: "img",
            "aria-label": label,
          },
        },
        stretches.map((stretch) => {
          const { from, width, tone, fromMs } = stretch;
          const box = { x: from * WIDTH, y: 0, width: width * WIDTH, height: HEIGHT };
          return h(
            "rect",
            { key: `${fromMs} ${tone}`, class: `stretch ${tone}`, ...box },
            h("title", {}, stretchText(stretch, now)),
          );
        }),
      ),
      details(
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
        const from = part(hour.getTime());
        const x = `${(from * 100).toFixed(2)}%`;
        // At an edge, half of a centred label would be outside.
        const anchor = from < EDGE ? "start" : from > 1 - EDGE ? "end" : "middle";
        return h(
          "g",
          { key: hour.getTime() },
          h("line", { x1: x, x2: x, y1: 0, y2: 4 }),
          h(
            "text",
            { x, y: 17, "text-anchor": anchor },
            hour.toLocaleTimeString(undefined, { hour12: false, hour: "2-digit", minute: "2-digit" }),
          ),
        );
      }),
    ),
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
  labelOf: (span: S) => Label,
): readonly Stretch[] {
  const { fromMs: startMs, wholeMs, part } = scaleOf(report);
  const stretch = (span: Span, { tone, text }: Pick<Stretch, "tone" | "text">): readonly Stretch[] => {
    const fromMs = Math.max(startMs, Date.parse(span.from));
    const toMs = Math.min(startMs + wholeMs, Date.parse(span.to));
    if (!(toMs >= fromMs)) return [];
    const width = Math.max(NARROWEST, (toMs - fromMs) / wholeMs);
    const from = Math.min(part(fromMs), 1 - width);
    return [{ from, width, tone, text, fromMs, toMs }];
  };
  const known = spans.flatMap((span) => stretch(span, labelOf(span)));
  // Before its first span and after its last one, the share or backend did not exist.
  const [first, last] = [spans[0]?.from ?? report.to, spans.at(-1)?.to ?? report.from];
  const gaps = report.gaps.flatMap(({ from, to }) => {
    const gap = { from: from > first ? from : first, to: to < last ? to : last };
    return gap.from < gap.to ? stretch(gap, { tone: "unknown", text: "unknown" }) : [];
  });
  return [...known, ...gaps].sort((one, other) => one.fromMs - other.fromMs);
}

/** "14:32:05: Ready for 5 min", with the day if it is not today. */
export function stretchText({ text, fromMs, toMs }: Stretch, now: number): string {
  return `${clockText(fromMs, now)}: ${text} for ${durationText(toMs - fromMs)}`;
}
