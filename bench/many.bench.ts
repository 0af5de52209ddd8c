// Measures servers that are remembered and asleep: start → first list, what they take at rest, and what waking one and
// calling it costs beside the server alone. In turns, because the machine changes between rounds.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { stringify } from "smol-toml";
import { LIGHT_SERVER } from "../test/mcp/fixture-programs.ts";
import { connectLight, type LightClient } from "../test/mcp/light-client.ts";
import { eventually } from "../test/support/eventually.ts";
import { freePort } from "../test/support/free-port.ts";
import { load } from "./calls.ts";
import { goal, median, quantile, round, say, spread } from "./figures.ts";
import { childrenOf, cpuMs, cpuMsWithChildren, pssMb, threadsCpuUs } from "./processes.ts";

export const title = "many: servers that are listed at once and run when needed";
export const missing = (): string | null => null;

const COUNTS = [1, 20, 40] as const;
const MOST = 40;
const TOOLS = 10;
const STARTS_MS = 60_000;
/** A start's own work in the background, and the write of the lists, are done by then. */
const SETTLE_MS = 5_000;
const BETWEEN_LOOKS_MS = 3;
/** In its first minutes V8 still compiles what runs at each beat. */
const REST_MS = 240_000;

type Start = "on-demand" | "always";

/** A home whose servers were listed once. */
interface Home extends AsyncDisposable {
  start(): Promise<Daemon>;
}

interface Daemon extends AsyncDisposable {
  readonly pid: number;
  readonly client: LightClient;
  /** From the start of the command to the answer that lists all tools. */
  readonly listedMs: number;
  /** Processor time until then, its children's too. */
  readonly cpuMs: number;
}

const prefixOf = (index: number): string => `s${index}_`;

const serverEnv = (index: number): Readonly<Record<string, string>> => ({
  LIGHT_PREFIX: prefixOf(index),
  LIGHT_TOOLS: String(TOOLS),
});

async function makeHome(count: number, start: Start): Promise<Home> {
  const folder = await mkdtemp(path.join(tmpdir(), "mt-many-"));
  const port = await freePort();
  const backends = Object.fromEntries(
    Array.from({ length: count }, (_, index) => [
      `server_${index}`,
      { command: process.execPath, args: [LIGHT_SERVER], env: serverEnv(index), start },
    ]),
  );
  const limits = { calls_per_second: 1_000_000 };
  const config = { server: { port }, sync: { detection: "inotify", debounce: 0.1 }, limits, backends };
  await writeFile(path.join(folder, "config.toml"), stringify(config), { mode: 0o600 });
  const home: Home = {
    start: () => startDaemon(folder, port, count),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
  // They are asked once, and the lists are written.
  await using _first = await home.start();
  await pause(SETTLE_MS);
  return home;
}

async function startDaemon(folder: string, port: number, count: number): Promise<Daemon> {
  const startedAt = performance.now();
  const child = spawn(path.join(import.meta.dirname, "../bin/mountaineer"), ["monitor"], {
    stdio: "ignore",
    env: { ...process.env, MOUNTAINEER_HOME: folder },
  });
  const last = `${prefixOf(count - 1)}echo`;
  try {
    const client = await eventually(
      async () => {
        const opened = await connectLight(`http://127.0.0.1:${port}/mcp`);
        const names = await opened.tools();
        if (names.includes(last) && names.length >= count * TOOLS) return opened;
        await opened[Symbol.asyncDispose]();
        return null;
      },
      STARTS_MS,
      BETWEEN_LOOKS_MS,
    );
    const listedMs = performance.now() - startedAt;
    const pid = child.pid ?? 0;
    const usedMs = await cpuMsWithChildren(pid);
    const dispose = async (): Promise<void> => {
      await client[Symbol.asyncDispose]();
      await ended(child);
    };
    return { pid, client, listedMs, cpuMs: usedMs, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGTERM");
  await exit;
}

async function emptyNodeMs(): Promise<number> {
  const startedAt = performance.now();
  await once(spawn(process.execPath, ["-e", "0"], { stdio: "ignore" }), "exit");
  return performance.now() - startedAt;
}

/** The server without a gateway: its start, `initialize`, its list and one call. */
async function directMs(index: number): Promise<number> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [LIGHT_SERVER], {
    stdio: ["pipe", "pipe", "ignore"],
    env: { ...process.env, ...serverEnv(index) },
  });
  const lines = createInterface({ input: child.stdout });
  const tell = (message: object): void =>
    void child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  const ask = async (id: number, method: string, params: object): Promise<void> => {
    const answered = once(lines, "line");
    tell({ id, method, params });
    await answered;
  };
  const clientInfo = { name: "bench", version: "1" };
  await ask(1, "initialize", { protocolVersion: "2025-11-25", capabilities: {}, clientInfo });
  tell({ method: "notifications/initialized" });
  await ask(2, "tools/list", {});
  await ask(3, "tools/call", { name: `${prefixOf(index)}echo`, arguments: { text: "hello" } });
  const took = performance.now() - startedAt;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
  return took;
}

export async function bench({ short }: { short: boolean }): Promise<void> {
  await using homes = new AsyncDisposableStack();
  const make = async (count: number, start: Start): Promise<Home> => homes.use(await makeHome(count, start));
  const asleep = new Map<number, Home>();
  for (const count of COUNTS) asleep.set(count, await make(count, "on-demand"));
  await starts(asleep, short ? 3 : 9);
  const forty = asleep.get(MOST);
  if (forty !== undefined) await restAndWake(forty, short);
  const one = asleep.get(1);
  if (one !== undefined) await laterCalls(one, await make(1, "always"), short);
}

async function starts(homes: ReadonlyMap<number, Home>, rounds: number): Promise<void> {
  const empty: number[] = [];
  const each = (): Map<number, number[]> => new Map([...homes.keys()].map((count) => [count, []]));
  const [listed, used] = [each(), each()];
  for (let index = 0; index < rounds; index++) {
    const nodes = [await emptyNodeMs(), await emptyNodeMs(), await emptyNodeMs()];
    empty.push(median(nodes));
    for (const [count, home] of index % 2 === 0 ? homes : [...homes].reverse()) {
      await using daemon = await home.start();
      listed.get(count)?.push(daemon.listedMs);
      used.get(count)?.push(daemon.cpuMs);
    }
  }
  const of = (count: number): readonly number[] => listed.get(count) ?? [];
  const beside = (count: number): number =>
    median(of(count).map((ms, index) => ms / (empty[index] ?? Number.NaN)));
  say(`  an empty Node: ${spread(empty)}`);
  for (const count of homes.keys())
    say(
      `  start → first list, ${count} servers: ${spread(of(count))}, ${round(beside(count))} × an empty Node, ` +
        `CPU ${round(median(used.get(count) ?? []))} ms`,
    );
  const slope = median(of(MOST).map((ms, index) => (ms - (of(1)[index] ?? Number.NaN)) / (MOST - 1)));
  goal(`start → first list ≤ 5 × an empty Node (${round(beside(1))} ×)`, beside(1) <= 5);
  goal(`each further server ≤ 2 ms (${round(slope)})`, slope <= 2);
}

async function restAndWake(home: Home, short: boolean): Promise<void> {
  await using daemon = await home.start();
  await pause(short ? SETTLE_MS : REST_MS);
  const processes = await tree(daemon.pid);
  const seconds = short ? 10 : 60;
  const before = await Promise.all(processes.map(cpuMs));
  await pause(seconds * 1000);
  const after = await Promise.all(processes.map(cpuMs));
  const used = sum(after.map((ms, index) => ms - (before[index] ?? 0))) / (seconds * 10);
  const memory = await Promise.all(processes.map(pssMb));
  say(
    `  at rest, ${MOST} asleep: ${round(sum(memory))} MB PSS in ${processes.length} processes ` +
      `(${memory.map(round).join(", ")}), ${used.toFixed(2)} % of a core over ${seconds} s`,
  );
  goal(`at rest ≤ 90 MB PSS in all (${round(sum(memory))})`, sum(memory) <= 90);
  goal(`at rest ≤ 0.1 % of a core (${used.toFixed(2)})`, used <= 0.1);

  const [direct, woken, more]: [number[], number[], number[]] = [[], [], []];
  const call = async (index: number): Promise<number> => {
    const startedAt = performance.now();
    await daemon.client.call(`${prefixOf(index)}echo`, { text: "hello" });
    return performance.now() - startedAt;
  };
  for (let index = 0; index < (short ? 8 : MOST); index++) {
    const ours = index % 2 === 0 ? await call(index) : null;
    const alone = await directMs(index);
    const took = ours ?? (await call(index));
    direct.push(alone);
    woken.push(took);
    more.push(took - alone);
  }
  say(`  a server alone, start, list and call: ${spread(direct)}`);
  say(`  the first call of one asleep: ${spread(woken)}; more than alone ${round(median(more))} ms`);
  goal(`the first call ≤ the server alone + 15 ms (${round(median(more))})`, median(more) <= 15);
}

/** A server that was woken, beside one that always runs. */
async function laterCalls(asleep: Home, always: Home, short: boolean): Promise<void> {
  await using one = await asleep.start();
  await using other = await always.start();
  const calls = short ? 2_000 : 10_000;
  const run = async ({ client, pid }: Daemon): Promise<number> => {
    const before = await threadsCpuUs(pid);
    const tool = (name: string): string => `${prefixOf(0)}${name}`;
    await load({ name: "", pid, client, tool, open: null, add: null, ...NOTHING }, calls);
    return ((await threadsCpuUs(pid)) - before) / calls;
  };
  for (const each of [one, other]) for (let turn = 0; turn < 2; turn++) await run(each);
  const ratios: number[] = [];
  for (let index = 0; index < (short ? 4 : 12); index++) {
    const [first, second] = index % 2 === 0 ? [one, other] : [other, one];
    const [a, b] = [await run(first), await run(second)];
    ratios.push(first === one ? a / b : b / a);
  }
  const [low, high] = [quantile(ratios, 0.1), quantile(ratios, 0.9)];
  say(
    `  CPU of a later call beside \`always\`: ${round(median(ratios))} × (${round(low)} to ${round(high)})`,
  );
  goal(`later calls ≤ 1.02 × CPU (${round(median(ratios))})`, median(ratios) <= 1.02);
}

const NOTHING: AsyncDisposable = { [Symbol.asyncDispose]: async () => {} };

/** A process and all that descend from it. */
async function tree(pid: number): Promise<number[]> {
  const children = await Promise.all((await childrenOf(pid)).map(tree));
  return [pid, ...children.flat()];
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
