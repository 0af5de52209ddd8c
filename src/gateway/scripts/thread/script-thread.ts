// The program of a thread that runs scripts, one after another, each in its own QuickJS in WebAssembly, which has no
// function of the host but `send`. A script is interrupted by ending its thread.
import { stripTypeScriptTypes } from "node:module";
import { parentPort, workerData } from "node:worker_threads";
import { type JSValueHandle, QuickJS } from "quickjs-wasi";
import { MOST_VALUES } from "../../../runtime/json/large-json.ts";
import { PRELUDE } from "./prelude.ts";
import { SharedLog } from "./shared-log.ts";
import {
  BOUNDS,
  type FromThread,
  type ScriptEnd,
  type ThreadData,
  type ToThread,
} from "./thread-messages.ts";
import { hasTooMany, StoredBlocks } from "./tool-value.ts";

const { wasm } = workerData as ThreadData;
const port = parentPort;
const post = (message: FromThread): void => port?.postMessage(message);

/** Steps of a stack that are not the script's. */
const PRELUDE_FRAME = /\n *at (?:[^\n]*\(prelude:\d+:\d+\)|Promise \(native\))/g;

/** An argument of `send` that is not a text is read as an empty one: reading it could run the script's code. */
const read = (handle: JSValueHandle | undefined): string =>
  handle?.isString === true ? handle.toString() : "";

/** A script as models like to write it: within three backticks, which then are spaces. */
function withoutFence(source: string): string {
  const fence = /^\s*```[a-z]*\n([\s\S]*)\n```\s*$/.exec(source);
  return fence === null ? source : `\n${fence[1] ?? ""}`;
}

/** With the line of an error in the script, which is above the message in the stack, or below it. */
function faultText(error: unknown, lines: number): string {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  const line = /^[^\n:]*:(\d+)\n/.exec(stack)?.[1] ?? /script\.ts:(\d+)/.exec(stack)?.[1];
  const text = String(error).replace(/ \[ERR_\w+\]/, "");
  return line === undefined ? text : `${text} (line ${Math.min(Number(line), lines)})`;
}

/** One script and all that belongs to it. */
class Sandbox {
  readonly #vm: QuickJS;
  readonly #memory: WebAssembly.Memory;
  readonly #log: SharedLog;
  readonly #run: JSValueHandle;
  readonly #resolveCall: JSValueHandle;
  readonly #blocks = new StoredBlocks();
  /** The lengths of the arguments of calls without an answer, by call. */
  readonly #waiting = new Map<number, number>();
  #begun = 0;
  /** How many lines the script has. */
  #lines = 0;
  #isOver = false;

  static async create(log: SharedLog): Promise<Sandbox> {
    let memory = new WebAssembly.Memory({ initial: 0 });
    const vm = await QuickJS.create({
      wasm,
      memoryLimit: BOUNDS.memoryBytes,
      maxStackSize: BOUNDS.stackBytes,
      wasi: (given) => {
        memory = given;
        // Whatever the engine would write to a terminal goes nowhere.
        return { fd_write: () => 0 };
      },
    });
    return new Sandbox(vm, memory, log);
  }

  private constructor(vm: QuickJS, memory: WebAssembly.Memory, log: SharedLog) {
    this.#vm = vm;
    this.#memory = memory;
    this.#log = log;
    const send = vm.newFunction("send", (kind, first, second) => {
      const taken = this.#take(read(kind), read(first), read(second));
      return typeof taken === "string" ? vm.newString(taken) : vm.newNumber(taken);
    });
    const entrances = vm.callFunction(vm.evalCode(PRELUDE, "prelude"), vm.undefined, send);
    [this.#run, this.#resolveCall] = [entrances.getProp("run"), entrances.getProp("settle")];
  }

  /** Its lines keep their numbers, and types become spaces. */
  run(source: string): void {
    this.#lines = source.split("\n").length;
    this.#enter(() => {
      const script = stripTypeScriptTypes(`(async () => {${withoutFence(source)}\n})`);
      this.#vm.callFunction(this.#run, this.#vm.undefined, this.#vm.evalCode(script, "script.ts"));
    });
  }

  complete(message: Exclude<ToThread, { readonly kind: "run" }>): void {
    if (message.kind === "refused") this.#complete(message.call, "error", message.text);
    else {
      const value = this.#blocks.valueIn(message.json);
      this.#complete(message.call, value.kind, value.kind === "value" ? value.json : value.text);
    }
  }

  #complete(call: number, outcome: "value" | "error", given: string): void {
    this.#waiting.delete(call);
    this.#enter(() => {
      this.#vm.withScope(() => {
        const texts = [String(call), outcome, given].map((text) => this.#vm.newString(text));
        this.#vm.callFunction(this.#resolveCall, this.#vm.undefined, ...texts);
      });
    });
  }

  /** Runs in the sandbox until it waits for a call, or is over. What it throws here ends the script. */
  #enter(work: () => void): void {
    if (this.#isOver) return;
    try {
      work();
      this.#vm.executePendingJobs();
      if (this.#waiting.size === 0) {
        this.#end({
          outcome: "failed",
          text: "the script waits for a promise that nothing can settle",
        });
      }
    } catch (error) {
      this.#end({ outcome: "failed", text: faultText(error, this.#lines).slice(0, BOUNDS.errorCharacters) });
    }
  }

  /** What the script sends. Returns a call's number, or why it is refused. */
  #take(kind: string, first: string, second: string): number | string {
    if (kind === "call") return this.#call(first, second);
    if (kind === "log") this.#log.add(first);
    else if (kind === "returned") this.#returned(first);
    else if (kind === "failed") {
      const text = first.slice(0, BOUNDS.errorCharacters).replaceAll(PRELUDE_FRAME, "");
      this.#end({ outcome: "failed", text });
    }
    return 0;
  }

  #call(name: string, argumentsJson: string): number | string {
    if (this.#isOver) return "the script has ended";
    if (this.#begun >= BOUNDS.calls) return `a script makes at most ${BOUNDS.calls} calls`;
    if (this.#waiting.size >= BOUNDS.callsWaiting) {
      return `a script has at most ${BOUNDS.callsWaiting} calls open`;
    }
    if (name.length > BOUNDS.nameCharacters) return "no tool has such a long name";
    const all = [...this.#waiting.values()].reduce((sum, one) => sum + one, argumentsJson.length);
    const isTooLarge =
      argumentsJson.length > BOUNDS.argumentsCharacters || all > BOUNDS.allArgumentsCharacters;
    if (isTooLarge) return "the arguments of this call, or of all open calls, are too large";
    if (hasTooMany(argumentsJson)) return `the arguments have more than ${MOST_VALUES} values`;
    this.#begun += 1;
    this.#waiting.set(this.#begun, argumentsJson.length);
    post({ kind: "call", call: this.#begun, name, argumentsJson });
    return this.#begun;
  }

  #returned(json: string): void {
    if (json.length > BOUNDS.returnedCharacters) {
      const text = `the script returned ${json.length} characters of JSON, of ${BOUNDS.returnedCharacters} at most: return less`;
      this.#end({ outcome: "failed", text });
    } else if (hasTooMany(json)) {
      const text = `the script returned more than ${MOST_VALUES} values: return less`;
      this.#end({ outcome: "failed", text });
    } else {
      this.#end({ outcome: "returned", json, blocks: json === "" ? null : this.#blocks.blocksIn(json) });
    }
  }

  #end(how: ScriptEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    post({ kind: "ended", isLarge: this.#memory.buffer.byteLength > BOUNDS.keptBytes, ...how });
  }
}

let sandbox: Sandbox | null = null;

port?.on("message", async (message: ToThread) => {
  if (message.kind === "run") {
    sandbox = await Sandbox.create(new SharedLog(message.log));
    sandbox.run(message.source);
  } else sandbox?.complete(message);
  post({ kind: "idle" });
});

post({ kind: "ready" });
