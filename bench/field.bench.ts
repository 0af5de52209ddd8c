// Measures a gateway's life beside those that others made: its start, its memory at rest, and its calls. Each is started
// anew in every round, in turns.
import { setTimeout as pause } from "node:timers/promises";
import { echo, load } from "./calls.ts";
import { goal, median, quantile, round, say } from "./figures.ts";
import {
  type Measured,
  peersInstalled,
  startBare,
  startMcpHub,
  startMcpProxy,
  startOursAlone,
  startSupergateway,
} from "./gateways.ts";
import { pssMb, rssMb, threadsCpuUs } from "./processes.ts";

export const title = "field: start, memory at rest and calls, beside gateways that others made";
export const missing = (): string | null => null;

/** What a start leaves to do in the background is done by then. */
const REST_MS = 3_000;
const SINGLES = 1_000;

const UNITS = {
  "start → first list": "ms",
  "memory at rest, RSS": "MB",
  "memory at rest, PSS": "MB",
  "CPU a call": "µs",
  "calls a second": "",
  "p50 of single calls": "ms",
  "p99 of single calls": "ms",
} as const;
type Line = keyof typeof UNITS;
type Figures = Readonly<Record<Line, number>>;

const STARTS = {
  Mountaineer: startOursAlone,
  "bare node:http": () => startBare(),
  "mcp-hub": startMcpHub,
  "mcp-proxy": startMcpProxy,
  supergateway: startSupergateway,
} as const;
type Name = keyof typeof STARTS;

export async function bench({ short }: { short: boolean }): Promise<void> {
  const hasPeers = await peersInstalled(!short);
  if (!hasPeers) say("  (bench/peers is not installed: only ours and the least forwarder)");
  const names = (Object.keys(STARTS) as Name[]).slice(0, hasPeers ? undefined : 2);
  const taken = new Map<Name, Figures[]>(names.map((name) => [name, []]));
  const rounds = short ? 3 : 7;
  for (let index = 0; index < rounds; index++) {
    for (const name of index % 2 === 0 ? names : names.toReversed())
      taken.get(name)?.push(await measure(STARTS[name], short ? 4_000 : 20_000));
  }
  report(taken, rounds);
}

async function measure(start: () => Promise<Measured>, calls: number): Promise<Figures> {
  const startedAt = performance.now();
  await using measured = await start();
  await measured.client.request("tools/list");
  const startMs = performance.now() - startedAt;
  await pause(REST_MS);
  const [rss, pss] = [await rssMb(measured.pid), await pssMb(measured.pid)];
  await load(measured, calls);
  const before = await threadsCpuUs(measured.pid);
  const tookMs = await load(measured, calls);
  const cpu = ((await threadsCpuUs(measured.pid)) - before) / calls;
  const times: number[] = [];
  for (let index = 0; index < SINGLES; index++) {
    const calledAt = performance.now();
    await echo(measured);
    times.push(performance.now() - calledAt);
  }
  return {
    "start → first list": startMs,
    "memory at rest, RSS": rss,
    "memory at rest, PSS": pss,
    "CPU a call": cpu,
    "calls a second": (calls / tookMs) * 1000,
    "p50 of single calls": median(times),
    "p99 of single calls": quantile(times, 0.99),
  };
}

/** Medians, and beside each peer's the median of what each round's ratio was: the machine changes between rounds. */
function report(taken: ReadonlyMap<Name, readonly Figures[]>, rounds: number): void {
  const ours = taken.get("Mountaineer") ?? [];
  const peers = [...taken.keys()].filter((name) => name !== "Mountaineer");
  say(`  medians of ${rounds} rounds; in brackets Mountaineer ÷ the peer`);
  for (const line of Object.keys(UNITS) as Line[]) {
    const own = `Mountaineer ${round(median(ours.map((each) => each[line])))} ${UNITS[line]}`;
    const others = peers.map((name) => {
      const theirs = taken.get(name) ?? [];
      const ratio = median(ours.map((each, index) => each[line] / (theirs[index]?.[line] ?? Number.NaN)));
      return `${name} ${round(median(theirs.map((each) => each[line])))} (${round(ratio)} ×)`;
    });
    say(`  ${line}: ${[own.trim(), ...others].join("; ")}`);
  }
  const medianOf = (line: Line): number => median(ours.map((each) => each[line]));
  goal("start → first list ≤ 250 ms", medianOf("start → first list") <= 250);
  goal("memory at rest ≤ 85 MB RSS", medianOf("memory at rest, RSS") <= 85);
}
