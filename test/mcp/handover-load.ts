// Handovers under calls: sessions over HTTP and over `mountaineer mcp`, each call of which leaves a line in a file.
import { readFile } from "node:fs/promises";
import path from "node:path";
import type { TestHome } from "../support/daemon.ts";
import { startBridge } from "./bridge-process.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { nodeBackend, openGatewayRig } from "./gateway-rig.ts";
import { connectLight } from "./light-client.ts";

export interface LoadOptions {
  readonly handovers: number;
  readonly http: number;
  readonly stdio: number;
  /** Between two calls of a session, ms. */
  readonly pauseMs: number;
}

export interface LoadEnd {
  readonly handovers: number;
  readonly calls: number;
  /** Why a call failed, or a session went. */
  readonly lost: readonly string[];
  /** Calls answered whose line is missing. */
  readonly undone: readonly string[];
  readonly twice: readonly string[];
  /** Different processes that were in charge. */
  readonly daemons: number;
  readonly seconds: number;
  readonly slowestMs: number;
}

/** Ended with all it started. */
export async function handOverUnderLoad(options: LoadOptions): Promise<LoadEnd> {
  const { handovers, http, stdio, pauseMs } = options;
  const first = nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_PREFIX: "first_" } });
  await using rig = await openGatewayRig({ backends: { first } }, { kept: true });
  await rig.untilReady("first");
  const file = path.join(rig.folder, "notes");
  const lost: string[] = [];
  const answered: string[] = [];
  let going = true;
  let slowestMs = 0;
  const keepCalling = async (session: string, call: (text: string) => Promise<unknown>): Promise<void> => {
    for (let n = 0; going; n++) {
      const text = `${session}-${n}`;
      const startedAt = performance.now();
      try {
        await call(text);
        answered.push(text);
      } catch (error) {
        lost.push(`${text}: ${String(error)}`);
      }
      slowestMs = Math.max(slowestMs, performance.now() - startedAt);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  };
  const clients = await Promise.all(Array.from({ length: http }, () => connectLight(rig.url)));
  const bridges = Array.from({ length: stdio }, () => startBridge(rig));
  for (const bridge of bridges) await bridge.begin();
  const startedAt = performance.now();
  const calling = [
    ...clients.map((client, at) =>
      keepCalling(`http${at}`, (text) => client.call("first_note", { file, text })),
    ),
    ...bridges.map((bridge, at) => {
      let id = 100;
      return keepCalling(`stdio${at}`, (text) => bridge.call(++id, "first_note", { file, text }));
    }),
  ];
  const daemons = new Set<number>();
  try {
    for (let done = 0; done < handovers; done++) {
      daemons.add((await rig.status()).global.pid ?? 0);
      await handOver(rig);
    }
    daemons.add((await rig.status()).global.pid ?? 0);
  } finally {
    going = false;
    await Promise.all(calling);
    for (const client of clients) await client[Symbol.asyncDispose]();
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  const counts = new Map<string, number>();
  for (const line of (await readFile(file, "utf8")).trimEnd().split("\n")) {
    counts.set(line, (counts.get(line) ?? 0) + 1);
  }
  return {
    handovers,
    calls: answered.length,
    lost,
    undone: answered.filter((text) => !counts.has(text)),
    twice: [...counts].filter(([, count]) => count > 1).map(([text]) => text),
    daemons: daemons.size,
    seconds,
    slowestMs,
  };
}

/** As people do; rejects with what the command said. */
export async function handOver(rig: {
  readonly home: Pick<TestHome, "cli">;
}): Promise<{ from: number; to: number }> {
  const { code, stdout, stderr } = await rig.home.cli(["restart", "--json"]);
  if (code !== 0) throw new Error(`restart ended with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}
