// Small pictures of rows: a day as a strip, and an hour as a spark line.
import { type ComponentChild, h } from "preact";
import type { NumbersReport } from "../../../api/contract/numbers.ts";
import { IMPACT_LABELS } from "../../../api/labels/impact.ts";
import type { Tone } from "../../../api/labels/label.ts";
import { durationText } from "../../../runtime/text/plain-text.ts";
import type { App } from "../parts/app.ts";
import { shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";
import { legend } from "./legend.ts";

type Day = NumbersReport["shares"][number]["day"];
type DayImpact = Day[number]["impact"];

const DAY_MS = 24 * 3_600_000;
const AXIS_HOURS = 4;
/** Minimum width of a stretch, so that short ones stay visible. */
const NARROWEST = 0.003;
/** Time between two loads, ms. */
const AGAIN_MS = 30_000;

const LABELS: Readonly<Record<DayImpact, { readonly text: string; readonly tone: Tone | "sunk" }>> = {
  ...IMPACT_LABELS,
  unknown: { text: "Not known: no daemon ran, or the machine slept", tone: "sunk" },
};

/** The numbers of all shares and servers; null before they are known, or if they are not this person's to see. */
export function useNumbers(app: App): NumbersReport | null {
  return useLoaded((signal) => app.requests.call("numbers", null, { signal }), "", AGAIN_MS).report;
}

interface StripProps {
  readonly name: string;
  readonly day: Day;
  /** The end of the day, ISO 8601. */
  readonly to: string;
}

/** A bar of 24 h, however much of them is known. */
export function Strip({ name, day, to }: StripProps): ComponentChild {
  const startMs = Date.parse(to) - DAY_MS;
  const part = (ms: number): number => Math.min(1, Math.max(0, (ms - startMs) / DAY_MS));
  const lasted = new Map<DayImpact, number>();
  const drawn = day.map(({ from, to: end, impact }) => {
    const ms = Date.parse(end) - Date.parse(from);
    lasted.set(impact, (lasted.get(impact) ?? 0) + ms);
    const { text, tone } = LABELS[impact];
    const width = Math.max(NARROWEST, part(Date.parse(end)) - part(Date.parse(from)));
    const x = Math.min(part(Date.parse(from)), 1 - width);
    return h(
      "rect",
      { key: from, class: `ink ${tone}`, x: x * 1000, y: 0, width: width * 1000, height: 16 },
      h("title", {}, `${hour(Date.parse(from))}: ${text} for ${durationText(ms)}`),
    );
  });
  const sums = [...lasted].map(([impact, ms]) => `${LABELS[impact].text} ${durationText(ms)}`);
  return h(
    "svg",
    {
      ...{ class: "strip", viewBox: "0 0 1000 16", preserveAspectRatio: "none", role: "img" },
      "aria-label": `${shown(name)} in the last 24 h: ${sums.join(", ") || LABELS.unknown.text}`,
    },
    drawn,
  );
}

/** The hours below all strips of a list. */
export function StripAxis({ to }: Pick<StripProps, "to">): ComponentChild {
  const startMs = Date.parse(to) - DAY_MS;
  const first = new Date(startMs);
  first.setHours(0, 0, 0, 0);
  const hours = Array.from({ length: 13 }, (_, index) => first.getTime() + index * AXIS_HOURS * 3_600_000);
  return h(
    "svg",
    { class: "axis", "aria-hidden": true },
    hours
      .filter((at) => at > startMs + DAY_MS / 50 && at < startMs + DAY_MS * 0.98)
      .map((at) => {
        const x = `${(((at - startMs) / DAY_MS) * 100).toFixed(2)}%`;
        return h(
          "g",
          { key: at },
          h("line", { x1: x, x2: x, y1: 0, y2: 4 }),
          h("text", { x, y: 16, "text-anchor": "middle" }, hour(at)),
        );
      }),
  );
}

export function stripLegend(): ComponentChild {
  return legend(Object.values(LABELS).map(({ text, tone }) => ({ text, ink: tone })));
}

/** The calls of an hour, a bar for each five minutes. The cell's text has their sum. */
export function spark(values: readonly number[]): ComponentChild {
  const most = Math.max(1, ...values);
  return h(
    "svg",
    { class: "spark", viewBox: `0 0 ${values.length * 5} 16`, "aria-hidden": true },
    values.map((value, at) => {
      const height = value === 0 ? 1 : Math.max(2, (value / most) * 16);
      return h("rect", { key: at, x: at * 5, y: 16 - height, width: 4, height });
    }),
  );
}

function hour(ms: number): string {
  return new Date(ms).toLocaleTimeString(undefined, { hour12: false, hour: "2-digit", minute: "2-digit" });
}
