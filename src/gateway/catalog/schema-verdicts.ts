// Judges the schemas of a server's tools, and remembers the verdicts. Much at once is judged in a thread, which gets bytes: one
// page after the other, for a bounded time each.
import { Worker } from "node:worker_threads";
import { programBeside } from "../../runtime/process/program-beside.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import { turnGiver } from "../../runtime/time/turns.ts";
import type { JsonObject } from "../json-rpc.ts";
import { copyOf } from "./copies.ts";
import { judgeTool, type SchemaVerdict, SOUND, soundTool } from "./schema-faults.ts";

/** More JSON is judged in the thread, in characters: the daemon itself takes 50 ms for that. */
const MOST_HERE = 256 * 1024;
const THREAD_MS = 10_000;
const IDLE_MS = 30_000;
const LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 };

/** The faulty tools, by their index. */
export type FaultyTools = readonly (readonly [number, SchemaVerdict])[];

const verdicts = new WeakMap<JsonObject, SchemaVerdict>();

/** `tool`: as its server lists it. */
export function verdictOf(tool: JsonObject): SchemaVerdict {
  const known = verdicts.get(tool) ?? judgeTool(tool);
  verdicts.set(tool, known);
  return known;
}

/** `tool`, whose texts may have been cleaned, as clients get it. `listed`: as its server lists it. */
export function withSoundSchemas(tool: JsonObject, listed = tool): JsonObject {
  const verdict = verdictOf(listed);
  return verdict === SOUND ? tool : copyOf(tool, "schemas", () => soundTool(tool, verdict));
}

export function faultyTools(tools: readonly JsonObject[]): FaultyTools {
  return [...tools.entries()].flatMap(([at, tool]) => {
    const verdict = verdictOf(tool);
    return verdict === SOUND ? [] : [[at, verdict] as const];
  });
}

/** Remembers the verdicts of all these tools. */
export function remember(tools: readonly JsonObject[], faulty: FaultyTools): void {
  for (const tool of tools) verdicts.set(tool, SOUND);
  for (const [at, verdict] of faulty) {
    const tool = tools[at];
    if (tool !== undefined) verdicts.set(tool, verdict);
  }
}

let thread: Worker | null = null;
let idle: Timer | null = null;
/** One page at a time. */
let last: Promise<unknown> = Promise.resolve();

/**
 * Judges the tools of a page, of which `texts` are the JSON. Returns null if `verdictOf` may judge them here; else resolves with
 * whether the thread has judged them in time.
 */
export function judgePage(
  tools: readonly JsonObject[],
  texts: readonly string[],
  clock: Clock,
): Promise<boolean> | null {
  const characters = texts.reduce((sum, { length }) => sum + length, 0);
  // V8 makes classes of Unicode slowly.
  if (characters < MOST_HERE && !texts.some((text) => /\\\\p/i.test(text))) return null;
  const running = last.then(() => judgeThere(texts, clock));
  last = running;
  return running.then((faulty) => {
    if (faulty !== null) remember(tools, faulty);
    return faulty !== null;
  });
}

/** Resolves with null if the time is over, or the thread has failed. */
async function judgeThere(texts: readonly string[], clock: Clock): Promise<FaultyTools | null> {
  const tools: Buffer[] = [];
  const othersFirst = turnGiver(clock);
  for (const text of texts) {
    tools.push(Buffer.from(text));
    const turn = othersFirst();
    if (turn !== null) await turn;
  }
  idle?.[Symbol.dispose]();
  thread ??= startThread();
  const worker = thread;
  const { promise, resolve } = Promise.withResolvers<FaultyTools | null>();
  const fail = (): void => resolve(null);
  const late = clock.setTimer(THREAD_MS, fail);
  worker.on("message", resolve).on("exit", fail);
  worker.postMessage(tools);
  const faulty = await promise;
  late[Symbol.dispose]();
  worker.off("message", resolve).off("exit", fail);
  if (faulty === null) end();
  else idle = clock.setTimer(IDLE_MS, end);
  return faulty;
}

function end(): void {
  void thread?.terminate();
  thread = null;
}

function startThread(): Worker {
  const worker = new Worker(programBeside(import.meta.url, "schema-thread"), {
    name: "schemas",
    env: {},
    argv: [],
    execArgv: ["--no-warnings"],
    resourceLimits: LIMITS,
  });
  worker.unref();
  // An error ends the thread.
  worker.on("error", () => {});
  return worker;
}
