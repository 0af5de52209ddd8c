// Measures what a handover costs those who are at work: the longest answer around it, beside the longest around the start
// of an unrelated Node that does as much work.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Load, startLoad } from "../test/kit/load.ts";
import { overBridge, overHttp } from "../test/kit/sessions.ts";
import { randomFrom } from "../test/lab/random.ts";
import { LIGHT_SERVER } from "../test/mcp/fixture-programs.ts";
import { type GatewayRig, nodeBackend, openGatewayRig } from "../test/mcp/gateway-rig.ts";
import { eventually } from "../test/support/eventually.ts";
import { goal, median, say, spread } from "./figures.ts";

export const title = "gateway: longest answer around a handover (8 sessions, 300 calls a second)";
export const missing = (): string | null => (process.platform === "linux" ? null : "needs Linux");

const PER_SECOND = 300;
const EACH = 4;
const BACKENDS = ["first", "second", "third"];
/** Before and after the moment in question. */
const AROUND_MS = 1_000;
/** Until what came before has been forgotten. */
const QUIET_MS = 1_500;

export async function bench({ short }: { short: boolean }): Promise<void> {
  const pairs = short ? 3 : 10;
  await using stack = new AsyncDisposableStack();
  const backends = Object.fromEntries(
    BACKENDS.map((name) => [name, nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_PREFIX: `${name}_` } })]),
  );
  const rig = stack.use(await openGatewayRig({ backends, server: { drain_timeout: 5 } }, { kept: true }));
  await rig.untilReady(...BACKENDS);
  const sessions = [];
  for (let index = 0; index < EACH; index++) {
    sessions.push(stack.use(await overHttp(`http${index}`, rig.url)));
    sessions.push(stack.use(await overBridge(`stdio${index}`, rig)));
  }
  const tools = new Map(sessions.map(({ name }) => [name, BACKENDS.map((each) => `${each}_note`)]));
  const folder = await mkdtemp(path.join(tmpdir(), "mt-handover-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, "notes");
  const load = stack.use(startLoad({ sessions, perSecond: PER_SECOND, file, tools, random: randomFrom(1) }));
  await pause(2 * QUIET_MS);
  const [handovers, others, nothing]: [number[], number[], number[]] = [[], [], []];
  const ratios: number[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    nothing.push(await around(load, async () => performance.now()));
    // Whoever is second meets a machine that the first has warmed.
    const order = [() => handover(rig), otherDaemon];
    const [one, other] = pair % 2 === 0 ? order : order.toReversed();
    const oneMs = await around(load, one ?? noEvent);
    const otherMs = await around(load, other ?? noEvent);
    const [own, unrelated] = pair % 2 === 0 ? [oneMs, otherMs] : [otherMs, oneMs];
    handovers.push(own);
    others.push(unrelated);
    ratios.push(own / unrelated);
  }
  const { lost, undone, twice, calls } = await load.end();
  say(`  longest answer in the 2 s around`);
  say(`    a handover: ${spread(handovers)}`);
  say(`    the start of another daemon, on a home of its own: ${spread(others)}`);
  say(`    nothing: ${spread(nothing)}`);
  say(`  handover beside the other start: ×${median(ratios).toFixed(2)} (${spread(ratios, "times")})`);
  say(`  ${calls} calls: ${lost.length} lost, ${undone.length} not made, ${twice.length} made twice`);
  for (const words of lost.slice(0, 5)) say(`    ${words}`);
  goal("longest answer around a handover ≤ 2 × around the other start (median)", median(ratios) <= 2);
  goal("no call lost, none made twice", lost.length + undone.length + twice.length === 0);
}

const noEvent = async (): Promise<number> => performance.now();

/** The longest answer around the moment that the event gives. */
async function around(load: Load, event: () => Promise<number>): Promise<number> {
  await pause(QUIET_MS);
  const atMs = await event();
  await pause(Math.max(0, atMs + AROUND_MS - performance.now()));
  // Those that are under way at its end are part of it.
  await eventually(() => [...load.inFlight].every(({ fromMs }) => fromMs > atMs + AROUND_MS));
  return load.longestBetween(atMs - AROUND_MS, atMs + AROUND_MS);
}

/** When the new daemon was ready, and the old one began to give up. Asked over the API: the command is a Node, too. */
async function handover(rig: GatewayRig): Promise<number> {
  const daemon = await rig.daemon();
  const { to } = await daemon.call("handOver", null, AbortSignal.timeout(60_000));
  const atMs = performance.now();
  await eventually(async () => (await rig.home.glance())?.global.pid === to);
  return atMs;
}

/**
 * When it was ready: the same program with as many backends on a home and a port of its own, which does what the new
 * daemon of a handover does at its start, and has nothing to do with the one that is measured. It stays for as long as
 * the window.
 */
async function otherDaemon(): Promise<number> {
  const backends = Object.fromEntries(
    BACKENDS.map((name) => [name, nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_PREFIX: `${name}_` } })]),
  );
  const other = await openGatewayRig({ backends });
  await other.untilReady(...BACKENDS);
  const atMs = performance.now();
  await pause(AROUND_MS);
  // Its end is no part of what is compared.
  await other[Symbol.asyncDispose]();
  return atMs;
}
