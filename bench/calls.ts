// Measures calls of several gateways side by side, in interleaved rounds.
import { median, round, say } from "./figures.ts";
import type { Measured } from "./gateways.ts";
import { threadsCpuUs } from "./processes.ts";

const IN_FLIGHT = 32;
/**
 * Calls of each before any is measured. V8 compiles the most of what a call runs from its 10,000th to its 15,000th time
 * (`--trace-opt`), and that is 0.7 s of other threads' CPU once in a gateway's life.
 */
const WARM = 16_000;

/** Medians of all rounds. */
export interface CallFigures {
  /** Of the process between, µs a call. */
  readonly cpu: number;
  /** Of calls one after the other, ms. */
  readonly p50: number;
  /** Calls a second, many in flight. */
  readonly rate: number;
}

export type FiguresOf = (measured: Measured) => CallFigures;

/** What the rounds gave, in their order. */
interface Taken {
  readonly cpu: number[];
  readonly p50: number[];
  readonly rate: number[];
}

interface Measurement {
  readonly figuresOf: FiguresOf;
  /** CPU a call beside that of another: the median of what each round gave, as the machine changes between rounds. */
  cpuRatio(measured: Measured, base: Measured): number;
  /** The same of the p50. */
  p50Ratio(measured: Measured, base: Measured): number;
}

/** Measures all of them, and prints one line each, beside what `baseOf` says it is compared with; null: with nothing. */
export async function measureCalls(
  all: readonly Measured[],
  short: boolean,
  baseOf: (measured: Measured) => Measured | null,
): Promise<Measurement> {
  const rounds = short ? 3 : 7;
  const calls = short ? 1_500 : 5_000;
  const singles = short ? 200 : 500;
  const taken = new Map<Measured, Taken>(all.map((each) => [each, { cpu: [], p50: [], rate: [] }]));
  for (const each of all) await load(each, WARM);
  for (let index = 0; index < rounds; index++) {
    // Turned around every other time: what runs beside it comes and goes.
    const order = index % 2 === 0 ? [...taken] : [...taken].reverse();
    for (const [each, { cpu, p50, rate }] of order) {
      p50.push(await oneAtATime(each, singles));
      const before = await threadsCpuUs(each.pid);
      const ms = await load(each, calls);
      cpu.push(((await threadsCpuUs(each.pid)) - before) / calls);
      rate.push((calls / ms) * 1000);
    }
  }
  const takenOf = (measured: Measured): Taken => {
    const found = taken.get(measured);
    if (found === undefined) throw new Error(`${measured.name} was not measured`);
    return found;
  };
  const figuresOf: FiguresOf = (measured) => {
    const { cpu, p50, rate } = takenOf(measured);
    return { cpu: median(cpu), p50: median(p50), rate: median(rate) };
  };
  const ratioOf = (what: keyof Taken, one: Measured, other: Measured): number => {
    const beside = takenOf(other)[what];
    return median(takenOf(one)[what].map((value, round) => value / (beside[round] ?? Number.NaN)));
  };
  const ratios = (one: Measured, other: Measured): string =>
    `×${round(ratioOf("cpu", one, other))} CPU, ×${round(ratioOf("p50", one, other))} p50, ×${round(ratioOf("rate", one, other))} calls/s`;
  say(`  medians of ${rounds} rounds; calls/s at ${IN_FLIGHT} in flight`);
  say(`  ${"".padEnd(24)}${"µs CPU/call".padStart(12)}${"p50 ms".padStart(10)}${"calls/s".padStart(10)}`);
  for (const each of all) {
    const own = figuresOf(each);
    const other = baseOf(each);
    const columns = `${round(own.cpu).padStart(12)}${round(own.p50).padStart(10)}${own.rate.toFixed(0).padStart(10)}`;
    say(`  ${each.name.padEnd(24)}${columns}   ${other === null ? "" : ratios(each, other)}`.trimEnd());
  }
  return {
    figuresOf,
    cpuRatio: (one, other) => ratioOf("cpu", one, other),
    p50Ratio: (one, other) => ratioOf("p50", one, other),
  };
}

export async function echo({ client, tool }: Measured): Promise<void> {
  await client.request("tools/call", { name: tool("echo"), arguments: { text: "hello" } });
}

/** The median of so many calls, one after the other, ms. */
async function oneAtATime(each: Measured, count: number): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    const startedAt = performance.now();
    await echo(each);
    times.push(performance.now() - startedAt);
  }
  return median(times);
}

/** How long so many calls take, ms. */
export async function load(each: Measured, count: number): Promise<number> {
  let left = count;
  const startedAt = performance.now();
  const worker = async (): Promise<void> => {
    while (left-- > 0) await echo(each);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return performance.now() - startedAt;
}
