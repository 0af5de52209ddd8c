// Metrics as Prometheus reads them (text format 0.0.4). Pure.
import type { Family, Labels } from "./metric-families.ts";

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
