// Measures the gateway's memory by the number of backends, its lists at 5,000 tools, and results of 10 MB.
import { LIGHT_SERVER, openHttpFixture } from "../test/mcp/fixture-programs.ts";
import { nodeBackend, openGatewayRig, type Section } from "../test/mcp/gateway-rig.ts";
import { connectLight, type LightClient } from "../test/mcp/light-client.ts";
import { goal, median, round, say, spread } from "./figures.ts";
import { rssMb, threadsCpuUs } from "./processes.ts";

export const title = "gateway: memory with 1, 10, 100 backends; lists of 5,000 tools; results of 10 MB";
export const missing = (): string | null => null;

export async function bench({ short }: { short: boolean }): Promise<void> {
  for (const count of [1, 10, ...(short ? [] : [100])]) await memoryWith(count);
  await manyTools(short ? 10 : 50);
  await largeResults(short ? 10 : 30);
}

/** A hundred processes of Node would measure the machine: they are one HTTP server, a hundred times. */
async function memoryWith(count: number): Promise<void> {
  await using server = await openHttpFixture(LIGHT_SERVER, { LIGHT_TOOLS: "10" });
  const names = Array.from({ length: count }, (_, index) => `backend${index}`);
  const section: Section = { type: "streamable-http", url: server.url };
  const startedAt = performance.now();
  await using rig = await openGatewayRig({
    backends: Object.fromEntries(names.map((name) => [name, section])),
    more: { conflict_resolution: { strategy: "prefix" } },
  });
  await rig.untilReady(...names);
  const ms = performance.now() - startedAt;
  await using client = await connectLight(rig.url);
  const { length } = await client.tools();
  say(
    `  ${String(count).padStart(3)} backends over HTTP: ${round(await rssMb(rig.pid))} MB, ${length} tools, all ready after ${round(ms)} ms`,
  );
}

async function manyTools(calls: number): Promise<void> {
  const LIGHT_TOOLS = "5000";
  await using server = await openHttpFixture(LIGHT_SERVER, { LIGHT_TOOLS });
  await using rig = await openGatewayRig({
    backends: { many: nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_TOOLS } }) },
  });
  await rig.untilReady("many");
  await using direct = await connectLight(server.url);
  await using through = await connectLight(rig.url);
  const [alone, ours] = [await listMs(direct, calls), await listMs(through, calls)];
  say(
    `  5,000 tools: the whole list in ${round(ours)} ms (the server itself: ${round(alone)} ms), ${round(await rssMb(rig.pid))} MB`,
  );
  goal("5,000 tools listed in ≤ 100 ms", ours <= 100);
}

async function listMs(client: LightClient, calls: number): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < calls; index++) {
    const startedAt = performance.now();
    await client.tools();
    times.push(performance.now() - startedAt);
  }
  return median(times);
}

interface LargeColumn {
  readonly name: string;
  readonly pid: number;
  readonly client: LightClient;
  readonly ms: number[];
  readonly cpuMs: number[];
}

/** The client reads them as JSON, too: that takes as long in each column. */
async function largeResults(rounds: number): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await openHttpFixture(LIGHT_SERVER));
  const column = async (
    name: string,
    { pid, url }: { readonly pid: number; readonly url: string },
  ): Promise<LargeColumn> => ({
    name,
    pid,
    client: stack.use(await connectLight(url)),
    ms: [],
    cpuMs: [],
  });
  const columns = [await column("the server itself", server)];
  const sections = { stdio: nodeBackend(LIGHT_SERVER), HTTP: { type: "streamable-http", url: server.url } };
  for (const [name, section] of Object.entries(sections)) {
    const rig = stack.use(await openGatewayRig({ backends: { light: section } }));
    await rig.untilReady("light");
    columns.push(await column(`through ${name}`, rig));
  }
  for (let index = 0; index < rounds; index++)
    for (const { pid, client, ms, cpuMs } of index % 2 === 0 ? columns : columns.toReversed()) {
      const [before, startedAt] = [await threadsCpuUs(pid), performance.now()];
      await client.call("big", { bytes: 10_000_000 });
      ms.push(performance.now() - startedAt);
      cpuMs.push(((await threadsCpuUs(pid)) - before) / 1000);
    }
  for (const { name, ms, cpuMs } of columns)
    say(`  a result of 10 MB, ${name}: ${spread(ms)}, CPU ${round(median(cpuMs))} ms`);
  goal(
    "a result of 10 MB in ≤ 80 ms",
    columns.every(({ ms }) => median(ms) <= 80),
  );
}
