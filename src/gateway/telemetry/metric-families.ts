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
