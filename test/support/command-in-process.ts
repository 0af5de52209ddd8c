// Runs a command line in this process, which saves the start of another: as if it were one, but for its working directory,
// its process id, and what it leaves running.
import { AsyncLocalStorage } from "node:async_hooks";
import { registerHooks, syncBuiltinESMExports } from "node:module";
import os from "node:os";
import { Readable } from "node:stream";

/** Modules for which others stand: by the end of what is imported. */
const STAND_INS = {
  "/worker/reader-process.ts": "./reader-in-process.ts",
  "./reader-process.ts": "./reader-in-process.ts",
  "/compose/found-shares.ts": "./no-found-shares.ts",
};

registerHooks({
  resolve(specifier, context, next) {
    const found = Object.entries(STAND_INS).find(([end]) => specifier.endsWith(end));
    if (found === undefined) return next(specifier, context);
    return { url: new URL(found[1], import.meta.url).href, shortCircuit: true };
  },
});

/** They serve clients, or hand their streams on; the version is told before run.ts is loaded. */
const OWN_PROCESS = /^(--version|-[vV]|version|demo|mcp|menubar|tui)\b/;

/** `processes`: each command is one, as for people, which costs several times as much. */
const { MOUNTAINEER_TEST_COMMANDS: wanted } = process.env;

export function needsProcess(args: readonly string[]): boolean {
  return wanted === "processes" || OWN_PROCESS.test(args.join(" "));
}

export type EndInProcess = Awaited<ReturnType<typeof runInProcess>>;

interface InProcessOptions {
  /** All of its environment. */
  readonly env: NodeJS.ProcessEnv;
  /** It is stopped then, as by SIGTERM. */
  readonly deadlineMs: number;
  /** All of its standard input. Default: none. */
  readonly input?: string | Buffer | undefined;
  /** Stops it, too. */
  readonly signal?: AbortSignal;
}

/** Resolves when it has ended; any number may run at once. */
export async function runInProcess(
  args: readonly string[],
  { env, deadlineMs, input = "", signal }: InProcessOptions,
) {
  const { runCommandLine } = await import("../../src/cli/run.ts");
  const { dispatch } = await import("../../src/cli/dispatch.ts");
  const written = { stdout: "", stderr: "" };
  const into = (stream: keyof typeof written) => ({
    write(text: string) {
      written[stream] += text;
    },
  });
  const stdin = Readable.from(input.length === 0 ? [] : [input]);
  const streams = { stdin, stdout: into("stdout"), stderr: into("stderr") };
  const forceSignal = new AbortController().signal;
  const stops = [AbortSignal.timeout(Math.ceil(deadlineMs)), ...(signal === undefined ? [] : [signal])];
  const signals = { signal: AbortSignal.any(stops), forceSignal };
  const code = await environments.run({ ...env }, () => runCommandLine(args, streams, signals, dispatch));
  return { code, ...written };
}

/**
 * The environment of the command in whose course `process.env` is read; outside of all commands it is this process's.
 * So none sees another's.
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

// It asks the system's environment, past `process.env`.
const { tmpdir } = os;
os.tmpdir = () => environments.getStore()?.["TMPDIR"] ?? tmpdir();
syncBuiltinESMExports();
