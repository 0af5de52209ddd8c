// The one load of system stories: a steady pace of calls that are numbered. By default they go to the tool `note` of the
// light server, which adds each number to a file, so that what was lost and what was done twice is known afterwards.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { eventually } from "../support/eventually.ts";
import type { Given, LoadSession } from "./sessions.ts";

const TICK_MS = 10;
const AT_ONCE = 6;

export interface Call {
  readonly session: string;
  readonly tool: string;
  readonly text: string;
  readonly fromMs: number;
}

interface LoadOptions {
  readonly sessions: readonly Pick<LoadSession, "name" | "call">[];
  /** Of all sessions together. */
  readonly perSecond: number;
  /** Calls of one session at once: 6. A gateway that stands still for a while is not met with a flood. */
  readonly atOnce?: number;
  /** Where the tool `note` writes; null: nobody counts what is done. */
  readonly file: string | null;
  /** By session: the names of what it may call. */
  readonly tools: ReadonlyMap<string, readonly string[]>;
  /** What a call is given, and what answers it; absent: those of `note`. */
  readonly requestOf?: (text: string) => { readonly given: Given; readonly answer: string };
  readonly random: () => number;
  /** Whether a call may have failed with these words: then it is `broken`, and not lost. */
  readonly forgives?: (words: string, call: Call, endMs: number) => boolean;
}

export interface LoadEnd {
  readonly calls: number;
  /** Failed, and forgiven. */
  readonly broken: number;
  /** Failed, or answered by another text than its own. */
  readonly lost: readonly string[];
  /** Answered, and not in the file. */
  readonly undone: readonly string[];
  readonly twice: readonly string[];
  readonly perSecond: number;
  readonly slowestMs: number;
}

export interface Load extends AsyncDisposable {
  /** From now on these may be called; resolves when no other one is in flight. */
  allow(tools: ReadonlyMap<string, readonly string[]>): Promise<void>;
  /** Calls that have not ended. */
  readonly inFlight: ReadonlySet<Call>;
  /** When a session's last good answer came, to a call that had begun after `sinceMs`; null: none has come. */
  answeredSince(session: string, sinceMs: number): number | null;
  /** The longest of the calls that were under way between the two, ms. */
  longestBetween(fromMs: number, toMs: number): number;
  end(): Promise<LoadEnd>;
}

export function startLoad(options: LoadOptions): Load {
  const { sessions, perSecond, file, random, atOnce = AT_ONCE, forgives = () => false } = options;
  const { requestOf = (text) => ({ given: { file: file ?? "", text }, answer: "noted" }) } = options;
  let { tools } = options;
  const startedAt = performance.now();
  const inFlight = new Set<Call>();
  const counts = new Map(sessions.map(({ name }) => [name, 0]));
  const ended: { readonly fromMs: number; readonly toMs: number }[] = [];
  const lastGood = new Map<string, { readonly fromMs: number; readonly toMs: number }>();
  const answered: string[] = [];
  const lost: string[] = [];
  let [calls, broken, going] = [0, 0, true];

  const make = async (session: (typeof sessions)[number], tool: string): Promise<void> => {
    const { name } = session;
    const text = `${name}-${++calls}`;
    const call: Call = { session: name, tool, text, fromMs: performance.now() };
    const request = requestOf(text);
    inFlight.add(call);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    let words: string | null = null;
    try {
      const answer = await session.call(tool, request.given);
      if (answer !== request.answer) words = `it was answered ${answer.slice(0, 200)}`;
    } catch (error) {
      words = wordsOf(error);
    }
    const toMs = performance.now();
    inFlight.delete(call);
    counts.set(name, (counts.get(name) ?? 0) - 1);
    ended.push({ fromMs: call.fromMs, toMs });
    if (words === null) {
      answered.push(text);
      lastGood.set(name, { fromMs: call.fromMs, toMs });
    } else if (forgives(words, call, toMs)) broken++;
    else lost.push(`${text} (${tool}) after ${Math.round(toMs - call.fromMs)} ms: ${words}`);
  };
  const running: Promise<unknown>[] = [];
  const keepPace = async (): Promise<void> => {
    let owed = 0;
    let lookedAt = startedAt;
    let turn = 0;
    while (going) {
      await pause(TICK_MS);
      const now = performance.now();
      // What a busy machine kept from being sent in time is not sent all at once.
      owed = Math.min(owed + ((now - lookedAt) * perSecond) / 1_000, sessions.length);
      lookedAt = now;
      for (let tries = 0; owed >= 1 && tries < sessions.length; tries++) {
        const session = sessions[turn++ % sessions.length];
        if (session === undefined || (counts.get(session.name) ?? 0) >= atOnce) continue;
        const names = tools.get(session.name) ?? [];
        const tool = names[Math.floor(random() * names.length)];
        if (tool === undefined) continue;
        owed--;
        void make(session, tool);
      }
    }
  };
  running.push(keepPace());
  let end: Promise<LoadEnd> | null = null;
  const finish = async (): Promise<LoadEnd> => {
    going = false;
    await Promise.all(running);
    await eventually(() => inFlight.size === 0, 90_000);
    const seconds = (performance.now() - startedAt) / 1_000;
    const done = file === null ? null : await countsIn(file);
    return {
      calls,
      broken,
      lost,
      undone: done === null ? [] : answered.filter((text) => !done.has(text)),
      twice: done === null ? [] : moreThanOnce(done),
      perSecond: calls / seconds,
      slowestMs: ended.reduce((most, { fromMs, toMs }) => Math.max(most, toMs - fromMs), 0),
    };
  };
  const isGone = ({ session, tool }: Call): boolean => tools.get(session)?.includes(tool) !== true;
  return {
    inFlight,
    async allow(next) {
      tools = next;
      await eventually(() => ![...inFlight].some(isGone), 60_000, TICK_MS);
    },
    answeredSince(session, sinceMs) {
      const good = lastGood.get(session);
      return good !== undefined && good.fromMs >= sinceMs ? good.toMs : null;
    },
    longestBetween(fromMs, toMs) {
      const under = ended.filter((each) => each.toMs >= fromMs && each.fromMs <= toMs);
      return under.reduce((most, each) => Math.max(most, each.toMs - each.fromMs), 0);
    },
    end() {
      end ??= finish();
      return end;
    },
    async [Symbol.asyncDispose]() {
      going = false;
      await Promise.all(running);
    },
  };
}

/** No call was lost, left undone or made twice; the first of those that were are told. */
export function requireAllDone(
  end: Pick<LoadEnd, "lost" | "undone" | "twice">,
  message = "calls were lost",
): void {
  const [lost, undone, twice] = [end.lost, end.undone, end.twice].map((each) => each.slice(0, 20));
  assert.deepEqual({ lost, undone, twice }, { lost: [], undone: [], twice: [] }, message);
}

/** How often each line stands in a file of notes. */
export async function countsIn(file: string): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const line of (await readFile(file, "utf8")).trimEnd().split("\n"))
    counts.set(line, (counts.get(line) ?? 0) + 1);
  return counts;
}

export function moreThanOnce(counts: ReadonlyMap<string, number>): string[] {
  return [...counts].filter(([, times]) => times > 1).map(([text]) => text);
}

export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${wordsOf(error.cause)}`;
}
