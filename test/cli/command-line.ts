// Runs the real command line: in this process, or in one of its own where that is what is tested.

import { type ChildProcess, spawn } from "node:child_process";
import path from "node:path";
import { currentBuild } from "../../scripts/current-build.ts";
import { connectToDaemon, type DaemonClient } from "../../src/api/client/client.ts";
import { type Collected, collect, type Ran } from "../support/collect.ts";
import { type EndInProcess, needsProcess, runInProcess } from "../support/command-in-process.ts";
import { eventually } from "../support/eventually.ts";

/** No claim of speed: it ends what hangs. */
const DEADLINE_MS = 100_000;
const { PATH: SEARCH_PATH, NODE_COMPILE_CACHE } = process.env;

export interface Running extends Collected {
  readonly child: ChildProcess;
}

export interface CommandLineOptions {
  readonly home: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Words before the command. */
  readonly within?: readonly string[];
  /** All of its standard input; else it has none. */
  readonly input?: string | Buffer;
}

/**
 * The arguments that run the command line, for a shell's pipeline: as bin/mountaineer does. From the sources, each
 * process would strip the types of 300 modules first, which takes a second of CPU instead of a tenth.
 */
export const COMMAND: readonly string[] = [process.execPath, "--max-semi-space-size=8", builtMain()];

function builtMain(): string {
  const build = currentBuild();
  if (build === null) throw new Error("not built yet; run 'npm run build'");
  return path.join(build, "main.js");
}

/** An environment with nothing of the caller's that changes output. */
export function environmentOf({ home, env = {} }: CommandLineOptions): Record<string, string> {
  // A fifth of what a short command needs of the processor.
  const compiled = NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE };
  return {
    PATH: SEARCH_PATH ?? "",
    HOME: home,
    MOUNTAINEER_HOME: home,
    LANG: "C.UTF-8",
    ...compiled,
    ...env,
  };
}

/** Starts it; it is killed after 100 s. */
export function startCommand(args: readonly string[], options: CommandLineOptions): Running {
  const [program = "", ...own] = [...(options.within ?? []), ...COMMAND];
  const child = spawn(program, [...own, ...args], {
    env: environmentOf(options),
    cwd: options.cwd ?? "/",
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    timeout: DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  return { child, ...collect(child, options.input) };
}

/** As `startCommand`, to its end. */
export function runProcess(args: readonly string[], options: CommandLineOptions): Promise<Ran> {
  return startCommand(args, options).ended;
}

/** Runs it to its end: in this process, unless it needs one of its own. */
export async function runCommand(args: readonly string[], options: CommandLineOptions): Promise<Ran> {
  const { cwd, within = [] } = options;
  if (cwd !== undefined || within.length > 0 || needsProcess(args)) return runProcess(args, options);
  return runHere(args, options);
}

/** Runs it to its end in this process, also where it hands this one's streams on. */
export async function runHere(args: readonly string[], options: CommandLineOptions): Promise<Ran> {
  const running = { env: environmentOf(options), deadlineMs: DEADLINE_MS, input: options.input };
  return { signal: null, ...(await runInProcess(args, running)) };
}

export interface Served extends AsyncDisposable {
  readonly client: DaemonClient;
  /** Stops it, as SIGTERM does. Idempotent. */
  stop(): Promise<EndInProcess>;
}

/** Runs `monitor` in this process, for tests of what asks a daemon; resolves when it serves. */
export async function serveHere(options: CommandLineOptions, ...args: readonly string[]): Promise<Served> {
  const stopping = new AbortController();
  const env = environmentOf(options);
  const running = { env, deadlineMs: DEADLINE_MS, signal: stopping.signal };
  const ended = runInProcess(["monitor", ...args], running);
  const endedEarly = ended.then(({ code, stderr }): never => {
    throw new Error(`monitor ended with ${code}: ${stderr}`);
  });
  const client = await Promise.race([eventually(() => connectToDaemon(options.home)), endedEarly]);
  endedEarly.catch(() => {});
  const stop = (): Promise<EndInProcess> => {
    stopping.abort();
    return ended;
  };
  return { client, stop, [Symbol.asyncDispose]: async () => void (await stop()) };
}
