// Measures what a command of the shell takes beside an empty Node, in turns: the Node that bin/mountaineer picks.
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LIGHT_SERVER } from "../test/mcp/fixture-programs.ts";
import { nodeBackend, openGatewayRig } from "../test/mcp/gateway-rig.ts";
import { goal, median, round, say, spread } from "./figures.ts";

export const title = "shell: a command beside an empty Node";
export const missing = (): null => null;

const LAUNCHER = join(import.meta.dirname, "../bin/mountaineer");
const MOST = 3;

export async function bench({ short }: { short: boolean }): Promise<void> {
  const rounds = short ? 15 : 60;
  await using rig = await openGatewayRig({ backends: { light: nodeBackend(LIGHT_SERVER) } });
  await rig.untilReady("light");
  const nowhere = await mkdtemp(join(tmpdir(), "mountaineer-bench-"));
  try {
    for (const words of [["--version"], ["status"], ["tools", "list"]])
      measure(words.join(" "), rounds, { words, home: rig.home.home, most: MOST });
    measure("status without a daemon", rounds, { words: ["status"], home: nowhere, most: null });
  } finally {
    await rm(nowhere, { recursive: true, force: true });
  }
}

interface Measured {
  readonly words: readonly string[];
  readonly home: string;
  /** The goal: so many times as long as an empty Node; null: there is none. */
  readonly most: number | null;
}

function measure(name: string, rounds: number, { words, home, most }: Measured): void {
  const environment = { ...process.env, MOUNTAINEER_HOME: home };
  const ours: number[] = [];
  const empty: number[] = [];
  // The first turn reads the files from the disk.
  for (let round = -1; round < rounds; round++) {
    const pair = [took(LAUNCHER, words, environment), took(process.execPath, ["-e", "0"], environment)];
    if (round < 0) continue;
    ours.push(pair[0] ?? 0);
    empty.push(pair[1] ?? 0);
  }
  const ratio = median(ours.map((ms, index) => ms / (empty[index] ?? Number.NaN)));
  say(`  ${name}: ${spread(ours)}; an empty Node: ${spread(empty)}; ${round(ratio)} × (median of the pairs)`);
  if (most !== null) goal(`${name} ≤ ${most} × an empty Node`, ratio <= most);
}

function took(file: string, args: readonly string[], env: NodeJS.ProcessEnv): number {
  const startedAt = performance.now();
  const { status, stderr } = spawnSync(file, args, { env, encoding: "utf8" });
  const ms = performance.now() - startedAt;
  if (status !== 0) throw new Error(`${file} ${args.join(" ")} ended with ${status}: ${stderr}`);
  return ms;
}
