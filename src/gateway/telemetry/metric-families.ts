// All that is measured, as families of points, whatever they are then written as. Pure.
import { DURATION_BOUNDS_S, type RequestKind } from "./call-metrics.ts";

export type Labels = Readonly<Record<string, string>>;

export interface Family {
  /** With dots, as OpenTelemetry spells names; Prometheus has underscores. */
  readonly name: string;
  readonly help: string;
  /** As UCUM spells it; empty: a number of things. */
  readonly unit: "" | "s";
  readonly points: Points;
}

type Points =
  | { readonly kind: "counter" | "gauge"; readonly values: readonly Value[] }
  | { readonly kind: "histogram"; readonly values: readonly Distribution[] };

interface Value {
  readonly labels: Labels;
  readonly value: number;
}

interface Distribution {
  readonly labels: Labels;
  readonly bounds: readonly number[];
  readonly buckets: readonly number[];
  readonly count: number;
  readonly sum: number;
}

/** What is measured elsewhere: a number, or a fact that holds (1) or not (0). */
export interface Measured {
  readonly name: string;
  readonly help: string;
  readonly kind: "counter" | "gauge";
  readonly values: readonly Value[];
}

export function families(requests: readonly RequestKind[], measured: readonly Measured[]): readonly Family[] {
  return [
    {
      name: "mountaineer.requests",
      help: "Requests of clients, by how they ended.",
      unit: "",
      points: {
        kind: "counter",
        values: requests.flatMap((request) =>
          [...request.outcomes].map(([outcome, value]) => ({
            labels: { ...labelsOf(request), outcome },
            value,
          })),
        ),
      },
    },
    {
      name: "mountaineer.request.duration",
      help: "How long requests of clients took.",
      unit: "s",
      points: {
        kind: "histogram",
        values: requests.map((request) => ({
          labels: labelsOf(request),
          bounds: DURATION_BOUNDS_S,
          buckets: request.buckets,
          count: request.count,
          sum: request.sumS,
        })),
      },
    },
    ...measured.map(
      ({ name, help, kind, values }): Family => ({ name, help, unit: "", points: { kind, values } }),
    ),
  ];
}

function labelsOf({ method, backend, target }: RequestKind): Labels {
  return {
    method,
    ...(backend !== "" && { backend }),
    ...(target !== "" && { target }),
  };
}

// Metrics as Prometheus reads them (text format 0.0.4). Pure.

export function prometheusText(families: readonly Family[]): string {
  return families
    .filter(({ points }) => points.values.length > 0)
    .map((family) => `${familyLines(family).join("\n")}\n`)
    .join("");
}

function familyLines({ name, help, unit, points }: Family): string[] {
  const base = `${name.replaceAll(".", "_")}${unit === "s" ? "_seconds" : ""}`;
  const full = points.kind === "counter" ? `${base}_total` : base;
  const head = [`# HELP ${full} ${help}`, `# TYPE ${full} ${points.kind}`];
  if (points.kind !== "histogram") {
    return [...head, ...points.values.map(({ labels, value }) => `${full}${braced(labels)} ${value}`)];
  }
  const lines = points.values.flatMap(({ labels, bounds, buckets, count, sum }) => {
    let sofar = 0;
    const cumulative = bounds.map((bound, index) => {
      sofar += buckets[index] ?? 0;
      return `${full}_bucket${braced({ ...labels, le: String(bound) })} ${sofar}`;
    });
    return [
      ...cumulative,
      `${full}_bucket${braced({ ...labels, le: "+Inf" })} ${count}`,
      `${full}_sum${braced(labels)} ${sum}`,
      `${full}_count${braced(labels)} ${count}`,
    ];
  });
  return [...head, ...lines];
}

function braced(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
