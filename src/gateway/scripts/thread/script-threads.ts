// The threads of scripts: a fresh one for each script, and one that is started ahead, so that a script begins at once.
import { readFile } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { programBeside } from "../../../runtime/process/program-beside.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import type { FromThread, ThreadData, ToThread } from "./thread-messages.ts";

/** The thread that is started ahead is ended when no script has run for this long. */
const SPARE_MS = 60_000;
/** The host's side of a thread: results as they are parsed, and images that the script has handles of. */
const LIMITS = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 8, stackSizeMb: 4 };

export interface ThreadListener {
  readonly onMessage: (message: FromThread) => void;
  /** The thread has ended by itself, because it ran out of memory or could not be started. */
  readonly onCrash: (error: unknown) => void;
}

/** Ended by disposal, at whatever it computes. */
export interface ScriptThread extends Disposable {
  send(message: ToThread): void;
  listen(listener: ThreadListener): void;
}

export class ScriptThreads implements Disposable {
  readonly #clock: Clock;
  #wasm: Promise<WebAssembly.Module> | null = null;
  #spare: Promise<ScriptThread> | null = null;
  #idle: Timer | null = null;
  #isDisposed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Rejects if a thread cannot be started. */
  async take(): Promise<ScriptThread> {
    const spare = this.#spare;
    this.#spare = null;
    const thread = await (spare ?? this.#start());
    this.#keepSpare();
    return thread;
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#dropSpare();
  }

  #keepSpare(): void {
    if (this.#isDisposed) return;
    this.#idle?.[Symbol.dispose]();
    this.#idle = this.#clock.setTimer(SPARE_MS, () => this.#dropSpare());
    this.#spare ??= this.#start();
    this.#spare.catch(() => {
      this.#spare = null;
    });
  }

  #dropSpare(): void {
    this.#idle?.[Symbol.dispose]();
    void this.#spare?.then(
      (thread) => thread[Symbol.dispose](),
      () => {},
    );
    this.#spare = null;
  }

  async #start(): Promise<ScriptThread> {
    this.#wasm ??= engine();
    return startThread(await this.#wasm);
  }
}

/** The engine's code lies beside the built program; a checkout has it in its package. */
async function engine(): Promise<WebAssembly.Module> {
  const url = import.meta.url.endsWith(".ts")
    ? import.meta.resolve("quickjs-wasi/quickjs.wasm")
    : new URL("./quickjs.wasm", import.meta.url);
  return WebAssembly.compile(await readFile(new URL(url)));
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
