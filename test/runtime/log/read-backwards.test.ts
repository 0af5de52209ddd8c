import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { rename, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { type LinePlace, readLinesBackwards } from "../../../src/runtime/log/read-backwards.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const never = new AbortController().signal;

/** All lines of the files at `path`, read `most` at a time. */
async function pages(path: string, most: number, keep = 3, mostBytes?: number): Promise<string[][]> {
  const all: string[][] = [];
  let before: LinePlace | null = null;
  do {
    const page: string[] = [];
    before = await readLinesBackwards(
      { path, keep, before, signal: never, ...(mostBytes === undefined ? {} : { mostBytes }) },
      (line) => page.push(line) < most,
    );
    all.push(page);
    assert.ok(all.length < 10_000, "it ends");
  } while (before !== null);
  return all;
}

test("lines come newest first, through rotated files, in pages that neither repeat nor lose one", async (t) => {
  const path = join(await temporaryFolder(t), "log");
  // Longer than a piece, of several bytes a character, and an empty one between.
  const lines = Array.from({ length: 90 }, (_, index) => `${index} ${"ü🎬".repeat((index * 97) % 4_000)}`);
  await writeFile(`${path}.2`, `${lines.slice(0, 30).join("\n")}\n`);
  await writeFile(`${path}.1`, `${lines.slice(30, 60).join("\n")}\n\n`);
  await writeFile(path, `${lines.slice(60).join("\n")}\n`);
  for (const most of [1, 7, 30, 200]) {
    assert.deepEqual((await pages(path, most)).flat(), lines.toReversed(), String(most));
  }
  assert.deepEqual((await pages(path, 7, 1)).flat(), lines.slice(30).toReversed(), "as many as are kept");
  assert.deepEqual((await pages(path, 200, 3, 64 * 1024)).flat(), lines.toReversed(), "in small readings");
});

test("a last line without its end is passed over, also where that is the whole file", async (t) => {
  const path = join(await temporaryFolder(t), "log");
  await writeFile(path, 'one\ntwo\n{"torn');
  assert.deepEqual(await pages(path, 10), [["two", "one"]]);
  await writeFile(path, "torn");
  assert.deepEqual(await pages(path, 10), [[]]);
  await writeFile(path, "");
  assert.deepEqual(await pages(path, 10), [[]]);
});

test("a line of megabytes is passed over, and what is around it is not", async (t) => {
  const path = join(await temporaryFolder(t), "log");
  await writeFile(path, `first\n${"x".repeat(3 * 1024 * 1024)}\nlast\n`);
  assert.deepEqual((await pages(path, 10)).flat(), ["last", "first"]);
  assert.deepEqual((await pages(path, 10, 1, 2 * 1024 * 1024)).flat(), ["last", "first"]);
});

test("a reading goes on in its file, wherever that was rotated to meanwhile", async (t) => {
  const path = join(await temporaryFolder(t), "log");
  await writeFile(path, "1\n2\n3\n4\n");
  const first: string[] = [];
  const place = await readLinesBackwards({ path, keep: 2, before: null, signal: never }, (line) => {
    first.push(line);
    return first.length < 2;
  });
  await rename(path, `${path}.1`);
  await writeFile(path, "5\n");
  const second: string[] = [];
  const end = await readLinesBackwards({ path, keep: 2, before: place, signal: never }, (line) => {
    second.push(line);
    return true;
  });
  assert.deepEqual([first, second, end], [["4", "3"], ["2", "1"], null]);
  await truncate(`${path}.1`, 0);
  const gone = await readLinesBackwards({ path, keep: 2, before: place, signal: never }, () =>
    assert.fail("what was there is gone"),
  );
  assert.equal(gone, null);
});

test("a file that is rotated while it is read is read once", async (t) => {
  const path = join(await temporaryFolder(t), "log");
  await writeFile(path, "1\n2\n");
  const read: string[] = [];
  let moved: Promise<void> | null = null;
  await readLinesBackwards({ path, keep: 2, before: null, signal: never }, (line) => {
    read.push(line);
    moved ??= rename(path, `${path}.1`);
    return true;
  });
  await moved;
  assert.deepEqual(read, ["2", "1"]);
});

test("no file, a folder and a pipe that nobody writes to have no lines, and hold up nobody", async (t) => {
  const folder = await temporaryFolder(t);
  assert.deepEqual(await pages(join(folder, "none"), 10), [[]]);
  assert.deepEqual(await pages(folder, 10), [[]]);
  const pipe = join(folder, "pipe");
  assert.equal(spawnSync("mkfifo", [pipe]).status, 0);
  assert.deepEqual(await pages(pipe, 10), [[]]);
});

test("a reading that is cancelled reads no further", async (t) => {
  const path = join(await temporaryFolder(t), "log");
  await writeFile(path, "1234567\n".repeat(64 * 1024));
  const stop = new AbortController();
  let lines = 0;
  await assert.rejects(
    readLinesBackwards({ path, keep: 0, before: null, signal: stop.signal }, () => {
      lines++;
      stop.abort(new Error("enough"));
      return true;
    }),
    /enough/,
  );
  assert.ok(lines < 10_000, String(lines));
});
