// Measures what messages that are cheap in bytes and dear in values cost another client, and the daemon in memory. Each goes
// to a server that sends the same back, so both directions are measured at once.
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { LIGHT_SERVER } from "../test/mcp/fixture-programs.ts";
import { nodeBackend, openGatewayRig } from "../test/mcp/gateway-rig.ts";
import { connectLight } from "../test/mcp/light-client.ts";
import { goal, quantile, round, say } from "./figures.ts";
import { rssMb } from "./processes.ts";

export const title = "gateway: another's p99 beside messages with very many values";
export const missing = (): string | null => null;

const SHAPES = ["empty-objects", "nested-lists", "long-numbers-in-texts", "records", "text"] as const;
const MOST_P99_MS = 250;

export async function bench({ short }: { short: boolean }): Promise<void> {
  const [sizeMb, phaseMs] = short ? [8, 3_000] : [54, 15_000];
  const echo = path.join(import.meta.dirname, "../test/gateway/backends/programs/raw-echo.ts");
  await using stack = new AsyncDisposableStack();
  const rig = stack.use(
    await openGatewayRig({ backends: { light: nodeBackend(LIGHT_SERVER), dear: nodeBackend(echo) } }),
  );
  await rig.untilReady("light", "dear");
  const client = stack.use(await connectLight(rig.url));
  say(`  ${sizeMb} MB at once, both ways`);
  for (const shape of SHAPES) {
    const sender = spawn(
      process.execPath,
      [path.join(import.meta.dirname, "dear-sender.ts"), rig.url, "program", shape, String(sizeMb)],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    await once(sender.stdout, "data");
    const times: number[] = [];
    let mostMb = 0;
    const startedAt = performance.now();
    while (performance.now() - startedAt < phaseMs) {
      const sentAt = performance.now();
      await client.call("echo", { text: "hello" });
      times.push(performance.now() - sentAt);
      if (times.length % 100 === 0) mostMb = Math.max(mostMb, await rssMb(rig.pid));
    }
    sender.kill();
    await once(sender, "close");
    const [p99, longest] = [quantile(times, 0.99), Math.max(...times)];
    say(
      `  ${shape.padEnd(24)} p99 ${round(p99)} ms, longest ${round(longest)} ms, memory ${round(mostMb)} MB`,
    );
    goal(`${shape}: p99 ≤ ${MOST_P99_MS} ms`, p99 <= MOST_P99_MS);
    goal(`${shape}: memory ≤ 300 MB + 3 × what is in flight`, mostMb <= 300 + 3 * 2 * sizeMb);
  }
}
