// Spans of a day as stretches of a bar. Pure.
import { phaseWord } from "../../../api/backend-phases.ts";
import type { TimelineReport } from "../../../api/timeline-contract.ts";
import { routeLabel, type Tone } from "../daemon/event-text.ts";

export interface Stretch {
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

type Told = readonly [Stretch["tone"], string];
type Day = Pick<TimelineReport, "from" | "to" | "gaps">;

/** Shorter ones could not be seen, and may be what somebody looks for. */
const NARROWEST = 0.002;

export function shareStretches(
  spans: TimelineReport["shares"][number]["spans"],
  report: Day,
): readonly Stretch[] {
  return stretchesOf(spans, report, ({ state, route }) => {
    if (state !== "mounted")
      return [state === "error" ? "bad" : "plain", state === "error" ? "Error" : "Not mounted"];
    return [route === "tb" ? "good" : "warning", route === "none" ? "Mounted" : routeLabel(route)];
  });
}

export function backendStretches(
  spans: TimelineReport["backends"][number]["spans"],
  report: Day,
): readonly Stretch[] {
  const tones = { Ready: "good", Degraded: "warning", Failed: "bad" } as const;
  return stretchesOf(spans, report, ({ phase }) => [
    phase in tones ? tones[phase as keyof typeof tones] : "plain",
    phaseWord(phase),
  ]);
}

function stretchesOf<S extends Span>(
  spans: readonly S[],
  report: Day,
  told: (span: S) => Told,
): readonly Stretch[] {
  const startMs = Date.parse(report.from);
  const wholeMs = Math.max(1, Date.parse(report.to) - startMs);
  const place = (span: Span, [tone, text]: Told): readonly Stretch[] => {
    const fromMs = Math.max(startMs, Date.parse(span.from));
    const toMs = Math.min(startMs + wholeMs, Date.parse(span.to));
    if (!(toMs >= fromMs)) return [];
    const width = Math.max(NARROWEST, (toMs - fromMs) / wholeMs);
    const from = Math.min((fromMs - startMs) / wholeMs, 1 - width);
    return [{ from, width, tone, text, fromMs, toMs }];
  };
  const known = spans.flatMap((span) => place(span, told(span)));
  const gaps = report.gaps.flatMap((gap) => place(gap, ["unknown", "Unknown"]));
  // Gaps of before it was configured say nothing of it.
  const firstMs = known[0]?.fromMs ?? 0;
  return [...known, ...gaps.filter(({ toMs }) => toMs > firstMs)].sort(
    (one, other) => one.fromMs - other.fromMs,
  );
}

/** The latest so many changes in words, newest first. */
export function spokenStretches(stretches: readonly Stretch[], most: number): readonly Stretch[] {
  return stretches.slice(-most).reverse();
}
