// One canvas of a group of plots, drawn by uPlot: its lines, with the group's bands and marks.
import { type ComponentChild, h } from "preact";
import { useEffect, useRef } from "preact/hooks";
import UPlot from "uplot";
import { useMedia } from "../parts/use-media.ts";
import { legend } from "./legend.ts";
import type { Ink, Plotted, PlottedCanvas } from "./plotted.ts";

const HEIGHT = 150;
/** Above the lines, px: the bands, and the heads of the marks. */
const HEAD = 16;
const BAND = 8;
/** Where the numbers of the axes are, px. */
const LEFT = 56;
const BELOW = 26;
const DARK = "(prefers-color-scheme: dark)";

const { bars, stepped } = UPlot.paths;
const BARS = bars && { paths: bars({ align: 1, size: [0.8, 40, 1] }) };
/** A step is as long as the time that its value is of. */
const STEPS = stepped && { paths: stepped({ align: 1, alignGaps: 1 }) };

interface PlotCanvasProps {
  readonly plotted: Plotted;
  readonly canvas: PlottedCanvas;
  /** The point that is read out; null: none. */
  readonly at: number | null;
  /** Called with the point below the pointer. */
  readonly onPoint: (at: number) => void;
}

export function PlotCanvas(props: PlotCanvasProps): ComponentChild {
  const { plotted, canvas, at } = props;
  const frame = useRef<HTMLDivElement>(null);
  const drawn = useRef<UPlot | null>(null);
  // A plot outlives its data.
  const latest = useRef(props);
  latest.current = props;
  const isDark = useMedia(DARK);
  useEffect(() => {
    const parent = frame.current;
    if (parent === null) return;
    const plot = new UPlot(optionsOf(parent, latest), [[]], parent);
    drawn.current = plot;
    const onMove = ({ clientX }: PointerEvent): void => {
      const seconds = plot.posToVal(clientX - plot.over.getBoundingClientRect().left, "x");
      const { fromMs, stepMs, times } = latest.current.plotted;
      const index = Math.floor((seconds * 1000 - fromMs) / stepMs);
      latest.current.onPoint(Math.max(0, Math.min(times.length - 1, index)));
    };
    for (const name of ["pointermove", "pointerdown"] as const) plot.over.addEventListener(name, onMove);
    const sizes = new ResizeObserver(() => plot.setSize({ width: parent.clientWidth, height: HEIGHT }));
    sizes.observe(parent);
    return () => {
      sizes.disconnect();
      plot.destroy();
    };
  }, [isDark]);
  useEffect(() => drawn.current?.setData(dataOf(plotted, canvas)), [plotted, canvas, isDark]);
  useEffect(() => {
    if (drawn.current !== null) putCursor(drawn.current, latest.current);
  }, [at]);
  return h(
    "div",
    { class: "plot" },
    h(
      "div",
      { class: "row" },
      h("strong", {}, canvas.title),
      legend(canvas.lines.map(({ ink, label: text }) => ({ ink, text }))),
    ),
    h("div", { ref: frame }),
  );
}

function putCursor(plot: UPlot, { plotted: { times, stepMs }, at }: PlotCanvasProps): void {
  const time = times[at ?? -1] ?? null;
  // Outside: not drawn.
  const left = time === null ? -10 : plot.valToPos((time + stepMs / 2) / 1000, "x");
  plot.setCursor({ left, top: Math.min(left, 0) }, false);
}

function dataOf({ times }: Plotted, { lines }: PlottedCanvas): UPlot.AlignedData {
  return [times.map((time) => time / 1000), ...lines.map(({ values }) => [...values])];
}

function optionsOf(parent: HTMLElement, latest: { readonly current: PlotCanvasProps }): UPlot.Options {
  const { canvas } = latest.current;
  const plotted = (): Plotted => latest.current.plotted;
  const ink = (name: Ink | "line" | "sunk"): string => inkIn(parent, name);
  const font = `12px ${getComputedStyle(parent).fontFamily}`;
  const lines = { stroke: ink("line"), width: 1 };
  const axis = { stroke: ink("dim"), font, grid: lines, ticks: { ...lines, size: 4 } };
  const { isLog = false } = canvas;
  const off = (): null => null;
  return {
    width: parent.clientWidth,
    height: HEIGHT,
    padding: [HEAD, 20, 0, 0],
    legend: { show: false },
    // The group moves the cursor, by pointer, touch and keys alike.
    cursor: {
      ...{ y: false, points: { show: false }, drag: { x: false, y: false } },
      bind: { mousemove: off, mousedown: off, mouseup: off, mouseenter: off, mouseleave: off, dblclick: off },
    },
    scales: {
      x: { range: () => [plotted().fromMs / 1000, plotted().toMs / 1000] },
      y: isLog
        ? { distr: 3, range: (_plot, min, max) => logRange(min, max) }
        : { range: (_plot, _min, max) => UPlot.rangeNum(0, Math.max(max, 1), 0.1, true) },
    },
    axes: [
      {
        ...axis,
        ...{ size: BELOW, space: 56 },
        values: (_plot, splits) => splits.map(axisTime),
      },
      {
        ...{ ...axis, size: LEFT, space: 28 },
        ...(isLog ? { splits: (_plot, _axis, min, max) => powersOfTen(min, max) } : {}),
        values: (_plot, splits) =>
          splits.map((value: number | null) => (value === null ? "" : canvas.text(value))),
      },
    ],
    series: [
      {},
      ...canvas.lines.map(({ label, drawn, ink: name }) => ({
        ...{ label, stroke: ink(name), spanGaps: false, points: { show: false } },
        ...(drawn === "bars" ? { width: 0, fill: ink(name), ...BARS } : { width: 1.5, ...STEPS }),
      })),
    ],
    hooks: {
      drawClear: [(plot) => drawUnknown(plot, plotted(), ink("sunk"))],
      draw: [
        (plot) => drawBands(plot, plotted(), ink),
        (plot) => drawMarks(plot, plotted(), ink),
        (plot) => putCursor(plot, latest.current),
      ],
    },
  };
}

function powersOfTen(min: number, max: number): number[] {
  const first = Math.ceil(Math.log10(min) - 1e-9);
  const count = Math.floor(Math.log10(max) + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, index) => 10 ** (first + index));
}

/** Whole powers of ten; with no value those of 1 to 1,000. */
function logRange(min: number | null, max: number | null): UPlot.Range.MinMax {
  if (min === null || max === null) return [1, 1000];
  const power = (value: number, round: (exact: number) => number): number =>
    10 ** round(Math.log10(Math.max(value, 0.1)));
  const least = power(min, Math.floor);
  return [least, Math.max(power(max, Math.ceil), least * 10)];
}

/** A midnight is a day. */
function axisTime(seconds: number): string {
  const at = new Date(seconds * 1000);
  if (at.getHours() === 0 && at.getMinutes() === 0)
    return at.toLocaleDateString(undefined, { weekday: "short", day: "numeric" });
  return at.toLocaleTimeString(undefined, { hour12: false, hour: "2-digit", minute: "2-digit" });
}

/** The colour as it is now, light or dark: a canvas knows no variables. */
function inkIn(parent: HTMLElement, name: string): string {
  const probe = parent.appendChild(document.createElement("i"));
  probe.className = `ink ${name}`;
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

const pxOf = (plot: UPlot, ms: number): number => plot.valToPos(ms / 1000, "x", true);

function drawUnknown(plot: UPlot, { times, known, stepMs }: Plotted, colour: string): void {
  const { ctx, bbox } = plot;
  ctx.fillStyle = colour;
  times.forEach((time, index) => {
    if (known[index] === true) return;
    const from = Math.floor(pxOf(plot, time));
    ctx.fillRect(from, bbox.top, Math.ceil(pxOf(plot, time + stepMs)) - from, bbox.height);
  });
}

function drawBands(plot: UPlot, { bands }: Plotted, ink: (name: Ink) => string): void {
  const { ctx, bbox } = plot;
  const ratio = UPlot.pxRatio;
  for (const { fromMs, toMs, ink: name } of bands) {
    const from = pxOf(plot, fromMs);
    ctx.fillStyle = ink(name);
    ctx.fillRect(from, bbox.top - BAND * ratio, Math.max(ratio, pxOf(plot, toMs) - from), BAND * ratio);
  }
}

/** A line from the top to the bottom, with a head. */
function drawMarks(plot: UPlot, { marks }: Plotted, ink: (name: Ink) => string): void {
  const { ctx, bbox } = plot;
  const ratio = UPlot.pxRatio;
  const half = 4 * ratio;
  const top = bbox.top - HEAD * ratio;
  for (const { atMs, ink: name } of marks) {
    const x = pxOf(plot, atMs);
    ctx.fillStyle = ctx.strokeStyle = ink(name);
    ctx.lineWidth = ratio;
    ctx.beginPath();
    ctx.setLineDash([3 * ratio, 3 * ratio]);
    ctx.moveTo(x, top + half);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.beginPath();
    ctx.moveTo(x - half, top);
    ctx.lineTo(x + half, top);
    ctx.lineTo(x, top + half * 1.6);
    ctx.fill();
  }
}
