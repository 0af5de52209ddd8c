// The open work of the lab: what is on the share before, the programs that use it, and what the server must have after.
import assert from "node:assert/strict";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { acknowledged, failures, type Program, startProgram } from "./load.ts";
import { BLOCK_BYTES, writeKnownFile } from "./programs/known-bytes.ts";
import { runTool } from "./programs/run-tool.ts";
import type { WorkLine } from "./programs/work-log.ts";
import type { Scene } from "./scene.ts";

const MARK = "large";
const ROWS_BEFORE = 2000;
const SAVED_LINES = 500;
const COPIERS = ["rsync", "cp", "tar"] as const;
const LINES_BEFORE = "what was there before\n".repeat(5000);

export interface WorkDone {
  readonly name: string;
  readonly lines: readonly WorkLine[];
  readonly failed: readonly WorkLine[];
}

/** Everything that is worked on is on the server before the share is mounted. */
export async function prepareWork(scene: Scene, share: string, megabytes: number): Promise<void> {
  const at = (...parts: readonly string[]): string => scene.exported(share, ...parts);
  await writeKnownFile(at("large.bin"), (megabytes * 1024 * 1024) / BLOCK_BYTES, MARK);
  await writeFile(at("lines.txt"), LINES_BEFORE);
  for (const name of ["wal", "journal"]) {
    await mkdir(at(name));
    makeDatabase(at(name, "rows.db"));
  }
  for (const name of ["cwd", "saved", ...COPIERS]) await mkdir(at(name));
  for (const name of ["document.txt", "vim.txt"])
    await writeFile(at("saved", name), "before\n".repeat(SAVED_LINES));
  await runTool("git", ["init", "--quiet", at("repository")], "/");
  await writeFile(at("repository", "notes.txt"), "before\n");
  await gitIn(at("repository"), "add", ".");
  await gitIn(at("repository"), "commit", "--quiet", "-m", "before");
}

function makeDatabase(file: string): void {
  const database = new DatabaseSync(file);
  database.exec("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT NOT NULL); BEGIN");
  const insert = database.prepare("INSERT INTO rows (id, text) VALUES (?, ?)");
  for (let id = 1; id <= ROWS_BEFORE; id++) insert.run(id, `row ${id}`);
  database.exec("COMMIT");
  database.close();
}

function gitIn(repository: string, ...args: readonly string[]): Promise<string> {
  const who = ["-c", "user.name=Lab", "-c", "user.email=lab@example.invalid"];
  return runTool("git", [...who, ...args], repository);
}

export async function startWork(scene: Scene, share: string) {
  const logs = path.join(scene.folder, "logs");
  const at = (...parts: readonly string[]): string => scene.at(share, ...parts);
  const programs: Program[] = [];
  const start = async (name: string, file: string, ...args: readonly string[]): Promise<void> => {
    const program = await startProgram(logs, name, file, args);
    programs.push(program);
    scene.defer(() => program[Symbol.asyncDispose]());
  };
  await start("reader", "read-large-file.ts", at("large.bin"), MARK);
  await start("appender", "append-lines.ts", at("lines.txt"));
  await start("wal", "sqlite-commits.ts", at("wal", "rows.db"), "wal");
  await start("journal", "sqlite-commits.ts", at("journal", "rows.db"), "delete");
  await start("cwd", "stay-in-folder.ts", at("cwd"));
  await start("editor", "save-document.ts", at("saved", "document.txt"));
  await start("vim", "vim-saves.ts", at("saved", "vim.txt"));
  for (const how of COPIERS) {
    await mkdir(path.join(scene.folder, how));
    await start(how, "copy-rounds.ts", path.join(scene.folder, how), at(how), how);
  }
  await start("git", "git-commits.ts", at("repository"));
  return {
    /** Ends all programs and tells what they did. */
    stop: () =>
      Promise.all(
        programs.map(async (program): Promise<WorkDone> => {
          const lines = await program.stop();
          return { name: program.name, lines, failed: failures(lines) };
        }),
      ),
  };
}

/** Every byte that was acknowledged to a program is on the server. */
export async function assertOnServer(scene: Scene, share: string, done: readonly WorkDone[]): Promise<void> {
  const at = (...parts: readonly string[]): string => scene.exported(share, ...parts);
  const linesOf = (name: string): readonly WorkLine[] => {
    const found = done.find((each) => each.name === name);
    assert.ok(found !== undefined);
    return found.lines;
  };
  const lastOf = (name: string, operation: string): number =>
    acknowledged(linesOf(name), operation).at(-1) ?? 0;
  const assertSaved = async (name: string, last: number): Promise<void> => {
    const text = await readFile(at("saved", name), "utf8");
    const expected = `version ${last}\n`.repeat(SAVED_LINES);
    assert.equal(text, expected, `not version ${last}, but ${text.slice(0, 20)}`);
  };
  const checks: Readonly<Record<string, () => Promise<void>>> = {
    async appender() {
      const text = await readFile(at("lines.txt"), "utf8");
      assert.ok(text.startsWith(LINES_BEFORE), "what was there before is not there");
      const numbers = text
        .slice(LINES_BEFORE.length)
        .split("\n")
        .slice(0, -1)
        .map((line) => Number(line.replace("line ", "")));
      assert.deepEqual(numbers, acknowledged(linesOf("appender"), "append"));
    },
    wal: () => assertRows(scene, at("wal"), acknowledged(linesOf("wal"), "commit")),
    journal: () => assertRows(scene, at("journal"), acknowledged(linesOf("journal"), "commit")),
    editor: () => assertSaved("document.txt", lastOf("editor", "save")),
    vim: () => assertSaved("vim.txt", lastOf("vim", "save")),
    ...Object.fromEntries(
      COPIERS.map((how) => [how, () => assertCopied(path.join(scene.folder, how), at(how))]),
    ),
    async git() {
      const repository = at("repository");
      await gitIn(repository, "fsck", "--full", "--strict");
      const subjects = (await gitIn(repository, "log", "--format=%s")).trim().split("\n");
      const missing = acknowledged(linesOf("git"), "commit").filter(
        (commit) => !subjects.includes(`commit ${commit}`),
      );
      assert.deepEqual(missing, [], "commits are not on the server");
    },
  };
  const results = await Promise.allSettled(
    Object.entries(checks).map(async ([name, check]) => {
      try {
        await check();
      } catch (error) {
        throw new Error(`${name}: ${error instanceof Error ? error.message : error}`, { cause: error });
      }
    }),
  );
  const wrong = results.flatMap((result) => (result.status === "rejected" ? [String(result.reason)] : []));
  assert.deepEqual(wrong, [], "the server lacks what was acknowledged");
  // Its names are git's own, not plain ones.
  await rm(at("repository"), { recursive: true });
}

async function assertCopied(from: string, to: string): Promise<void> {
  const names = (await readdir(from, { recursive: true })).toSorted();
  const there = await readdir(to, { recursive: true });
  assert.deepEqual(there.toSorted(), names);
  for (const name of names.filter((each) => each.endsWith(".txt"))) {
    const [sent, kept] = await Promise.all([readFile(path.join(to, name)), readFile(path.join(from, name))]);
    assert.ok(sent.equals(kept), `${name} is another on the server`);
  }
}

async function assertRows(scene: Scene, folder: string, committed: readonly number[]): Promise<void> {
  // A copy: SQLite may write where it reads.
  const copy = await mkdtemp(path.join(scene.folder, "database-"));
  for (const name of await readdir(folder)) await copyFile(path.join(folder, name), path.join(copy, name));
  const database = new DatabaseSync(path.join(copy, "rows.db"));
  try {
    assert.equal(database.prepare("PRAGMA integrity_check").get()?.["integrity_check"], "ok");
    const rows = database.prepare("SELECT id, text FROM rows").all();
    const ids = new Set(rows.flatMap(({ id, text }) => (text === `row ${id}` ? [Number(id)] : [])));
    assert.ok(ids.size >= ROWS_BEFORE);
    assert.deepEqual(
      committed.filter((id) => !ids.has(id)),
      [],
      "committed rows are missing",
    );
  } finally {
    database.close();
    await rm(copy, { recursive: true });
  }
}
