// What a group of plots shows: its canvases, the marks and bands in them, and the text of each point. Pure.
import { clockText } from "../parts/text.ts";

export const SPANS = ["hour", "day", "week"] as const;
export type Span = (typeof SPANS)[number];

/** The colours of lines, bands and marks: the names of the page's variables. */
export type Ink = "main" | "good" | "warning" | "bad" | "dim";

export interface PlottedLine {
  readonly label: string;
  readonly ink: Ink;
  readonly drawn: "bars" | "line";
  /** One for each time; null: not known, or nothing to measure. */
  readonly values: readonly (number | null)[];
}

export interface PlottedCanvas {
  readonly title: string;
  readonly lines: readonly PlottedLine[];
  /** True: each step of the axis is ten times the last. */
  readonly isLog?: boolean;
  /** A value as the axis and the table have it; the title has the unit. */
  readonly text: (value: number) => string;
  /** A line's value in a sentence; "": it says nothing. */
  readonly phrase: (label: string, value: number) => string;
}

/** Something that happened at one time. */
export interface PlottedMark {
  readonly atMs: number;
  readonly ink: Ink;
  /** What it is in the legend. */
  readonly kind: string;
  readonly text: string;
}

/** A state that lasted, drawn as a strip along the axis. */
export interface PlottedBand {
  readonly fromMs: number;
  readonly toMs: number;
  readonly ink: Ink;
  readonly text: string;
}

export interface Plotted {
  /** The whole span, even if only a part of it is known. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly stepMs: number;
  /** When each point begins. */
  readonly times: readonly number[];
  /** False: nothing is known of that time, because no daemon ran or it is older than the record. */
  readonly known: readonly boolean[];
  readonly canvases: readonly PlottedCanvas[];
  readonly marks: readonly PlottedMark[];
  readonly bands: readonly PlottedBand[];
}

/** The point's time, values and what happened in it: `14:05:00: 12 calls, 1 failed, started`. */
export function pointText(plotted: Plotted, index: number, nowMs: number): string {
  const facts = pointFacts(plotted, index);
  return `${timeText(plotted, index, nowMs)}: ${facts.length === 0 ? "not known" : facts.join(", ")}`;
}

export function timeText({ times, stepMs }: Plotted, index: number, nowMs: number): string {
  const time = times[index] ?? 0;
  return stepMs < MINUTE_MS ? clockText(time, nowMs) : clockText(time, nowMs).replace(/:\d\d$/, "");
}

const MINUTE_MS = 60_000;

/** Empty: nothing is known of that time. */
export function pointFacts(
  { times, stepMs, known, canvases, marks, bands }: Plotted,
  index: number,
): readonly string[] {
  if (known[index] !== true) return [];
  const values = canvases.flatMap(({ lines, phrase }) =>
    lines.flatMap(({ label, values }) => {
      const value = values[index] ?? null;
      const reading = value === null ? "" : phrase(label, value);
      return reading === "" ? [] : [reading];
    }),
  );
  return [...happenedAt({ stepMs, times, marks, bands }, index), ...values];
}

/** The states and events of a point. */
export function happenedAt(
  { times, stepMs, marks, bands }: Pick<Plotted, "times" | "stepMs" | "marks" | "bands">,
  index: number,
): readonly string[] {
  const fromMs = times[index] ?? 0;
  const toMs = fromMs + stepMs;
  const lasting = bands.filter((band) => band.fromMs < toMs && band.toMs > fromMs);
  const happened = marks.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
  return [...new Set([...lasting, ...happened].map(({ text }) => text))];
}
