// Whether a file of the loss table is on the server as its writer was told.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** What a writer told: "try" before a call, "ok" after it. */
export type Told = Readonly<Record<string, unknown>>;

const BASE_BYTES = 300_123;

/** What is on the server before anything is changed. */
export function baseOf(name: string): Buffer {
  return contentOf(`base of ${name}`, BASE_BYTES);
}

/** As writer.py makes it: never zero, so that a hole shows. */
function contentOf(name: string, size: number): Buffer {
  const pieces: Buffer[] = [];
  for (let length = 0; length < size; length += 64)
    pieces.push(createHash("sha512").update(`${name} ${length}`).digest());
  return Buffer.from(
    Buffer.concat(pieces)
      .subarray(0, size)
      .map((byte) => byte || 1),
  );
}

/** What was tried last may be done in part. null: it is as told. */
export async function fileProblem(
  path: string,
  base: Buffer,
  lines: readonly Told[],
): Promise<string | null> {
  let expected = base;
  let open: Told | null = null;
  for (const line of lines) {
    if (line["what"] === "try") open = line;
    if (line["what"] === "ok" && open !== null) {
      expected = applied(expected, open);
      open = null;
    }
  }
  return missOf(await readFile(path), expected, open);
}

function applied(before: Buffer, change: Told): Buffer {
  const { truncate, at, size, name } = change;
  if (typeof truncate === "number") {
    const after = Buffer.alloc(truncate);
    before.copy(after, 0, 0, Math.min(before.length, truncate));
    return after;
  }
  assert.ok(typeof at === "number" && typeof size === "number" && typeof name === "string");
  const after = Buffer.alloc(Math.max(before.length, at + size));
  before.copy(after);
  contentOf(name, size).copy(after, at);
  return after;
}

/** null: it is as expected, but for what the open change may have done. */
function missOf(found: Buffer, expected: Buffer, open: Told | null): string | null {
  const after = open === null ? expected : applied(expected, open);
  if (found.equals(expected) || found.equals(after)) return null;
  const sizes = [Math.min(expected.length, after.length), Math.max(expected.length, after.length)] as const;
  if (found.length < sizes[0] || found.length > sizes[1])
    return `${found.length} bytes, not ${sizes.join(" to ")}`;
  const wrong: number[] = [];
  for (let at = 0; at < found.length; at++) {
    // A piece of a write that was never answered may be there.
    if (found[at] !== expected[at] && found[at] !== after[at]) wrong.push(at);
  }
  const [first] = wrong;
  if (first === undefined) return null;
  const zeros = wrong.filter((at) => found[at] === 0).length;
  return `${wrong.length} of ${found.length} bytes are wrong, ${zeros} of them 0, from ${first} to ${wrong.at(-1)}`;
}

const MAKE = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("CREATE TABLE told (row INTEGER, text TEXT)")
db.execute("CREATE TABLE filler (text TEXT)")
db.executemany("INSERT INTO filler VALUES (?)", [("x" * 500,) for _ in range(400)])
db.commit()
`;
const ROWS = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
assert db.execute("SELECT count(*) FROM filler").fetchone()[0] == 400
print(db.execute("SELECT count(*) FROM told").fetchone()[0])
`;

export async function makeDatabase(path: string): Promise<void> {
  await promisify(execFile)("python3", ["-c", MAKE, path]);
}

/** With the journal that a killed writer may have left. In a copy, as SQLite may write where it reads. */
export async function databaseProblem(path: string, lines: readonly Told[]): Promise<string | null> {
  const told = lines.filter(({ what }) => what === "ok").length;
  const folder = await mkdtemp(join(tmpdir(), "loss-"));
  try {
    const copy = join(folder, "db");
    await copyFile(path, copy);
    await copyFile(`${path}-journal`, `${copy}-journal`).catch(() => {});
    const { stdout } = await promisify(execFile)("python3", ["-c", ROWS, copy]);
    return Number(stdout) >= told ? null : `${Number(stdout)} of ${told} rows`;
  } catch (error) {
    return String(error).split("\n").slice(-3).join(" ");
  } finally {
    await rm(folder, { recursive: true });
  }
}
