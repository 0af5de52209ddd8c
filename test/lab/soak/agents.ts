// The clients of a soak: agents in processes of their own that come, call and leave, and what their logs tell.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { eventually } from "../../support/eventually.ts";
import { failures, type Program, startProgram } from "../load.ts";
import { monotonicMs, type WorkLine } from "../programs/work-log.ts";
import type { Scene } from "../scene.ts";
import { executedFile } from "./config-file.ts";
import type { Ledger } from "./promises.ts";

const MOUNTAINEER = path.resolve(import.meta.dirname, "../../../bin/mountaineer");
/**
 * The backends' own deadline is 10 s; a client of `mountaineer mcp` waits 30 s for a daemon that is away, and both
 * may be hung for some seconds before.
 */
const LATE_MS = 50_000;
const WORKS_AGAIN_MS = 60_000;
const CALLS = ["count", "read"] as const;

export type Door = "http" | "stdio";

export interface Agents {
  readonly running: readonly Program[];
  come(door: Door): Promise<void>;
  /** One of those that came last leaves, in order or by SIGKILL; the first ones stay. */
  leave(how: "leaves" | "is killed", lasting: number): Promise<void>;
  /** Resolves once each has had a good answer of each kind to a call that began after now. */
  untilServed(): Promise<void>;
  /** No call that begins between the two may fail. */
  calm(fromMs: number, toMs: number): void;
  /** All leave; what they saw goes into the ledger. Gives lines of counts. */
  finish(ledger: Ledger): Promise<readonly string[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

interface Kept {
  readonly name: string;
  readonly lines: readonly WorkLine[];
  /** Not asked to leave: its last calls are not in its log. */
  readonly killed: boolean;
}

export function createAgents(
  scene: Scene,
  { url, token, file }: { readonly url: string; readonly token: string; readonly file: string },
): Agents {
  const running: Program[] = [];
  const gone: Kept[] = [];
  const calms: (readonly [number, number])[] = [];
  let came = 0;
  const end = async (agent: Program, killed: boolean): Promise<void> => {
    running.splice(running.indexOf(agent), 1);
    if (killed) await agent.kill9(WORKS_AGAIN_MS);
    const lines = killed ? await agent.lines() : await agent.stop();
    gone.push({ name: agent.name, lines, killed });
  };
  return {
    running,
    async come(door) {
      const name = `${door}${++came}`;
      const place = {
        enter: scene.rig.enter,
        env: { SOAK_TOKEN: token, MOUNTAINEER_HOME: scene.home.home },
      };
      const args = [name, file, door, door === "http" ? url : MOUNTAINEER];
      running.push(await startProgram(path.join(scene.folder, "agents"), name, "agent.ts", args, place));
    },
    async leave(how, lasting) {
      const last = running.at(-1);
      if (last !== undefined && running.length > lasting) await end(last, how === "is killed");
    },
    async untilServed() {
      const sinceMs = monotonicMs();
      for (const agent of running) {
        for (const operation of CALLS) {
          try {
            await eventually(
              async () =>
                (await agent.lines()).some((line) => isGood(line, operation) && line.fromMs > sinceMs),
              WORKS_AGAIN_MS,
              250,
            );
          } catch {
            const last = (await agent.lines()).filter((line) => line.operation === operation).at(-1);
            throw new Error(`${agent.name} has no answer to ${operation}: ${last?.error ?? "none at all"}`);
          }
        }
      }
    },
    calm: (fromMs, toMs) => void calms.push([fromMs, toMs]),
    async finish(ledger) {
      for (const agent of [...running]) {
        try {
          await end(agent, false);
        } catch (error) {
          ledger.broken("answered", `${agent.name} did not leave: ${error}`);
          gone.push({ name: agent.name, lines: await agent.lines(), killed: true });
        }
      }
      const executed = (await readFile(executedFile(scene.folder), "utf8")).split("\n").filter(Boolean);
      return judge(gone, { calms, executed, ledger });
    },
    async [Symbol.asyncDispose]() {
      for (const agent of running) await agent[Symbol.asyncDispose]();
    },
  };
}

function isGood(line: WorkLine, operation: string): boolean {
  return line.operation === operation && line.error === null;
}

interface Judging {
  readonly calms: readonly (readonly [number, number])[];
  readonly executed: readonly string[];
  readonly ledger: Ledger;
}

function judge(agents: readonly Kept[], { calms, executed, ledger }: Judging): readonly string[] {
  const times = new Map<string, number>();
  for (const id of executed) times.set(id, (times.get(id) ?? 0) + 1);
  ledger.checked("once", executed.length);
  for (const [id, count] of times) if (count > 1) ledger.broken("once", `${id} was executed ${count} times`);
  const all = agents.flatMap(({ name, lines }) => lines.map((line) => ({ name, line })));
  const calls = all.filter(({ line }) => CALLS.some((each) => each === line.operation));
  for (const { name, line } of calls) {
    const what = `${name}.${line.value} (${line.operation})`;
    const ms = Math.round(line.toMs - line.fromMs);
    ledger.expect("answered", ms <= LATE_MS, () => `${what} ended after ${ms} ms: ${line.error ?? "well"}`);
    if (isGood(line, "count"))
      ledger.expect(
        "once",
        times.has(`${name}.${line.value}`),
        () => `${what} was answered and not executed`,
      );
    if (line.error?.includes("WRONG ANSWER")) ledger.broken("once", `${what}: ${line.error}`);
    if (calms.some(([fromMs, toMs]) => line.fromMs >= fromMs && line.fromMs <= toMs))
      ledger.expect("calm", line.error === null, () => `${what} failed: ${line.error}`);
  }
  const sessions = all.filter(({ line }) => isGood(line, "connect"));
  const lost = all.filter(({ line }) => line.operation === "lost");
  ledger.checked("sessions", sessions.length);
  for (const { name, line } of lost) {
    ledger.broken("sessions", `of ${name.replace(/\d+$/, "")}: ${line.error}`);
  }
  const failed = failures(calls.map(({ line }) => line));
  const longest = calls.reduce((most, { line }) => Math.max(most, line.toMs - line.fromMs), 0);
  return [
    `${agents.length} clients, ${sessions.length} sessions (${lost.length} lost), ${calls.length} calls: ${failed.length} ended with an error, the longest took ${(longest / 1000).toFixed(1)} s, ${executed.length} were executed`,
    ...commonest(failed.map(({ error }) => wordsOf(error ?? ""))).map((line) => `  ${line}`),
  ];
}

/** Without what differs from one to the next. */
function wordsOf(error: string): string {
  return error.replace(/\d+/g, "N").replace(/\s+/g, " ").slice(0, 160);
}

const SHOWN = 15;

function commonest(texts: readonly string[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .slice(0, SHOWN)
    .map(([text, count]) => `${count} × ${text}`);
}
