// A `scutil` child process as a source of network events, for Macs without koffi.

import { type ChildProcess, spawn } from "node:child_process";
import { systemErrorCode } from "../../../runtime/errors.ts";
import { childEnvironment } from "../../../runtime/process/child-process.ts";
import { createLineSplitter } from "../../../runtime/text/line-splitter.ts";
import type { NetworkDelta } from "../events/network-delta.ts";
import type {
  NetworkEventListener,
  NetworkEventSource,
  RunningEventSource,
} from "../events/network-event-source.ts";
import { deltaOfScutilLine, SCUTIL_COMMANDS } from "./scutil-output.ts";

const SCUTIL = "/usr/sbin/scutil";
/** It ends when its input does; one that does not is killed. */
const KILL_AFTER_MS = 500;
const STOP_DEADLINE_MS = 1_500;
/** No line is this long; more without a line end is dropped. */
const LINE_AT_MOST = 4_096;

/** `command`: the program and its arguments, for tests. */
export function scutilSource(command: readonly [string, ...string[]] = [SCUTIL]): NetworkEventSource {
  return { name: "scutil", start: (listener) => startScutil(command, listener) };
}

function startScutil(
  [program, ...args]: readonly [string, ...string[]],
  listener: NetworkEventListener,
): RunningEventSource {
  const exited = Promise.withResolvers<void>();
  let over = false;
  let stopping = false;
  const end = (error: unknown): void => {
    exited.resolve();
    if (over || stopping) return;
    over = true;
    const kind = systemErrorCode(error) === "ENOENT" ? "unavailable" : "crashed";
    listener.onEnd({ kind, error });
  };

  let child: ChildProcess;
  try {
    child = spawn(program, args, {
      cwd: "/",
      env: childEnvironment(),
      stdio: ["pipe", "pipe", "ignore"],
      // Ctrl-C at a terminal reaches the daemon alone.
      detached: true,
    });
  } catch (error) {
    queueMicrotask(() => end(error));
    return {
      async [Symbol.asyncDispose]() {
        stopping = true;
      },
    };
  }
  const splitter = createLineSplitter(LINE_AT_MOST, () => {});
  child.stdout?.on("data", (chunk: Buffer) => {
    const deltas = [...splitter.take(chunk)]
      .map(deltaOfScutilLine)
      .filter((delta): delta is NetworkDelta => delta !== null);
    if (deltas.length > 0 && !stopping && !over) listener.onChange(deltas);
  });
  child.once("spawn", () => {
    child.stdin?.write(SCUTIL_COMMANDS, (error) => {
      if (!error && !stopping && !over) listener.onReady();
    });
  });
  // The child has ended; its exit is reported.
  child.stdin?.on("error", () => {});
  child.on("error", (error) => {
    if (child.pid === undefined) end(error);
  });
  child.on("exit", (code, signal) => end(new Error(`scutil ended with ${signal ?? code}`)));
  child.unref();

  return {
    async [Symbol.asyncDispose]() {
      stopping = true;
      child.stdin?.end();
      // Real time, as it is a real process that is waited for.
      const kill = setTimeout(() => child.kill("SIGKILL"), KILL_AFTER_MS);
      const late = setTimeout(() => exited.resolve(), STOP_DEADLINE_MS);
      child.kill("SIGTERM");
      await exited.promise;
      clearTimeout(kill);
      clearTimeout(late);
      child.stdout?.destroy();
    },
  };
}
