// All measurements as families of points, independent of their output format. Pure.
import { DURATION_BOUNDS_S, type RequestKind, type RequestLabels } from "./call-metrics.ts";

export type Labels = Readonly<Record<string, string>>;

interface Described {
  /** The name with dots, as in OpenTelemetry. Prometheus gets underscores instead of the dots. */
  readonly name: string;
  readonly help: string;
}

/** A value is a number, or 1 for true and 0 for false. */
export interface Measured extends Described {
  readonly kind: "counter" | "gauge";
  readonly values: readonly { readonly labels: Labels; readonly value: number }[];
}

/** Durations in seconds. `buckets` are those of `DURATION_BOUNDS_S`. */
interface Durations extends Described {
  readonly kind: "histogram";
  readonly values: readonly ({ readonly labels: Labels } & Pick<RequestKind, "buckets" | "count" | "sumS">)[];
}

export type Family = Measured | Durations;

/** Families without any point are left out. */
export function families(requests: readonly Readonly<RequestKind>[], measured: readonly Measured[]) {
  const all: readonly Family[] = [
    {
      name: "mountaineer.requests",
      help: "Requests of clients, by how they ended.",
      kind: "counter",
      values: requests.flatMap((request) =>
        [...request.outcomes].map(([outcome, value]) => ({
          labels: { ...labelsOf(request), outcome },
          value,
        })),
      ),
    },
    {
      name: "mountaineer.request.duration",
      help: "How long requests of clients took.",
      kind: "histogram",
      values: requests.map((request) => ({ ...request, labels: labelsOf(request) })),
    },
    ...measured,
  ];
  return all.filter(({ values }) => values.length > 0);
}

function labelsOf({ method, backend, target }: RequestLabels): Labels {
  return {
    method,
    ...(backend !== "" && { backend }),
    ...(target !== "" && { target }),
  };
}

// Metrics in the text format of Prometheus (0.0.4). Pure.

export function prometheusText(families: readonly Family[]): string {
  return families.map((family) => `${familyLines(family).join("\n")}\n`).join("");
}

const SUFFIXES = { counter: "_total", gauge: "", histogram: "_seconds" } as const;

function familyLines(family: Family): string[] {
  const { name, help, kind } = family;
  const full = `${name.replaceAll(".", "_")}${SUFFIXES[kind]}`;
  const head = [`# HELP ${full} ${help}`, `# TYPE ${full} ${kind}`];
  if (family.kind !== "histogram") {
    return [...head, ...family.values.map(({ labels, value }) => `${full}${braced(labels)} ${value}`)];
  }
  const lines = family.values.flatMap(({ labels, buckets, count, sumS }) => {
    let total = 0;
    const cumulative = DURATION_BOUNDS_S.map((bound, index) => {
      total += buckets[index] ?? 0;
      return `${full}_bucket${braced({ ...labels, le: String(bound) })} ${total}`;
    });
    return [
      ...cumulative,
      `${full}_bucket${braced({ ...labels, le: "+Inf" })} ${count}`,
      `${full}_sum${braced(labels)} ${sumS}`,
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
