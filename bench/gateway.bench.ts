// Measures what a call costs through the gateway, beside the least forwarder and what others made; interleaved rounds.
import { goal, median, round, say } from "./figures.ts";
import {
  type Measured,
  peersInstalled,
  startBare,
  startMcpHub,
  startMcpProxy,
  startOurs,
  startOursWithAll,
  startSupergateway,
} from "./gateways.ts";
import { cpuMs } from "./processes.ts";

export const title = "gateway: what a call costs, one light stdio server behind each";
export const missing = (): string | null => null;

const IN_FLIGHT = 32;

interface Figures {
  readonly cpuMicros: number[];
  readonly p50Ms: number[];
  readonly perSecond: number[];
}

export async function bench({ short }: { short: boolean }): Promise<void> {
  const rounds = short ? 3 : 7;
  const calls = short ? 1_500 : 5_000;
  const singles = short ? 200 : 500;
  await using stack = new AsyncDisposableStack();
  const bare = stack.use(await startBare());
  const ours = stack.use(await startOurs());
  const withAll = stack.use(await startOursWithAll());
  const all: Measured[] = [bare, ours, withAll];
  if (await peersInstalled(!short)) {
    for (const start of [startMcpHub, startMcpProxy, startSupergateway]) all.push(stack.use(await start()));
  } else say("  (bench/peers is not installed: only ours and the least forwarder)");
  const figures = new Map<Measured, Figures>(
    all.map((each) => [each, { cpuMicros: [], p50Ms: [], perSecond: [] }]),
  );
  for (const each of all) await load(each, 500);
  for (let index = 0; index < rounds; index++) {
    for (const [each, { cpuMicros, p50Ms, perSecond }] of figures) {
      p50Ms.push(await oneAtATime(each, singles));
      const before = await cpuMs(each.pid);
      const ms = await load(each, calls);
      cpuMicros.push((((await cpuMs(each.pid)) - before) * 1000) / calls);
      perSecond.push((calls / ms) * 1000);
    }
  }
  say(`  medians of ${rounds} rounds; calls/s at ${IN_FLIGHT} in flight`);
  say(`  ${"".padEnd(20)}${"µs CPU/call".padStart(14)}${"p50 ms".padStart(10)}${"calls/s".padStart(10)}`);
  const base = medians(figures, bare);
  for (const each of all) {
    const own = medians(figures, each);
    const ratios = `×${round(own.cpu / base.cpu)} CPU, ×${round(own.p50 / base.p50)} p50, ×${round(own.rate / base.rate)} calls/s`;
    say(
      `  ${each.name.padEnd(20)}${round(own.cpu).padStart(14)}${round(own.p50).padStart(10)}${own.rate.toFixed(0).padStart(10)}   ${each === bare ? "" : ratios}`,
    );
  }
  const own = medians(figures, ours);
  goal("CPU per call ≤ 2 × bare", own.cpu <= 2 * base.cpu);
  goal("CPU per call with everything on ≤ 2 × bare", medians(figures, withAll).cpu <= 2 * base.cpu);
  goal("p50 ≤ 2 × bare", own.p50 <= 2 * base.p50);
  goal("calls/s ≥ 0.6 × bare", own.rate >= 0.6 * base.rate);
}

function medians(
  figures: ReadonlyMap<Measured, Figures>,
  of: Measured,
): { readonly cpu: number; readonly p50: number; readonly rate: number } {
  const { cpuMicros = [], p50Ms = [], perSecond = [] } = figures.get(of) ?? {};
  return { cpu: median(cpuMicros), p50: median(p50Ms), rate: median(perSecond) };
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
