// Spans of a day as stretches of a bar. Pure.
import type { TimelineReport } from "../../../api/timeline-contract.ts";
import { phaseWords } from "../../../api/words/backend-words.ts";
import { mountWords } from "../../../api/words/share-words.ts";
import type { Tone, Words } from "../../../api/words/words.ts";
import { durationText } from "../../../runtime/text/plain-text.ts";
import { clockText } from "../parts/text.ts";

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
