// Measures a gateway's life beside those that others made: its start, its memory at rest, its calls, many sessions, a
// large result, a changed file. Each is started anew in every round, in turns.
import { loadavg } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { errorText } from "../src/runtime/errors.ts";
import { eventually } from "../test/support/eventually.ts";
import { goal, median, quantile, round, say } from "./figures.ts";
import { type Measured, PEERS_BY_NAME, startBare, startOursAlone, within } from "./gateways.ts";
import type { BenchClient } from "./light-sse-client.ts";
import { pssMb, rssMb, threadsCpuUs } from "./processes.ts";

export const title = "field: a gateway's whole life, beside gateways that others made";
export const missing = (): string | null => null;

/** What a start leaves to do in the background is done by then. */
const REST_MS = 3_000;
const SESSIONS = 200;
const LARGE_BYTES = 10_000_000;
const LARGE_RESULTS = 3;
/** A slower gateway makes fewer calls in each part. */
const PART_MS = 4_000;
const LONGEST_PART_MS = 40_000;

const UNITS = {
  "start → first list": "ms",
  "memory at rest, RSS": "MB",
  "memory at rest, PSS": "MB",
  "one at a time: calls a second": "",
  "one at a time: p50": "ms",
  "one at a time: p99": "ms",
  "eight at once: calls a second": "",
  "eight at once: CPU a call": "µs",
  "200 sessions opened and listed": "ms",
  "200 sessions, eight calls at once: p99": "ms",
  "a result of 10 MB": "ms",
  "save → new tool listed": "ms",
} as const;
type Line = keyof typeof UNITS;
/** A line is absent where a gateway has no such thing. */
type Figures = Partial<Record<Line, number>>;
/** One part of a gateway's life; `calls` are made at most. */
type Part = (measured: Measured, calls: number, into: Figures) => Promise<void>;

const OURS = "Mountaineer";
const BARE = "bare node:http";

export async function bench({ short }: { short: boolean }): Promise<void> {
  const all = new Map<string, () => Promise<Measured>>([
    [OURS, startOursAlone],
    [BARE, () => startBare()],
  ]);
  for (const [name, find] of Object.entries(PEERS_BY_NAME)) {
    try {
      all.set(name, await find(!short));
    } catch (error) {
      say(`  without ${name}: ${errorText(error).trim().split("\n").at(-1)}`);
    }
  }
  const taken = new Map<string, Figures[]>([...all.keys()].map((name) => [name, []]));
  const rounds = 3;
  const calls = short ? 2_000 : 10_000;
  const [before = 0] = loadavg();
  for (let index = 0; index < rounds; index++) {
    const order = index % 2 === 0 ? [...all] : [...all].reverse();
    for (const [name, start] of order) {
      const figures: Figures = {};
      taken.get(name)?.push(figures);
      await oneLife(name, start, calls, figures);
    }
  }
  const load = [before, loadavg()[0] ?? 0].map((each) => each.toFixed(1)).join(" to ");
  say(
    `  medians of ${rounds} rounds, ${new Date().toISOString().slice(0, 10)}, Node ${process.version}, load ${load}`,
  );
  report(taken);
}

/**
 * A peer that refuses or resets leaves its part without figures, and is started again for the next one. One that does not
 * start has none.
 */
async function oneLife(
  name: string,
  start: () => Promise<Measured>,
  calls: number,
  into: Figures,
): Promise<void> {
  let measured: Measured | null = null;
  for (const part of [rest, singles, eight, changed, sessions, large] satisfies Part[]) {
    try {
      const startedAt = performance.now();
      measured ??= await start();
      if (part === rest) {
        await measured.client.request("tools/list");
        into["start → first list"] = performance.now() - startedAt;
      }
      await within(LONGEST_PART_MS, part(measured, calls, into));
    } catch (error) {
      if (name === OURS) throw error;
      say(`  ${name} failed in "${part.name}": ${errorText(error)}`);
      if (measured === null) return;
      await ended(measured);
      measured = null;
    }
  }
  await ended(measured);
}

/** Its client may have lost the connection. */
async function ended(measured: Measured | null): Promise<void> {
  try {
    await measured?.[Symbol.asyncDispose]();
  } catch (error) {
    say(`  ${measured?.name} did not end in order: ${errorText(error)}`);
  }
}

const rest: Part = async ({ pid }, _calls, into) => {
  await pause(REST_MS);
  into["memory at rest, RSS"] = await rssMb(pid);
  into["memory at rest, PSS"] = await pssMb(pid);
};

const singles: Part = async (measured, calls, into) => {
  await flow([measured.client], measured, calls, 32);
  const { times, perSecond } = await flow([measured.client], measured, Math.min(calls, 4_000), 1);
  into["one at a time: calls a second"] = perSecond;
  into["one at a time: p50"] = median(times);
  into["one at a time: p99"] = quantile(times, 0.99);
};

const eight: Part = async (measured, calls, into) => {
  const before = await threadsCpuUs(measured.pid);
  const { times, perSecond } = await flow([measured.client], measured, calls, 8);
  into["eight at once: calls a second"] = perSecond;
  into["eight at once: CPU a call"] = ((await threadsCpuUs(measured.pid)) - before) / times.length;
};

const changed: Part = async ({ client, add }, _calls, into) => {
  if (add === null) return;
  into["save → new tool listed"] = await timed(async () => {
    await add("added_");
    await eventually(
      async () => JSON.stringify(await client.request("tools/list")).includes("added_echo"),
      20_000,
    );
  });
};

/** Opened all at once, as when every agent of a machine comes back. */
const sessions: Part = async (measured, calls, into) => {
  const { open } = measured;
  if (open === null) return;
  const opened: BenchClient[] = [];
  const one = async (): Promise<void> => {
    const client = await open();
    opened.push(client);
    await client.request("tools/list");
  };
  into["200 sessions opened and listed"] = await timed(async () => {
    await Promise.all(Array.from({ length: SESSIONS }, one));
  });
  const { times } = await flow(opened, measured, Math.min(calls, 4_000), 8);
  into["200 sessions, eight calls at once: p99"] = quantile(times, 0.99);
  await Promise.all(opened.map((client) => client[Symbol.asyncDispose]()));
};

/** With what the client takes to parse it. */
const large: Part = async ({ client, tool }, _calls, into) => {
  const params = { name: tool("big"), arguments: { bytes: LARGE_BYTES } };
  const times: number[] = [];
  for (let index = 0; index < LARGE_RESULTS; index++)
    times.push(await timed(() => client.request("tools/call", params)));
  into["a result of 10 MB"] = median(times);
};

/** So many calls, `width` at once, each by the next of the clients; ends after `PART_MS`. */
async function flow(clients: readonly BenchClient[], { tool }: Measured, count: number, width: number) {
  const times: number[] = [];
  const params = { name: tool("echo"), arguments: { text: "hello" } };
  const startedAt = performance.now();
  let made = 0;
  const worker = async (): Promise<void> => {
    while (made < count && performance.now() - startedAt < PART_MS) {
      const client = clients[made++ % clients.length];
      times.push(await timed(async () => client?.request("tools/call", params)));
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  return { times, perSecond: (times.length / (performance.now() - startedAt)) * 1_000 };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

/** Medians, and beside each peer's the median of each round's ratio: the machine changes between rounds. */
function report(taken: ReadonlyMap<string, readonly Figures[]>): void {
  const ours = taken.get(OURS) ?? [];
  const peers = [...taken].filter(([name]) => name !== OURS);
  const valuesOf = (of: readonly Figures[], line: Line): number[] =>
    of.map((each) => each[line] ?? Number.NaN);
  const known = (values: readonly number[]): number[] => values.filter((one) => !Number.isNaN(one));
  const ratiosOf = (theirs: readonly Figures[], line: Line): number[] => {
    const values = valuesOf(theirs, line);
    return known(valuesOf(ours, line).map((own, index) => own / (values[index] ?? Number.NaN)));
  };
  say(`\n| ${["", OURS, ...peers.map(([name]) => name)].join(" | ")} |`);
  say(`| --- | ${"--- | ".repeat(peers.length + 1)}`.trim());
  for (const line of Object.keys(UNITS) as Line[]) {
    const cells = peers.map(([, theirs]) => {
      const values = known(valuesOf(theirs, line));
      if (values.length === 0) return "–";
      const part = values.length < theirs.length ? `, ${values.length} of ${theirs.length}` : "";
      return `${round(median(ratiosOf(theirs, line)))} × (${round(median(values))}${part})`;
    });
    const own = `${round(median(valuesOf(ours, line)))} ${UNITS[line]}`.trim();
    say(`| ${[line, own, ...cells].join(" | ")} |`);
  }
  say("\n  Mountaineer ÷ the peer, in brackets the peer's own figure");
  const own = (line: Line): number => median(valuesOf(ours, line));
  const tail = median(ratiosOf(taken.get(BARE) ?? [], "one at a time: p99"));
  goal(`p99 of single calls ≤ 1.5 × bare (${round(tail)} ×)`, tail <= 1.5);
  goal("start → first list ≤ 250 ms", own("start → first list") <= 250);
  goal("memory at rest ≤ 85 MB RSS", own("memory at rest, RSS") <= 85);
  goal("save → new tool listed ≤ 180 ms", own("save → new tool listed") <= 180);
}
