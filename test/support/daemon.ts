// Runs `bin/mountaineer monitor` as people do: a process with a home of its own, asked over the command line.
import { type ChildProcess, spawn } from "node:child_process";
import { openSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { connectToDaemon } from "../../src/api/client/client.ts";
import type { ShareStatus, StatusReport } from "../../src/api/contract/contract.ts";
import { needsProcess, runInProcess } from "./command-in-process.ts";
import { ANSWERS_MS, eventually, SLOWNESS } from "./eventually.ts";

const BETWEEN_GLANCES_MS = 20;
/** No claim of speed. */
const STARTS_MS = 100_000;
/** Beyond what a daemon on a slow machine needs to end by itself. */
const ENDS_MS = 60_000;
/** What a command has left running may hold its output open for good. */
const OUTPUT_ENDS_MS = 500;

const KEEPER = path.resolve(import.meta.dirname, "../../bin/service-keeper.sh");
const MOUNTAINEER = path.resolve(import.meta.dirname, "../../bin/mountaineer");

export interface CommandEnd {
  /** null: ended by a signal, or by its deadline. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

export interface TestHomeOptions {
  /** Becomes the home; created when missing. */
  readonly home: string;
  /** The text of config.toml; absent leaves whatever is there. */
  readonly config?: string;
  /** An argv prefix, as a rig's `enter`. */
  readonly enter?: readonly string[];
  /** Another package's launcher, instead of the checkout's. */
  readonly launcher?: string;
  /** The monitor is started as a service manager starts it, and can hand over. */
  readonly kept?: boolean;
  /** Added to the environment of every command: passwords, MOUNTAINEER_LOG. */
  readonly env?: Readonly<Record<string, string>>;
}

/** One home, with or without a daemon: what a person at that machine can type. */
export interface TestHome {
  readonly home: string;
  readonly configFile: string;
  /** Runs `mountaineer ARGS`, in this process if it can; never rejects for its exit code. `deadlineMs`: 60 s. */
  cli(args: readonly string[], deadlineMs?: number): Promise<CommandEnd>;
  /** `mountaineer status --json`, parsed; rejects with the command's stderr when it failed. */
  status(): Promise<StatusReport>;
  shareStatus(name: string): Promise<ShareStatus>;
  /** The daemon's status from its socket: as the command, without a process for each look. null: no daemon. */
  glance(): Promise<StatusReport | null>;
  /**
   * Resolves with the share's status, as the daemon tells it, once `holds` says so; rejects with the last one seen
   * after `expectedMs`, or 20 s where that is longer.
   */
  untilShare(name: string, holds: (share: ShareStatus) => boolean, expectedMs: number): Promise<ShareStatus>;
  /** Puts a new file in the old one's place: nobody ever reads half of it. */
  writeConfig(text: string): Promise<void>;
  /** state.json, parsed. */
  state(): Promise<unknown>;
  /** The log file's whole records, oldest first. */
  log(): Promise<readonly LogLine[]>;
  /** `mountaineer monitor`, up when this resolves: it answers `status` itself. */
  startMonitor(args?: readonly string[]): Promise<Monitor>;
}

export type LogLine = Readonly<Record<string, unknown>>;

/** Disposal stops it. */
export interface Monitor extends AsyncDisposable {
  /** The daemon itself: neither the launcher nor `enter` leaves a process. Of a kept one its keeper. */
  readonly pid: number;
  /** SIGTERM; resolves with how it ended, or rejects with its stderr after a minute, and SIGKILL. */
  stop(): Promise<{ readonly code: number | null; readonly signal: string | null; readonly ms: number }>;
  /** SIGKILL; resolves when the process is gone. */
  kill9(): Promise<void>;
  /** Sends a signal and waits for nothing. */
  signal(name: NodeJS.Signals): void;
  /** How it ended, once it has. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  /** Everything it wrote to stderr. */
  stderr(): Promise<string>;
}

export async function createTestHome({
  home,
  config,
  enter = [],
  launcher = MOUNTAINEER,
  kept = false,
  env = {},
}: TestHomeOptions): Promise<TestHome> {
  await mkdir(home, { recursive: true });
  const configFile = path.join(home, "config.toml");
  if (config !== undefined) await writeFile(configFile, config);
  const argv = (args: readonly string[]): [string, string[]] => {
    const [file = launcher, ...rest] = [...enter, launcher, ...args];
    return [file, rest];
  };
  const environment = { ...process.env, ...env, MOUNTAINEER_HOME: home, NO_COLOR: "1" };
  let monitors = 0;

  const self: TestHome = {
    home,
    configFile,
    async cli(args, deadlineMs = SLOWNESS * 60_000) {
      const isElsewhere = enter.length > 0 || launcher !== MOUNTAINEER;
      if (isElsewhere || needsProcess(args)) return runCommand(argv(args), environment, deadlineMs);
      const startedAt = performance.now();
      const end = await runInProcess(args, { env: environment, deadlineMs });
      return { ...end, ms: performance.now() - startedAt };
    },
    async status() {
      const { code, stdout, stderr } = await self.cli(["status", "--json"]);
      if (code !== 0) throw new Error(`status ended with ${code}: ${stderr}`);
      return JSON.parse(stdout);
    },
    async shareStatus(name) {
      const { shares } = await self.status();
      const share = shares.find((each) => each.name === name);
      if (share === undefined) throw new Error(`status knows no share ${name}: ${JSON.stringify(shares)}`);
      return share;
    },
    async glance() {
      const daemon = await connectToDaemon(home);
      return daemon === null ? null : await daemon.call("status", null, AbortSignal.timeout(ANSWERS_MS));
    },
    async untilShare(name, holds, expectedMs) {
      let last: unknown = null;
      const look = async (): Promise<ShareStatus | null> => {
        const report = await self.glance();
        const share = report?.shares.find((each) => each.name === name);
        last = share ?? report;
        return share !== undefined && holds(share) ? share : null;
      };
      try {
        return await eventually(look, Math.max(expectedMs, ANSWERS_MS), BETWEEN_GLANCES_MS);
      } catch (error) {
        const seen = JSON.stringify(last, null, 2);
        throw new Error(`share ${name} did not come to that: ${seen}`, { cause: error });
      }
    },
    async writeConfig(text) {
      await writeFile(`${configFile}.new`, text);
      await rename(`${configFile}.new`, configFile);
    },
    state: async () => JSON.parse(await readFile(path.join(home, "state.json"), "utf8")),
    async log() {
      const text = await readFile(path.join(home, "mountaineer.log"), "utf8");
      // What follows the last line's end is a record that is being written.
      const lines = text.split("\n").slice(0, -1);
      return lines.filter((line) => line !== "").map((line): LogLine => JSON.parse(line));
    },
    async startMonitor(args = []) {
      const errorFile = path.join(home, `monitor-${monitors++}.stderr`);
      const output = openSync(errorFile, "a");
      const [plain, plainRest] = argv(["monitor", ...args]);
      const [file, rest] = kept ? ["/bin/sh", [KEEPER, plain, ...plainRest]] : [plain, plainRest];
      const child = spawn(file, rest, { env: environment, stdio: ["ignore", output, output] });
      const monitor = monitorOf(child, errorFile);
      try {
        await untilUp(self, child, monitor, kept);
        return monitor;
      } catch (error) {
        await monitor[Symbol.asyncDispose]();
        throw error;
      }
    },
  };
  return self;
}

async function untilUp(home: TestHome, child: ChildProcess, monitor: Monitor, kept: boolean): Promise<void> {
  try {
    await eventually(async () => {
      if (child.exitCode !== null) return true;
      const pid = (await home.glance())?.global.pid;
      return kept ? pid !== undefined : pid === child.pid;
    }, STARTS_MS);
  } catch (error) {
    throw new Error(`monitor did not come up; it said:\n${await monitor.stderr()}`, { cause: error });
  }
  if (child.exitCode !== null)
    throw new Error(`monitor ended with ${child.exitCode}; it said:\n${await monitor.stderr()}`);
}

function monitorOf(child: ChildProcess, errorFile: string): Monitor {
  const { pid } = child;
  if (pid === undefined) throw new Error("monitor could not be started");
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  const stop: Monitor["stop"] = async () => {
    const startedAt = performance.now();
    child.kill("SIGTERM");
    let isLate = false;
    const late = setTimeout(() => {
      isLate = true;
      child.kill("SIGKILL");
    }, SLOWNESS * ENDS_MS);
    const end = await ended;
    clearTimeout(late);
    const ms = performance.now() - startedAt;
    if (!isLate) return { ...end, ms };
    const said = await readFile(errorFile, "utf8");
    throw new Error(`SIGTERM did not end pid ${pid} within ${Math.round(ms)} ms; it said:\n${said}`);
  };
  return {
    pid,
    ended,
    stop,
    signal: (name) => void child.kill(name),
    async kill9() {
      child.kill("SIGKILL");
      await ended;
    },
    stderr: () => readFile(errorFile, "utf8"),
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

function runCommand(
  [file, args]: [string, string[]],
  env: NodeJS.ProcessEnv,
  deadlineMs: number,
): Promise<CommandEnd> {
  const startedAt = performance.now();
  const child = spawn(file, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    stdout += chunk;
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    stderr += chunk;
  });
  const late = setTimeout(() => child.kill("SIGKILL"), deadlineMs);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => {
      clearTimeout(late);
      const ms = performance.now() - startedAt;
      const resolveOnce = (): void => {
        child.stdout.destroy();
        child.stderr.destroy();
        resolve({ code, stdout, stderr, ms });
      };
      // What the command leaves running (mountaineer-fs) must not hold its answer back by an inherited stdout. One turn more:
      // on a busy machine all that it wrote itself may still wait to be read.
      const inherited = setTimeout(() => setImmediate(resolveOnce), OUTPUT_ENDS_MS);
      child.once("close", () => {
        clearTimeout(inherited);
        resolveOnce();
      });
    });
  });
}
