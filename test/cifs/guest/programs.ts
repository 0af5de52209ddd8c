// Programs that work on a mount while its routes change: processes of their own, that hold its files alone.
import { type ChildProcessByStdio, spawn } from "node:child_process";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { jsonObject, objectOf } from "../../../src/runtime/text/json-object.ts";
import { ANSWERS_MS, eventually } from "../../support/eventually.ts";
import { prefixFor, type Who } from "./run.ts";

const WORKER = path.join(import.meta.dirname, "worker.py");
const ENDS_MS = 90_000;

export type ProgramKind = "read" | "append" | "cwd" | "map" | "hold" | "lock" | "sqlite";

export interface ProgramReport {
  readonly count: number;
  readonly longestMs: number;
  readonly errors: readonly string[];
  /** Bytes that were not those of the server. */
  readonly wrong: readonly string[];
  /** What `fsync` or a commit acknowledged, by number. */
  readonly lines: readonly number[];
  /** What `msync` acknowledged: pages and their first bytes. */
  readonly pages: Readonly<Record<string, string>>;
}

export interface Program extends AsyncDisposable {
  readonly kind: ProgramKind;
  /** Steps done until now. */
  count(): number;
  /** Resolves when it has done that many more steps; rejects after `deadlineMs`. */
  goesOn(steps: number, deadlineMs: number): Promise<void>;
  /** One word to a program that waits for words; its answer: an error's text, or null. */
  ask(word: string): Promise<string | null>;
  /** It ends its step, and tells. */
  end(): Promise<ProgramReport>;
}

/** Started in `/`; resolves after its first step. */
export async function startProgram(
  kind: ProgramKind,
  args: readonly string[],
  as: Who = "root",
): Promise<Program> {
  const [file = "python3", ...rest] = [...prefixFor(as), "python3", "-u", WORKER, kind, ...args];
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(file, rest, {
    cwd: "/",
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.on("error", () => {});
  let count = 0;
  let stderr = "";
  let last = "";
  let report: ProgramReport | null = null;
  let exit: string | null = null;
  const answers: (string | null)[] = [];
  child.stderr.setEncoding("utf8").on("data", (piece: string) => {
    stderr = (stderr + piece).slice(-2000);
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    const words = jsonObject(line) ?? {};
    if (typeof words["count"] === "number") {
      count = words["count"];
      last = line;
    }
    if ("did" in words) answers.push(typeof words["error"] === "string" ? words["error"] : null);
    if ("report" in words) report = asReport(words["report"]);
  });
  const ended = new Promise<void>((resolve) => {
    child.once("close", (code, signal) => {
      exit = `${kind} ended by ${signal ?? code} after ${last} ${stderr}`;
      resolve();
    });
  });
  const isOver = (): boolean => report !== null || exit !== null;

  const program: Program = {
    kind,
    count: () => count,
    async goesOn(steps, deadlineMs) {
      const from = count;
      await eventually(() => count >= from + steps || isOver(), Math.max(deadlineMs, ANSWERS_MS), 20).catch(
        (error: unknown) => {
          throw new Error(`${kind} does not go on: ${last}`, { cause: error });
        },
      );
      if (isOver()) throw new Error(exit ?? `${kind} has ended: ${JSON.stringify(report).slice(0, 600)}`);
    },
    async ask(word) {
      const before = answers.length;
      child.stdin.write(`${word}\n`);
      await eventually(() => answers.length > before || isOver(), ENDS_MS, 20);
      if (answers.length === before) throw new Error(exit ?? `${kind} gave no answer to ${word}`);
      return answers[before] ?? null;
    },
    async end() {
      child.stdin.write("end\n");
      await eventually(isOver, ENDS_MS, 20);
      await ended;
      if (report === null) throw new Error(exit ?? `${kind} told nothing`);
      return report;
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      child.kill("SIGKILL");
    },
  };
  try {
    await program.goesOn(1, ENDS_MS);
    return program;
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
}

/** One line for a verdict. */
export function told(kind: ProgramKind, { count, longestMs, errors }: ProgramReport): string {
  const what = errors.length === 0 ? "no error" : `${errors.length} of ${[...new Set(errors)].join(", ")}`;
  return `${kind}: ${count} steps, longest ${longestMs} ms, ${what}`;
}

function asReport(value: unknown): ProgramReport {
  const words = objectOf(value);
  const number = (key: string): number => (typeof words[key] === "number" ? words[key] : 0);
  const list = (key: string): readonly unknown[] => (Array.isArray(words[key]) ? words[key] : []);
  return {
    count: number("count"),
    longestMs: number("longestMs"),
    errors: list("errors").map((error) => String(objectOf(error)["text"])),
    wrong: list("wrong").map(String),
    lines: list("lines").map(Number),
    pages: Object.fromEntries(
      Object.entries(objectOf(words["pages"])).map(([page, mark]) => [page, String(mark)]),
    ),
  };
}
