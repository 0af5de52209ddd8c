// Measures how soon the live view has drawn its first picture: with a daemon, with one that does not answer, with none.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { startRig } from "../test/api/management-rig.ts";
import { scriptedConfig } from "../test/api/sample-config.ts";
import { gatewayReport, scriptedGateway } from "../test/api/sample-gateway.ts";
import { scriptedControl } from "../test/api/sample-report.ts";
import { goal, median, round, say, spread } from "./figures.ts";

export const title = "tui: from the command to the first picture";

export function missing(): string | null {
  if (process.platform !== "linux") return "it uses script as Linux has it";
  return spawnSync("script", ["--version"]).status === 0 ? null : "script is not installed";
}

const LAUNCHER = join(import.meta.dirname, "../bin/mountaineer");
const RUNS = 10;
const MOST_MS = 400;
/** Ends what hangs. */
const DEADLINE_MS = 60_000;
/** On every first picture: the name of the first screen. */
const PICTURE = "[d Home]";

export async function bench(): Promise<void> {
  const ends: (() => unknown)[] = [];
  try {
    const { home } = await startRig(
      { after: (end) => void ends.push(end) },
      {
        control: { ...scriptedControl(), status: () => gatewayReport([]) },
        config: scriptedConfig(),
        gateway: scriptedGateway(),
      },
    );
    const silent = await startSilentDaemon(ends);
    const nowhere = await temporaryHome(ends);
    await measure("a daemon answers", home);
    await measure("a daemon that does not answer", silent);
    await measure("no daemon", nowhere);
    say(`  load ${loadavg().map(round).join(", ")}`);
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

async function temporaryHome(ends: (() => unknown)[]): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), "mountaineer-bench-"));
  ends.push(() => rm(home, { recursive: true, force: true }));
  return home;
}

/** A home whose socket accepts, and says nothing. */
async function startSilentDaemon(ends: (() => unknown)[]): Promise<string> {
  const home = await temporaryHome(ends);
  const socket = join(home, "mountaineer.sock");
  const server = createServer((connection) => connection.on("error", () => {}).resume());
  server.listen(socket);
  await once(server, "listening");
  await chmod(socket, 0o600);
  ends.push(() => server.close());
  return home;
}

/** In turns with an empty Node in the same kind of terminal. */
async function measure(name: string, home: string): Promise<void> {
  const ours: number[] = [];
  const empty: number[] = [];
  // The first turn reads the files from the disk.
  for (let run = -1; run < RUNS; run++) {
    const pair = [
      await untilShown(`exec '${LAUNCHER}' tui`, PICTURE, home),
      await untilShown(`exec '${process.execPath}' -e 'console.log("here")'`, "here", home),
    ];
    if (run < 0) continue;
    ours.push(pair[0] ?? 0);
    empty.push(pair[1] ?? 0);
  }
  say(`  ${name}: ${spread(ours)}; an empty Node: ${spread(empty)}`);
  goal(`first picture within ${MOST_MS} ms, ${name}`, median(ours) <= MOST_MS);
}

/** From the start of the terminal until the text is on it, ms; it is left by q. */
async function untilShown(command: string, text: string, home: string): Promise<number> {
  const startedAt = performance.now();
  const child = spawn("script", ["-qfec", `stty cols 80 rows 24; ${command}`, "/dev/null"], {
    env: { ...process.env, MOUNTAINEER_HOME: home, TERM: "xterm-256color" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const late = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
  const ended = once(child, "exit");
  let out = "";
  let shownMs: number | null = null;
  child.stdin.on("error", () => {});
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    if (shownMs !== null) return;
    out += chunk;
    if (!out.includes(text)) return;
    shownMs = performance.now() - startedAt;
    child.stdin.write("q");
  });
  await ended;
  clearTimeout(late);
  if (shownMs === null) throw new Error(`${text} was never shown by ${command}: ${out}`);
  return shownMs;
}
