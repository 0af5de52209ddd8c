// Measures the gateway's memory by the number of backends, and its lists at 5,000 tools.
import { LIGHT_SERVER, openHttpFixture } from "../test/mcp/fixture-programs.ts";
import { nodeBackend, openGatewayRig, type Section } from "../test/mcp/gateway-rig.ts";
import { connectLight, type LightClient } from "../test/mcp/light-client.ts";
import { goal, median, round, say } from "./figures.ts";
import { rssMb } from "./processes.ts";

export const title = "gateway: memory with 1, 10, 100 backends; lists of 5,000 tools";
export const missing = (): string | null => null;

export async function bench({ short }: { short: boolean }): Promise<void> {
  for (const count of [1, 10, ...(short ? [] : [100])]) await memoryWith(count);
  await manyTools(short ? 10 : 50);
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
