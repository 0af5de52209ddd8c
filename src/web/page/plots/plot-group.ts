// Plots of one subject over the same time: pointer, touch or arrow keys read a point out; a table has all of them.
import { type ComponentChild, h } from "preact";
import { useState } from "preact/hooks";
import { Table } from "../parts/table.ts";
import { legend } from "./legend.ts";
import { PlotCanvas } from "./plot-canvas.ts";
import { happenedAt, type Plotted, pointText, timeText } from "./plotted.ts";

interface PlotGroupProps {
  readonly label: string;
  readonly plotted: Plotted;
  readonly now: number;
}

/** How far a key moves the point that is read out. */
const KEYS: Readonly<Record<string, number>> = {
  ...{ ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 },
  ...{ Home: Number.NEGATIVE_INFINITY, End: Number.POSITIVE_INFINITY },
};

export function PlotGroup({ label, plotted, now }: PlotGroupProps): ComponentChild {
  // The time, as new values move all points.
  const [atMs, setAtMs] = useState<number | null>(null);
  const { times, known, canvases, marks, bands } = plotted;
  const last = times.length - 1;
  const found = atMs === null ? -1 : times.findIndex((time) => time + plotted.stepMs > atMs);
  const at = found === -1 ? null : found;
  const put = (index: number): void => setAtMs(times[Math.max(0, Math.min(last, index))] ?? null);
  const newest = Math.max(0, known.lastIndexOf(true));
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = KEYS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    put((at ?? newest) + step);
  };
  const text = pointText(plotted, at ?? newest, now);
  return h(
    "figure",
    { class: "plots" },
    h(
      "div",
      {
        ...{ class: "canvases", role: "slider", tabIndex: 0, "aria-label": label, "aria-valuetext": text },
        ...{ "aria-valuemin": 0, "aria-valuemax": last, "aria-valuenow": at ?? newest, onKeyDown },
      },
      canvases.map((canvas) => h(PlotCanvas, { key: canvas.title, plotted, canvas, at, onPoint: put })),
    ),
    h("p", { class: "readout" }, text),
    h(
      "figcaption",
      {},
      legend([
        ...bands,
        ...marks.map(({ ink, kind: text }) => ({ ink, text })),
        ...(known.includes(false) ? [{ ink: "sunk" as const, text: "Not known" }] : []),
      ]),
    ),
    h(PointTable, { label, plotted, now }),
  );
}

/** All points that are known, the newest first; drawn once it is opened. */
function PointTable({ label, plotted, now }: PlotGroupProps): ComponentChild {
  const [isOpen, setOpen] = useState(false);
  const onToggle = ({ target }: Event): void => setOpen((target as HTMLDetailsElement).open);
  const lines = plotted.canvases.flatMap(({ lines, text }) => lines.map((line) => ({ ...line, text })));
  const cells = (index: number): readonly string[] => [
    timeText(plotted, index, now),
    ...lines.map(({ values, text }) => {
      const value = values[index] ?? null;
      return value === null ? "" : text(value);
    }),
    happenedAt(plotted, index).join(", "),
  ];
  const rows = () =>
    plotted.times
      .flatMap((_time, index) =>
        plotted.known[index] === true ? [{ key: String(index), cells: cells(index) }] : [],
      )
      .reverse();
  return h(
    "details",
    { onToggle },
    h("summary", {}, "As a table"),
    isOpen
      ? h(Table, {
          ...{ label: `${label}, as a table`, most: plotted.times.length, rows: rows() },
          titles: ["Time", ...lines.map(({ label: each }) => each), "What happened"],
        })
      : null,
  );
}
