// The program of a script's thread: one QuickJS in WebAssembly, which has no function of the host but `send`. The thread
// serves one script, and is ended after it; to interrupt a script is to end its thread.
import { stripTypeScriptTypes } from "node:module";
import { parentPort, workerData } from "node:worker_threads";
import { type JSValueHandle, QuickJS } from "quickjs-wasi";
import { PRELUDE } from "./prelude.ts";
import {
  BOUNDS,
  type FromThread,
  type ScriptEnd,
  type ThreadData,
  type ToThread,
} from "./thread-messages.ts";
import { KeptBlocks } from "./tool-value.ts";

const { wasm } = workerData as ThreadData;
const port = parentPort;
const say = (message: FromThread): void => port?.postMessage(message);

const kept = new KeptBlocks();
let begun = 0;
/** The lengths of the arguments of calls without an answer, by call. */
const waiting = new Map<number, number>();
let isOver = false;
let logged = 0;
let logEnd = "";

function end(how: ScriptEnd): void {
  if (isOver) return;
  isOver = true;
  const left = Math.max(0, logged - BOUNDS.logCharacters - logEnd.length);
  say({ kind: "ended", log: { text: logEnd, left }, ...how });
}

function log(line: string): void {
  const text = `${line}\n`;
  const room = Math.max(0, BOUNDS.logCharacters - logged);
  logged += text.length;
  if (room > 0) say({ kind: "log", text: text.slice(0, room) });
  if (text.length > room) logEnd = (logEnd + text.slice(room)).slice(-BOUNDS.logCharacters);
}

/** Returns why the call is refused; null: it was sent. */
function call(id: string, name: string, argumentsJson: string): string | null {
  if (isOver) return "the script has ended";
  if (begun >= BOUNDS.calls) return `a script makes at most ${BOUNDS.calls} calls`;
  if (waiting.size >= BOUNDS.callsWaiting) return `a script has at most ${BOUNDS.callsWaiting} calls open`;
  if (name.length > BOUNDS.nameCharacters) return "no tool has such a long name";
  const all = [...waiting.values()].reduce((sum, one) => sum + one, argumentsJson.length);
  const isTooLarge = argumentsJson.length > BOUNDS.argumentsCharacters || all > BOUNDS.allArgumentsCharacters;
  if (isTooLarge) return "the arguments of this call, or of all open calls, are too large";
  const number = Number(id);
  if (!Number.isSafeInteger(number)) return "this is no call";
  begun += 1;
  waiting.set(number, argumentsJson.length);
  say({ kind: "call", call: number, name, argumentsJson });
  return null;
}

function returned(json: string): void {
  if (json.length > BOUNDS.returnedCharacters) {
    const text = `the script returned ${json.length} characters of JSON, of ${BOUNDS.returnedCharacters} at most: return less`;
    end({ outcome: "failed", text });
  } else end({ outcome: "returned", json, blocks: kept.blocksIn(json) });
}

const vm = await QuickJS.create({
  wasm,
  memoryLimit: BOUNDS.memoryBytes,
  maxStackSize: BOUNDS.stackBytes,
  // Whatever the engine would write to a terminal goes nowhere.
  wasi: () => ({ fd_write: () => 0 }),
});

/** An argument of `send` that is no text counts as an empty one: reading it could run the script's code. */
const read = (handle: JSValueHandle | undefined): string =>
  handle?.isString === true ? handle.toString() : "";

const send = vm.newFunction("send", (kind, ...rest) => {
  const [first = "", second = "", third = ""] = rest.map(read);
  switch (read(kind)) {
    case "call": {
      const refused = call(first, second, third);
      return refused === null ? vm.undefined : vm.newString(refused);
    }
    case "log":
      log(first);
      return vm.undefined;
    case "returned":
      returned(first);
      return vm.undefined;
    case "failed":
      end({ outcome: "failed", text: first.slice(0, BOUNDS.errorCharacters) });
      return vm.undefined;
    default:
      return vm.undefined;
  }
});
const entrances = vm.callFunction(vm.evalCode(PRELUDE, "prelude"), vm.undefined, send);
const [run, settle] = [entrances.getProp("run"), entrances.getProp("settle")];

/** Runs in the sandbox until it waits for a call, or is over. What it throws here ends the script. */
function enter(work: () => void): void {
  try {
    work();
    vm.executePendingJobs();
    if (!isOver && waiting.size === 0) {
      end({ outcome: "failed", text: "the script waits for a promise that nothing can settle any more" });
    }
  } catch (error) {
    end({ outcome: "failed", text: String(error).slice(0, BOUNDS.errorCharacters) });
  }
}

/** The script as a function. Its lines keep their numbers, and types become spaces. */
function compiled(source: string): JSValueHandle {
  const script = `(async () => {${source}\n})`;
  return vm.evalCode(stripTypeScriptTypes(script), "script.ts");
}

function settled(id: number, outcome: "value" | "error", given: string): void {
  waiting.delete(id);
  enter(() => {
    vm.callFunction(settle, vm.undefined, ...[String(id), outcome, given].map((text) => vm.newString(text)));
  });
}

port?.on("message", (message: ToThread) => {
  if (isOver) return;
  if (message.kind === "run") enter(() => void vm.callFunction(run, vm.undefined, compiled(message.source)));
  else if (message.kind === "refused") settled(message.call, "error", message.text);
  else {
    const value = kept.valueIn(message.json);
    settled(message.call, value.kind, value.kind === "value" ? value.json : value.text);
  }
  say({ kind: "idle" });
});

// So that the first script does not wait for the part of Node that strips types.
stripTypeScriptTypes("const warm: number = 1;");
say({ kind: "ready" });
