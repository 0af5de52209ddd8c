// Measures gateways with one key of session ids behind HAProxy, as docs/reference/fleet.md has it: what several do
// together, what the loss of one costs, and how many sessions one holds.
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { Agent, request } from "node:http";
import { type BalancerName, openBalancer } from "../test/kit/balancers.ts";
import { LIGHT_SERVER } from "../test/mcp/fixture-programs.ts";
import { type GatewayRig, nodeBackend, openGatewayRig } from "../test/mcp/gateway-rig.ts";
import { connectLight, type LightClient } from "../test/mcp/light-client.ts";
import { goal, quantile, round, say } from "./figures.ts";
import { cpuMsWithChildren, rssMb, threadsCpuUs } from "./processes.ts";

export const title = "balanced: 1, 2 and 4 gateways with one key behind HAProxy";
export const missing = (): string | null => {
  try {
    execFileSync("haproxy", ["-v"], { stdio: "ignore" });
    return null;
  } catch {
    return "needs haproxy";
  }
};

const BALANCER: BalancerName = "haproxy";
const SESSIONS = 50;
const IN_FLIGHT = 64;
const WARM = 8_000;

export async function bench({ short }: { short: boolean }): Promise<void> {
  const calls = short ? 2_000 : 10_000;
  for (const count of [1, 2, 4]) await together(count, calls);
  await loss(calls);
  await manySessions(short ? 5_000 : 100_000);
}

interface Gateways {
  readonly rigs: readonly GatewayRig[];
  readonly url: string;
  readonly balancerPid: number;
  readonly clients: readonly LightClient[];
}

async function openGateways(stack: AsyncDisposableStack, count: number): Promise<Gateways> {
  const env = { SESSION_KEY: randomBytes(32).toString("base64") };
  const sections = {
    backends: { light: nodeBackend(LIGHT_SERVER) },
    server: { session_key: ["$" + "{SESSION_KEY}"] },
  };
  const rigs: GatewayRig[] = [];
  for (let at = 0; at < count; at++) rigs.push(stack.use(await openGatewayRig(sections, { env })));
  for (const rig of rigs) await rig.untilReady("light");
  const balancer = stack.use(
    await openBalancer(
      BALANCER,
      rigs.map(({ url }) => Number(new URL(url).port)),
    ),
  );
  const clients: LightClient[] = [];
  for (let at = 0; at < SESSIONS; at++)
    clients.push(stack.use(await connectLight(balancer.url, { sockets: 2 })));
  return { rigs, url: balancer.url, balancerPid: balancer.pid, clients };
}

async function together(count: number, calls: number): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const { rigs, balancerPid, clients } = await openGateways(stack, count);
  await run(clients, WARM * count);
  const cpuUs = async (): Promise<readonly number[]> => Promise.all(rigs.map(({ pid }) => threadsCpuUs(pid)));
  const [before, balancerBefore] = [await cpuUs(), await cpuMsWithChildren(balancerPid)];
  const { tookMs, latencies } = await run(clients, calls);
  const used = (await cpuUs()).map((us, at) => us - (before[at] ?? 0));
  const balancerUs = ((await cpuMsWithChildren(balancerPid)) - balancerBefore) * 1_000;
  say(
    `  ${count} gateway${count === 1 ? "" : "s"}: ${round((calls / tookMs) * 1_000)} calls a second, ` +
      `p50 ${round(quantile(latencies, 0.5))} ms, p99 ${round(quantile(latencies, 0.99))} ms; CPU a call: ` +
      `gateways ${round(sum(used) / calls)} µs (the busiest had ${round((Math.max(...used) / sum(used)) * 100)} %), ` +
      `HAProxy ${round(balancerUs / calls)} µs`,
  );
}

/** One of two is killed while calls are made. */
async function loss(calls: number): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const { rigs, clients } = await openGateways(stack, 2);
  let [killedAtMs, deadAtMs] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const half = Math.floor(calls / 2);
  const { failures } = await run(clients, calls, (made) => {
    if (made !== half) return;
    killedAtMs = performance.now();
    void rigs[1]?.goDown("SIGKILL").then(() => {
      deadAtMs = performance.now();
    });
  });
  const inFlight = failures.filter(({ fromMs, toMs }) => fromMs <= deadAtMs && toMs >= killedAtMs);
  say(`  one of two killed: of ${calls} calls of ${SESSIONS} sessions ${failures.length} failed`);
  goal("only calls in flight fail", inFlight.length === failures.length);
}

/** Opens sessions without end, as clients that never return do. */
async function manySessions(most: number): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const { rigs, url } = await openGateways(stack, 1);
  const pid = rigs[0]?.pid ?? 0;
  const first = await connectLight(url);
  const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT });
  stack.defer(() => agent.destroy());
  const open = async (count: number): Promise<number> => {
    const startedAt = performance.now();
    await atOnce(count, () => initialize(url, agent));
    return performance.now() - startedAt;
  };
  await open(100);
  const beforeMb = await rssMb(pid);
  const tookMs = await open(most);
  say(
    `  ${most} sessions opened once: ${round((most / tookMs) * 1_000)} a second; resident memory ` +
      `${round(await rssMb(pid))} MB, with 100 ${round(beforeMb)} MB`,
  );
  const tools = await first.tools().catch(() => []);
  goal("the first session of all continues", tools.length > 0);
}

const INITIALIZE = JSON.stringify({
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "bench", version: "1" } },
});

function initialize(url: string, agent: Agent): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const headers = {
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    "content-length": INITIALIZE.length,
  };
  const sent = request(url, { method: "POST", agent, headers }, (response) => {
    const { statusCode } = response;
    response.resume().once("error", reject);
    response.once("end", () => (statusCode === 200 ? resolve() : reject(new Error(`status ${statusCode}`))));
  });
  sent.once("error", reject);
  sent.end(INITIALIZE);
  return promise;
}

interface Failure {
  readonly fromMs: number;
  readonly toMs: number;
}

interface Run {
  readonly tookMs: number;
  /** Of calls that were answered, ms. */
  readonly latencies: readonly number[];
  readonly failures: readonly Failure[];
}

async function run(
  clients: readonly LightClient[],
  calls: number,
  onCall: (made: number) => void = () => {},
): Promise<Run> {
  const latencies: number[] = [];
  const failures: Failure[] = [];
  const startedAt = performance.now();
  await atOnce(calls, async (index) => {
    onCall(index);
    const fromMs = performance.now();
    const answered = await clients[index % clients.length]?.call("echo", { text: "hello" }).catch(() => null);
    const toMs = performance.now();
    if (answered === "hello") latencies.push(toMs - fromMs);
    else failures.push({ fromMs, toMs });
  });
  return { tookMs: performance.now() - startedAt, latencies, failures };
}

async function atOnce(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await work(index);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
