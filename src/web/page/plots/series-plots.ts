// From the daemon's series of a share or server to what a group of plots shows. Pure.
import type { Series } from "../../../api/contract/numbers.ts";
import { msText, routeLabel } from "../../../api/labels/label.ts";
import { pluralize } from "../../../runtime/text/plain-text.ts";
import type { Ink, Plotted, PlottedBand, PlottedMark } from "./plotted.ts";

/** `link`: the kind of a share's preferred link. */
export function plottedOf(series: Series, kind: "share" | "server", link?: unknown): Plotted {
  const fromMs = Date.parse(series.from);
  const stepMs = series.step_s * 1000;
  const times = series.impact.map((_impact, index) => fromMs + index * stepMs);
  return {
    ...{ fromMs, toMs: Date.parse(series.to), stepMs, times },
    known: series.impact.map((impact) => impact !== null),
    canvases: kind === "share" ? shareCanvases(series) : serverCanvases(series),
    marks: series.marks.map((mark) => markOf(mark, link)),
    bands: bandsOf(series.route, fromMs, stepMs, link),
  };
}

function shareCanvases({ read_mb_s: read, written_mb_s: written }: Series): Plotted["canvases"] {
  const text = (value: number): string =>
    value >= 10 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
  return [
    {
      ...{ title: "MB/s", text, phrase: (label, value) => `${text(value)} MB/s ${label}` },
      lines: [
        { label: "read", ink: "main", drawn: "line", values: read },
        { label: "written", ink: "dim", drawn: "line", values: written },
      ],
    },
  ];
}

function serverCanvases({ calls, errors, p50_ms: p50, p99_ms: p99 }: Series): Plotted["canvases"] {
  return [
    {
      title: "Calls",
      text: (value) => (Number.isInteger(value) ? String(value) : ""),
      phrase: (label, value) =>
        label === "failed" ? (value === 0 ? "" : `${value} failed`) : pluralize(value, "call"),
      lines: [
        { label: "calls", ink: "main", drawn: "bars", values: calls },
        { label: "failed", ink: "bad", drawn: "bars", values: errors },
      ],
    },
    {
      ...{ title: "Time of a call", isLog: true, text: msText },
      phrase: (label, value) => `${label} ${msText(value)}`,
      lines: [
        { label: "typical", ink: "main", drawn: "line", values: p50 },
        { label: "99 % within", ink: "warning", drawn: "line", values: p99 },
      ],
    },
  ];
}

const ROUTE_INKS: Readonly<Record<string, Ink>> = { tb: "good", fallback: "warning", none: "bad" };

/** Slots in a row over the same route are one band. */
function bandsOf(
  routes: Series["route"],
  fromMs: number,
  stepMs: number,
  link: unknown,
): readonly PlottedBand[] {
  const bands: PlottedBand[] = [];
  let start = 0;
  routes.forEach((route, index) => {
    if (routes[index + 1] === route && index + 1 < routes.length) return;
    if (route !== null)
      bands.push({
        ...{ fromMs: fromMs + start * stepMs, toMs: fromMs + (index + 1) * stepMs },
        ...{
          ink: ROUTE_INKS[route] ?? "dim",
          text: route === "none" ? "no route" : `over ${routeLabel(route, link)}`,
        },
      });
    start = index + 1;
  });
  return bands;
}

function markOf({ at, kind, count }: Series["marks"][number], link: unknown): PlottedMark {
  const { ink, what } = {
    moved_to_tb: { ink: "good" as const, what: `moved to ${routeLabel("tb", link)}` },
    moved_to_fallback: { ink: "warning" as const, what: `moved to ${routeLabel("fallback")}` },
    waited: { ink: "warning" as const, what: "programs waited" },
    started: { ink: "good" as const, what: "started" },
    failed: { ink: "bad" as const, what: "ended by a failure" },
  }[kind];
  return {
    atMs: Date.parse(at),
    ink,
    kind: what,
    text: count === 1 ? what : `${what} ${pluralize(count, "time")}`,
  };
}
