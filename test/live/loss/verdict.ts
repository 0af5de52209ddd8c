// Where a file of the loss table is as its writer was told: on the server, in a file that was set aside, or nowhere.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";

/** What a writer told: "try" before a call, "ok" after it. */
export type Told = Readonly<Record<string, unknown>>;

export interface Candidates {
  /** On the server's own disk. */
  readonly server: string;
  /** Set aside under the file's name, or its journal's. */
  readonly aside: readonly string[];
}

export type Verdict =
  | { readonly place: "server" | "set aside" }
  | { readonly place: "nowhere"; readonly misses: readonly string[] };

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

/** What was tried last may be done in part. `mayHaveTail`: it was made shorter. */
export async function whereFile(
  { server, aside }: Candidates,
  base: Buffer,
  lines: readonly Told[],
  mayHaveTail: boolean,
): Promise<Verdict> {
  let expected = base;
  let open: Told | null = null;
  for (const line of lines) {
    if (line["what"] === "try") open = line;
    if (line["what"] === "ok" && open !== null) {
      expected = applied(expected, open);
      open = null;
    }
  }
  const misses: string[] = [];
  for (const path of [server, ...aside]) {
    const found = await readFile(path);
    const whole = mayHaveTail ? withoutTail(found, expected) : found;
    const miss = missOf(whole, expected, open);
    if (miss === null) return { place: path === server ? "server" : "set aside" };
    misses.push(`${path}: ${miss}`);
  }
  return { place: "nowhere", misses };
}

/**
 * rclone 1.60 by itself, without any cut or kill, leaves up to two pieces of 32 KiB of the old content behind the new end
 * of a file that was made shorter and not read whole (docs/reference/drivers.md), in its cache first.
 */
function withoutTail(found: Buffer, expected: Buffer): Buffer {
  const pieceBytes = 32_768;
  const longest = (Math.ceil(expected.length / pieceBytes) + 1) * pieceBytes;
  return found.length > expected.length &&
    found.length <= longest &&
    (found.length % pieceBytes === 0 || found.length === BASE_BYTES)
    ? found.subarray(0, expected.length)
    : found;
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

/** With whichever journal is beside it; several may have been left. */
export async function whereDatabase({ server, aside }: Candidates, lines: readonly Told[]): Promise<Verdict> {
  const told = lines.filter(({ what }) => what === "ok").length;
  const isJournal = (path: string): boolean => basename(path).includes("-journal");
  const databases = [server, ...aside.filter((path) => !isJournal(path))];
  const journals = [`${server}-journal`, ...aside.filter(isJournal), null];
  const misses: string[] = [];
  for (const database of databases) {
    for (const journal of journals) {
      const rows = await rowsOf(database, journal);
      if (rows === null) continue;
      if (typeof rows === "number" && rows >= told)
        return { place: database === server ? "server" : "set aside" };
      misses.push(`${database} with ${journal}: ${rows} of ${told} rows`);
    }
  }
  return { place: "nowhere", misses };
}

/** In a copy, as SQLite may write where it reads. null: there is no such journal. Text: why it cannot be read. */
async function rowsOf(database: string, journal: string | null): Promise<number | string | null> {
  const folder = await mkdtemp(join(tmpdir(), "loss-"));
  try {
    const copy = join(folder, "db");
    await copyFile(database, copy);
    if (journal !== null && !(await copied(journal, `${copy}-journal`))) return null;
    const { stdout } = await promisify(execFile)("python3", ["-c", ROWS, copy]);
    return Number(stdout);
  } catch (error) {
    return String(error).split("\n").slice(-3).join(" ");
  } finally {
    await rm(folder, { recursive: true });
  }
}

function copied(from: string, to: string): Promise<boolean> {
  return copyFile(from, to).then(
    () => true,
    () => false,
  );
}
