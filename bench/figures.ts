// Prints figures: medians, extremes, and whether a goal is met.

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The value that so large a part of all is not above: 0.99 for the p99. NaN of none. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

/** `median 12.3 ms (10.1 to 20.2, 5 runs)` */
export function spread(values: readonly number[], unit = "ms"): string {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `median ${round(median(values))} ${unit} (${round(low)} to ${round(high)}, ${values.length} runs)`;
}

export function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
}

export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function goal(name: string, met: boolean): void {
  say(`  ${met ? "met   " : "MISSED"}  ${name}`);
}
