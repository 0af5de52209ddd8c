// Checks the patterns in the schemas of a server's tools, as a client's compiler does: by making them. V8 takes up to 25 ms for
// 1,000 characters, and lists have any number of them, so a thread does it, for a bounded time.
import { Worker } from "node:worker_threads";
import type { Clock } from "../../runtime/time/clock.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";

/** In characters. */
export const LONGEST_PATTERN = 1_000;
/** For all patterns of one list. */
const LIST_MS = 100;
/** The daemon itself makes a few milliseconds' work: this many characters, without classes of Unicode. */
const MOST_CHARACTERS = 32 * 1024;
const UNICODE_CLASS = /\\p/i;
/** No claim of speed: it ends a thread that hangs. */
const THREAD_MS = 10_000;
const LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4, stackSizeMb: 2 };

/** The thread's program: gives the patterns that are wrong, and how many it has made within its time. */
const PROGRAM = `
const { parentPort, workerData: { patterns, ms } } = require("node:worker_threads");
const endMs = performance.now() + ms;
const wrong = [];
let made = 0;
for (; made < patterns.length && performance.now() < endMs; made += 1) {
  try { new RegExp(patterns[made], "u"); } catch { wrong.push(patterns[made]); }
}
parentPort.postMessage({ wrong, made, ms: Math.max(0, endMs - performance.now()) });
`;

interface Outcome {
  readonly wrong: readonly string[];
  readonly made: number;
  /** The remaining time. */
  readonly ms: number;
}

export interface PatternVerdicts {
  /** null: no thread has made the patterns. */
  readonly refused: ReadonlySet<string> | null;
  /** Some patterns were refused because the time was over. */
  readonly isLate: boolean;
}

const NO_VERDICTS: PatternVerdicts = { refused: null, isLate: false };
const verdicts = new WeakMap<JsonObject, PatternVerdicts>();
/** One thread at a time. */
let lastThread: Promise<unknown> = Promise.resolve();

/** `tool`: as its server lists it. */
export function verdictsOf(tool: JsonObject): PatternVerdicts {
  return verdicts.get(tool) ?? NO_VERDICTS;
}

export function isSoundPattern(value: unknown, { refused }: PatternVerdicts): boolean {
  if (typeof value !== "string" || value.length > LONGEST_PATTERN) return false;
  if (refused !== null) return !refused.has(value);
  try {
    return new RegExp(value, "u") instanceof RegExp;
  } catch {
    return false;
  }
}

/** Checks the pages of one list of tools, so that `verdictsOf` knows them. null: nothing is to be waited for. Never rejects. */
export function createPatternCheck(clock: Clock) {
  let remainingMs = LIST_MS;
  return (tools: readonly JsonObject[]): Promise<void> | null => {
    const all = new Set<string>();
    for (const { inputSchema, outputSchema } of tools) addPatterns([inputSchema, outputSchema], all);
    const patterns = [...all].filter(({ length }) => length <= LONGEST_PATTERN);
    const characters = patterns.reduce((sum, { length }) => sum + length, 0);
    if (characters <= MOST_CHARACTERS && !patterns.some((one) => UNICODE_CLASS.test(one))) return null;
    const running = lastThread.then(() => makeAll(patterns, remainingMs, clock));
    lastThread = running;
    return running.then(({ wrong, made, ms }) => {
      remainingMs = ms;
      const known = { refused: new Set([...wrong, ...patterns.slice(made)]), isLate: made < patterns.length };
      for (const tool of tools) verdicts.set(tool, known);
    });
  };
}

function addPatterns(value: unknown, all: Set<string>): void {
  if (typeof value !== "object" || value === null) return;
  if (isJsonObject(value)) {
    const { pattern, patternProperties } = value;
    if (typeof pattern === "string") all.add(pattern);
    if (isJsonObject(patternProperties)) for (const key of Object.keys(patternProperties)) all.add(key);
  }
  for (const part of Object.values(value)) addPatterns(part, all);
}

function makeAll(patterns: readonly string[], ms: number, clock: Clock): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const none = (): void => resolve({ wrong: [], made: 0, ms: 0 });
  // A text, so that it needs no file.
  const worker = new Worker(PROGRAM, {
    eval: true,
    name: "patterns",
    workerData: { patterns, ms },
    env: {},
    execArgv: ["--no-warnings"],
    resourceLimits: LIMITS,
  });
  worker.once("message", resolve).once("error", none).once("exit", none);
  const late = clock.setTimer(THREAD_MS, none);
  return promise.finally(() => {
    late[Symbol.dispose]();
    return worker.terminate();
  });
}
