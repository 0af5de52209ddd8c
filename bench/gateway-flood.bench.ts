// Measures what one principal's load costs another: the other's calls while the load is on the gateway, beside the same
// calls while the same load is on a bare node:http at another port, so that the machine is as busy both times.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { LIGHT_SERVER } from "../test/mcp/fixture-programs.ts";
import { nodeBackend, openGatewayRig } from "../test/mcp/gateway-rig.ts";
import { connectLight, type LightClient } from "../test/mcp/light-client.ts";
import { goal, median, quantile, round, say } from "./figures.ts";

export const title = "gateway: another's p99 beside one principal's load, on it and on a bare node:http";
export const missing = (): string | null => null;

const KINDS = ["wrong-tokens", "sessions", "idle", "slow-bodies", "calls", "all"] as const;
const SETTLES_MS = 500;

export async function bench({ short }: { short: boolean }): Promise<void> {
  const rounds = short ? 5 : 9;
  const phaseMs = short ? 1_000 : 3_000;
  await using stack = new AsyncDisposableStack();
  const rig = stack.use(
    await openGatewayRig(
      {
        backends: { light: nodeBackend(LIGHT_SERVER) },
        more: {
          limits: {},
          incoming_auth: {
            type: "local",
            users: [
              { name: "much", token: "$" + "{MUCH_TOKEN}" },
              { name: "little", token: "$" + "{LITTLE_TOKEN}" },
            ],
          },
        },
      },
      { env: { MUCH_TOKEN: "token-of-much", LITTLE_TOKEN: "token-of-little" } },
    ),
  );
  await rig.untilReady("light");
  const bare = await startBare();
  stack.defer(() => end(bare.child));
  const client = stack.use(await connectLight(rig.url, { token: "token-of-little" }));
  const alone = await p99(client, phaseMs);
  say(`  another's p99, medians of ${rounds} rounds; alone ${round(alone)} ms`);
  say(`  ${"".padEnd(16)}${"on bare, ms".padStart(14)}${"on ours, ms".padStart(14)}${"ratio".padStart(10)}`);
  for (const kind of KINDS) {
    const onBare: number[] = [];
    const onOurs: number[] = [];
    for (let index = 0; index < rounds; index++) {
      onBare.push(await beside(bare.url, kind, client, phaseMs));
      onOurs.push(await beside(rig.url, kind, client, phaseMs));
    }
    const [one, other] = [median(onBare), median(onOurs)];
    const ratio = other / one;
    say(
      `  ${kind.padEnd(16)}${round(one).padStart(14)}${round(other).padStart(14)}${`×${round(ratio)}`.padStart(10)}`,
    );
    goal(`${kind}: p99 ≤ 2 × beside bare`, ratio <= 2);
  }
}

async function beside(url: string, kind: string, client: LightClient, ms: number): Promise<number> {
  const program = path.join(import.meta.dirname, "flood.ts");
  const flood = spawn(process.execPath, [program, url, "token-of-much", kind], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    await once(flood.stdout, "data");
    await p99(client, SETTLES_MS);
    return await p99(client, ms);
  } finally {
    await end(flood);
  }
}

/** Of calls one after the other for so long, ms. */
async function p99(client: LightClient, ms: number): Promise<number> {
  const times: number[] = [];
  const startedAt = performance.now();
  while (performance.now() - startedAt < ms) {
    const sentAt = performance.now();
    await client.call("echo", { text: "hello" });
    times.push(performance.now() - sentAt);
  }
  return quantile(times, 0.99);
}

async function startBare(): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const program = path.join(import.meta.dirname, "bare-forwarder.ts");
  const child = spawn(process.execPath, [program, LIGHT_SERVER], { stdio: ["ignore", "pipe", "inherit"] });
  const [first] = await once(child.stdout.setEncoding("utf8"), "data");
  return { child, url: String(first).trim() };
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGTERM");
  await ended;
}
