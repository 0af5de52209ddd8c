// Runs the real command line: in this process, or in one of its own where that is what is tested.

import { AsyncLocalStorage } from "node:async_hooks";
import { type ChildProcess, spawn } from "node:child_process";
import path from "node:path";
import { Readable } from "node:stream";
import { currentBuild } from "../../scripts/current-build.ts";
import { runCommandLine } from "../../src/cli/run.ts";
import { type Collected, collect, type Ran } from "../support/collect.ts";

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

/** They serve, or hand their streams on; the version is told before run.ts is loaded. */
const OWN_PROCESS = /^(--version|-[vV]|version|config edit|demo|mcp|menubar|monitor|tui)\b/;

/** Runs it to its end, in this process if it can: with an environment, streams and a deadline of its own. */
export async function runCommand(args: readonly string[], options: CommandLineOptions): Promise<Ran> {
  const { cwd, within, input = "" } = options;
  const needsProcess = cwd !== undefined || within !== undefined || OWN_PROCESS.test(args.join(" "));
  if (needsProcess) return runProcess(args, options);
  const written = { stdout: "", stderr: "" };
  const into = (stream: keyof typeof written) => ({
    write(text: string) {
      written[stream] += text;
    },
  });
  const never = new AbortController().signal;
  const running = environments.run(environmentOf(options), () =>
    runCommandLine(
      args,
      {
        stdin: Readable.from(input.length === 0 ? [] : [input]),
        stdout: into("stdout"),
        stderr: into("stderr"),
      },
      { signal: AbortSignal.timeout(DEADLINE_MS), forceSignal: never, yieldInterrupts: () => noInterrupts },
    ),
  );
  return { code: await running, signal: null, ...written };
}

const noInterrupts: Disposable = { [Symbol.dispose]() {} };

/**
 * The environment of the command in whose course `process.env` is read; outside of all commands it is this process's.
 * So commands may run at once, and none sees another's.
 */
const environments = new AsyncLocalStorage<NodeJS.ProcessEnv>();
const ownEnvironment = process.env;
const current = (): NodeJS.ProcessEnv => environments.getStore() ?? ownEnvironment;
process.env = new Proxy(ownEnvironment, {
  get: (_own, name) => Reflect.get(current(), name),
  set: (_own, name, value) => Reflect.set(current(), name, value),
  has: (_own, name) => Reflect.has(current(), name),
  deleteProperty: (_own, name) => Reflect.deleteProperty(current(), name),
  ownKeys: () => Reflect.ownKeys(current()),
  getOwnPropertyDescriptor: (_own, name) => Reflect.getOwnPropertyDescriptor(current(), name),
  defineProperty: (_own, name, descriptor) => Reflect.defineProperty(current(), name, descriptor),
});
