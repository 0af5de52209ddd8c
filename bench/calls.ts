// Measures calls of several gateways side by side, in interleaved rounds.
import { median, round, say } from "./figures.ts";
import type { Measured } from "./gateways.ts";
import { cpuMs } from "./processes.ts";

const IN_FLIGHT = 32;

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

/** Measures all of them, and prints one line each, beside what `baseOf` says it is compared with; null: with nothing. */
export async function measureCalls(
  all: readonly Measured[],
  short: boolean,
  baseOf: (measured: Measured) => Measured | null,
): Promise<FiguresOf> {
  const rounds = short ? 3 : 7;
  const calls = short ? 1_500 : 5_000;
  const singles = short ? 200 : 500;
  const taken = all.map((each) => ({
    each,
    cpu: [] as number[],
    p50: [] as number[],
    rate: [] as number[],
  }));
  for (const each of all) await load(each, 500);
  for (let index = 0; index < rounds; index++) {
    for (const { each, cpu, p50, rate } of taken) {
      p50.push(await oneAtATime(each, singles));
      const before = await cpuMs(each.pid);
      const ms = await load(each, calls);
      cpu.push((((await cpuMs(each.pid)) - before) * 1000) / calls);
      rate.push((calls / ms) * 1000);
    }
  }
  const figures = new Map<Measured, CallFigures>(
    taken.map(({ each, cpu, p50, rate }) => [
      each,
      { cpu: median(cpu), p50: median(p50), rate: median(rate) },
    ]),
  );
  const figuresOf: FiguresOf = (measured) => {
    const found = figures.get(measured);
    if (found === undefined) throw new Error(`${measured.name} was not measured`);
    return found;
  };
  say(`  medians of ${rounds} rounds; calls/s at ${IN_FLIGHT} in flight`);
  say(`  ${"".padEnd(24)}${"µs CPU/call".padStart(12)}${"p50 ms".padStart(10)}${"calls/s".padStart(10)}`);
  for (const each of all) {
    const own = figuresOf(each);
    const other = baseOf(each);
    const columns = `${round(own.cpu).padStart(12)}${round(own.p50).padStart(10)}${own.rate.toFixed(0).padStart(10)}`;
    say(
      `  ${each.name.padEnd(24)}${columns}   ${other === null ? "" : ratios(own, figuresOf(other))}`.trimEnd(),
    );
  }
  return figuresOf;
}

function ratios(own: CallFigures, base: CallFigures): string {
  const { cpu, p50, rate } = base;
  return `×${round(own.cpu / cpu)} CPU, ×${round(own.p50 / p50)} p50, ×${round(own.rate / rate)} calls/s`;
}

async function echo({ client, tool }: Measured): Promise<void> {
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
async function load(each: Measured, count: number): Promise<number> {
  let left = count;
  const startedAt = performance.now();
  const worker = async (): Promise<void> => {
    while (left-- > 0) await echo(each);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return performance.now() - startedAt;
}
