// Measures a gateway's life beside those that others made: its start, its memory at rest, its calls over stdio and over
// HTTP, many sessions, a large result, a changed file. Each is started anew in every round, in turns.
import { setTimeout as pause } from "node:timers/promises";
import { errorText } from "../src/runtime/errors.ts";
import { LIGHT_SERVER, openHttpFixture } from "../test/mcp/fixture-programs.ts";
import { eventually } from "../test/support/eventually.ts";
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
  startTbxark,
  tbxarkInstalled,
  type Upstream,
} from "./gateways.ts";
import type { BenchClient } from "./light-sse-client.ts";
import { pssMb, rssMb, threadsCpuUs } from "./processes.ts";

export const title = "field: a gateway's whole life, beside gateways that others made";
export const missing = (): string | null => null;

/** What a start leaves to do in the background is done by then. */
const REST_MS = 3_000;
const SINGLES = 1_000;
const SESSIONS = 200;
const LARGE_BYTES = 10_000_000;
const LARGE_RESULTS = 3;

const UNITS = {
  "start → first list": "ms",
  "memory at rest, RSS": "MB",
  "memory at rest, PSS": "MB",
  "CPU a call": "µs",
  "calls a second": "",
  "p50 of single calls": "ms",
  "p99 of single calls": "ms",
  "200 sessions opened and listed": "ms",
  "a result of 10 MB": "ms",
  "save → new tool listed": "ms",
  "over HTTP: CPU a call": "µs",
  "over HTTP: calls a second": "",
  "over HTTP: p50 of single calls": "ms",
  "over HTTP: p99 of single calls": "ms",
  "over HTTP: a result of 10 MB": "ms",
} as const;
type Line = keyof typeof UNITS;
/** A line is absent where a gateway has no such thing. */
type Figures = Partial<Record<Line, number>>;

interface Gateway {
  readonly overStdio: () => Promise<Measured>;
  readonly overHttp?: (upstream: Upstream) => Promise<Measured>;
}

const OURS = "Mountaineer";

function gateways(hasNpmPeers: boolean): ReadonlyMap<string, Gateway> {
  const found: Record<string, Gateway> = {
    [OURS]: { overStdio: startOursAlone, overHttp: startOursAlone },
    "bare node:http": { overStdio: () => startBare() },
  };
  if (hasNpmPeers)
    Object.assign(found, {
      "mcp-hub": { overStdio: startMcpHub, overHttp: startMcpHub },
      "mcp-proxy": { overStdio: startMcpProxy },
      supergateway: { overStdio: startSupergateway },
    });
  if (tbxarkInstalled()) found["tbxark"] = { overStdio: startTbxark, overHttp: startTbxark };
  return new Map(Object.entries(found));
}

export async function bench({ short }: { short: boolean }): Promise<void> {
  const hasPeers = await peersInstalled(!short);
  if (!hasPeers) say("  (bench/peers is not installed: none of npm's gateways)");
  const all = gateways(hasPeers);
  const taken = new Map<string, Figures[]>([...all.keys()].map((name) => [name, []]));
  const rounds = short ? 3 : 7;
  const calls = short ? 4_000 : 20_000;
  await using server = await openHttpFixture(LIGHT_SERVER);
  for (let index = 0; index < rounds; index++) {
    const order = index % 2 === 0 ? [...all] : [...all].reverse();
    for (const [name, { overStdio, overHttp }] of order) {
      const figures: Figures = {};
      taken.get(name)?.push(figures);
      try {
        await lifeOverStdio(overStdio, calls, figures);
        if (overHttp !== undefined) await callsOverHttp(() => overHttp({ url: server.url }), calls, figures);
      } catch (error) {
        // A peer that refuses or resets ends its own round, not the others'.
        if (name === OURS) throw error;
        const last = Object.keys(figures).at(-1) ?? "nothing";
        say(`  round ${index + 1}, ${name} failed after "${last}": ${errorText(error)}`);
      }
    }
  }
  report(taken, rounds);
}

async function lifeOverStdio(start: () => Promise<Measured>, calls: number, into: Figures): Promise<void> {
  const startedAt = performance.now();
  await using measured = await start();
  await measured.client.request("tools/list");
  const startMs = performance.now() - startedAt;
  await pause(REST_MS);
  into["start → first list"] = startMs;
  into["memory at rest, RSS"] = await rssMb(measured.pid);
  into["memory at rest, PSS"] = await pssMb(measured.pid);
  const { cpu, rate, p50, p99 } = await measureCalls(measured, calls);
  into["CPU a call"] = cpu;
  into["calls a second"] = rate;
  into["p50 of single calls"] = p50;
  into["p99 of single calls"] = p99;
  if (measured.add !== null) into["save → new tool listed"] = await untilListed(measured, measured.add);
  // Last, as not every gateway stands these.
  into["a result of 10 MB"] = await largeResult(measured);
  if (measured.open !== null) into["200 sessions opened and listed"] = await manySessions(measured.open);
}

async function callsOverHttp(start: () => Promise<Measured>, calls: number, into: Figures): Promise<void> {
  await using measured = await start();
  const { cpu, rate, p50, p99 } = await measureCalls(measured, calls);
  into["over HTTP: CPU a call"] = cpu;
  into["over HTTP: calls a second"] = rate;
  into["over HTTP: p50 of single calls"] = p50;
  into["over HTTP: p99 of single calls"] = p99;
  into["over HTTP: a result of 10 MB"] = await largeResult(measured);
}

async function measureCalls(measured: Measured, calls: number) {
  await load(measured, calls);
  const before = await threadsCpuUs(measured.pid);
  const tookMs = await load(measured, calls);
  const cpu = ((await threadsCpuUs(measured.pid)) - before) / calls;
  const times: number[] = [];
  for (let index = 0; index < SINGLES; index++) times.push(await timed(() => echo(measured)));
  return { cpu, rate: (calls / tookMs) * 1000, p50: median(times), p99: quantile(times, 0.99) };
}

/** All at once, as when every agent of a machine comes back. */
async function manySessions(open: () => Promise<BenchClient>): Promise<number> {
  const opened: AsyncDisposable[] = [];
  const one = async (): Promise<void> => {
    const client = await open();
    opened.push(client);
    await client.request("tools/list");
  };
  const ms = await timed(async () => void (await Promise.all(Array.from({ length: SESSIONS }, one))));
  for (const client of opened) await client[Symbol.asyncDispose]();
  return ms;
}

/** With what the client takes to parse it. NaN: the gateway does not hand it on. */
async function largeResult({ client, tool }: Measured): Promise<number> {
  const params = { name: tool("big"), arguments: { bytes: LARGE_BYTES } };
  const times: number[] = [];
  try {
    for (let index = 0; index < LARGE_RESULTS; index++)
      times.push(await timed(() => client.request("tools/call", params)));
  } catch {
    return Number.NaN;
  }
  return median(times);
}

function untilListed({ client }: Measured, add: (prefix: string) => Promise<void>): Promise<number> {
  return timed(async () => {
    await add("added_");
    await eventually(
      async () => JSON.stringify(await client.request("tools/list")).includes("added_echo"),
      20_000,
    );
  });
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

/** Medians, and beside each peer's the median of what each round's ratio was: the machine changes between rounds. */
function report(taken: ReadonlyMap<string, readonly Figures[]>, rounds: number): void {
  const ours = taken.get(OURS) ?? [];
  const peers = [...taken.keys()].filter((name) => name !== OURS);
  const valuesOf = (of: readonly Figures[], line: Line): number[] =>
    of.map((each) => each[line] ?? Number.NaN);
  const medianOf = (line: Line): number => median(valuesOf(ours, line));
  say(`  medians of ${rounds} rounds; in brackets Mountaineer ÷ the peer`);
  for (const line of Object.keys(UNITS) as Line[]) {
    const own = `Mountaineer ${round(medianOf(line))} ${UNITS[line]}`.trim();
    const others = peers.flatMap((name) => {
      const theirs = valuesOf(taken.get(name) ?? [], line);
      const ratios = valuesOf(ours, line).map((value, index) => value / (theirs[index] ?? Number.NaN));
      const [values, beside] = [theirs, ratios].map((all) => all.filter((one) => !Number.isNaN(one)));
      if (values === undefined || beside === undefined || values.length === 0) return [];
      const part = values.length < rounds ? `, ${values.length} rounds` : "";
      return [`${name} ${round(median(values))} (${round(median(beside))} ×${part})`];
    });
    say(`  ${line}: ${[own, ...others].join("; ")}`);
  }
  const beside = median(
    ours.map((each) => (each["over HTTP: CPU a call"] ?? Number.NaN) / (each["CPU a call"] ?? Number.NaN)),
  );
  goal(`CPU a call over HTTP ≤ 2 × over stdio (${round(beside)} ×)`, beside <= 2);
  goal("start → first list ≤ 250 ms", medianOf("start → first list") <= 250);
  goal("memory at rest ≤ 85 MB RSS", medianOf("memory at rest, RSS") <= 85);
  goal("save → new tool listed ≤ 180 ms", medianOf("save → new tool listed") <= 180);
}
