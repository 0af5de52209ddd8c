// A writer that is killed at each point of a durable write: all small files are kept by this one.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { removeLeftovers, writeDurably } from "../../../src/runtime/files/durable-file.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const PROGRAM = join(import.meta.dirname, "programs/write-and-stop.ts");
const OLD = "old ".repeat(1_000);
const NEW = "new ".repeat(5_000);

/** In their order, and what the file is when the writer is killed right before each. */
const POINTS: readonly (readonly [point: string, left: string])[] = [
  ["open temporary", OLD],
  ["write temporary", OLD],
  ["go on with temporary", OLD],
  ["chmod temporary", OLD],
  ["sync temporary", OLD],
  ["close temporary", OLD],
  ["rename", OLD],
  ["open folder", NEW],
  ["sync folder", NEW],
  ["close folder", NEW],
];

interface Stopped {
  readonly path: string;
  readonly passed: readonly string[];
  readonly signal: string | null;
}

async function stopped(t: TestContext, point: string): Promise<Stopped> {
  const path = join(await temporaryFolder(t), "file");
  await writeFile(path, OLD);
  await chmod(path, 0o640);
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [PROGRAM, path, NEW, point], (_error, stdout) =>
      resolve({ path, passed: stdout.split("\n").filter(Boolean), signal: child.signalCode }),
    );
  });
}

test("A5 B11 a writer that is killed at any point leaves the old file or the new one, whole, and what it left is swept", async (t) => {
  const whole = await stopped(t, "");
  const names = POINTS.map(([point]) => point);
  assert.deepEqual(whole.passed, names, "on the disk before it is renamed, and its name thereafter");
  assert.equal(await readFile(whole.path, "utf8"), NEW);
  await Promise.all(
    POINTS.map(async ([point, left], index) => {
      const { path, passed, signal } = await stopped(t, point);
      assert.deepEqual([passed, signal], [names.slice(0, index), "SIGKILL"], point);
      assert.equal(await readFile(path, "utf8"), left, point);
      assert.equal((await stat(path)).mode & 0o777, 0o640, point);
      await removeLeftovers(path);
      assert.deepEqual(await readdir(join(path, "..")), ["file"], point);
      await writeDurably(path, "again");
      assert.equal(await readFile(path, "utf8"), "again");
    }),
  );
});
