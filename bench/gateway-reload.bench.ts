// Measures how long a backend added to the file takes to be seen by a connected client.
import { spawn } from "node:child_process";
import { LIGHT_SERVER } from "../test/mcp/fixture-programs.ts";
import { eventually } from "../test/support/eventually.ts";
import { goal, median, say, spread } from "./figures.ts";
import { type Measured, peersInstalled, startMcpHub, startOurs } from "./gateways.ts";

export const title = "gateway: from saving the file to a new backend's tools in a client's list";
export const missing = (): string | null => null;

export async function bench({ short }: { short: boolean }): Promise<void> {
  const rounds = short ? 4 : 10;
  await using stack = new AsyncDisposableStack();
  const ours = stack.use(await startOurs());
  const hub = (await peersInstalled(!short)) ? stack.use(await startMcpHub()) : null;
  const own: number[] = [];
  const times = new Map<Measured, number[]>([[ours, []]]);
  if (hub !== null) times.set(hub, []);
  for (let index = 0; index < rounds; index++) {
    own.push(await startAlone());
    for (const [each, list] of times) list.push(await untilVisible(each, `new${index}_`));
  }
  say(`  the backend's own start: ${spread(own)}`);
  for (const [{ name }, list] of times) say(`  ${name}: ${spread(list)}`);
  const added = median(times.get(ours) ?? []) - median(own);
  say(`  Mountaineer adds ${added.toFixed(0)} ms, of which 100 ms are the debounce`);
  if (hub === null) return;
  const hubAdded = median(times.get(hub) ?? []) - median(own);
  say(`  mcp-hub adds ${hubAdded.toFixed(0)} ms: ×${(added / hubAdded).toFixed(2)}`);
  goal("what we add ≤ 0.6 × what mcp-hub adds", added <= 0.6 * hubAdded);
}

/** Initialize and one list, asked directly, ms. */
async function startAlone(): Promise<number> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [LIGHT_SERVER], { stdio: ["pipe", "pipe", "inherit"] });
  const ask = (id: number, method: string, params: object): void =>
    void child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
  ask(1, "initialize", { protocolVersion: "2025-11-25" });
  ask(2, "tools/list", {});
  await new Promise<void>((resolve) => {
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      if (chunk.includes('"id":2')) resolve();
    });
  });
  const ms = performance.now() - startedAt;
  child.kill("SIGKILL");
  return ms;
}

async function untilVisible({ add, client }: Measured, prefix: string): Promise<number> {
  if (add === null) throw new Error("it has no configuration");
  const startedAt = performance.now();
  await add(prefix);
  await eventually(
    async () => JSON.stringify(await client.request("tools/list")).includes(`${prefix}echo`),
    20_000,
  );
  return performance.now() - startedAt;
}
