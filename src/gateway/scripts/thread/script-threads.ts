// The threads of scripts. A thread whose script has returned is reused, because a start takes longer than most scripts;
// each script gets a new engine in it. A thread that is interrupted, or whose script was large, is not reused.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { verifiedPath } from "../../../runtime/process/build-copy.ts";
import { programBeside } from "../../../runtime/process/program-beside.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import type { FromThread, ThreadData, ToThread } from "./thread-messages.ts";

/** Threads that wait for a script, as many as one principal uses at once, and how long. */
const MOST_IDLE = 4;
const IDLE_MS = 60_000;
/** The host's side of a thread: results as they are parsed, and images that the script has handles of. */
const LIMITS = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 8, stackSizeMb: 4 };

export interface ThreadListener {
  readonly onMessage: (message: FromThread) => void;
  /** The thread has ended because it ran out of memory or could not be started. */
  readonly onCrash: (error: unknown) => void;
}

/** Ended by disposal, at whatever it computes. */
export interface ScriptThread extends Disposable {
  readonly isOver: boolean;
  send(message: ToThread): void;
  /** In place of the listener before. */
  listen(listener: ThreadListener): void;
}

export class ScriptThreads implements Disposable {
  readonly #clock: Clock;
  readonly #spare: ScriptThread[] = [];
  #wasm: Promise<WebAssembly.Module> | null = null;
  #idle: Timer | null = null;
  #isDisposed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Rejects if a thread cannot be started. */
  async take(): Promise<ScriptThread> {
    for (let thread = this.#spare.pop(); thread !== undefined; thread = this.#spare.pop()) {
      if (!thread.isOver) return thread;
    }
    this.#wasm ??= engine();
    return startThread(await this.#wasm);
  }

  /** For the next script. */
  keep(thread: ScriptThread): void {
    if (this.#isDisposed || this.#spare.length >= MOST_IDLE) {
      thread[Symbol.dispose]();
      return;
    }
    this.#spare.push(thread);
    this.#idle?.[Symbol.dispose]();
    this.#idle = this.#clock.setTimer(IDLE_MS, () => this.#endIdle());
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#idle?.[Symbol.dispose]();
    this.#endIdle();
  }

  #endIdle(): void {
    for (const thread of this.#spare.splice(0)) thread[Symbol.dispose]();
  }
}

/** The engine's code lies beside the built program; a checkout has it in its package. */
async function engine(): Promise<WebAssembly.Module> {
  const url = import.meta.url.endsWith(".ts")
    ? import.meta.resolve("quickjs-wasi/quickjs.wasm")
    : new URL("./quickjs.wasm", import.meta.url);
  return WebAssembly.compile(await readFile(verifiedPath(fileURLToPath(url))));
}

/** Resolves when the thread can run a script. */
async function startThread(wasm: WebAssembly.Module): Promise<ScriptThread> {
  const data: ThreadData = { wasm };
  const worker = new Worker(programBeside(import.meta.url, "script-thread"), {
    name: "script",
    workerData: data,
    env: {},
    argv: [],
    execArgv: ["--no-warnings"],
    stdin: false,
    stdout: true,
    stderr: true,
    resourceLimits: LIMITS,
    trackUnmanagedFds: false,
  });
  // A thread that waits must not keep the process alive.
  worker.unref();
  const ready = Promise.withResolvers<void>();
  let listener: ThreadListener | null = null;
  let isOver = false;
  const crashed = (error: unknown): void => {
    if (isOver) return;
    isOver = true;
    ready.reject(error);
    listener?.onCrash(error);
  };
  worker.on("message", (message: FromThread) => {
    if (message.kind === "ready") ready.resolve();
    else if (!isOver) listener?.onMessage(message);
  });
  worker.on("error", crashed);
  worker.on("exit", (code) => crashed(new Error(`the script's thread ended with code ${code}`)));
  await ready.promise;
  return {
    get isOver() {
      return isOver;
    },
    send: (message) => worker.postMessage(message),
    listen(given) {
      listener = given;
    },
    [Symbol.dispose]() {
      isOver = true;
      void worker.terminate();
    },
  };
}
