// What becomes of rclone's cache before a mount, with real files.
import assert from "node:assert/strict";
import { mkdir, open, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import test, { type TestContext } from "node:test";
import { entryExists } from "../../../../src/runtime/files/durable-file.ts";
import { rcloneFilesIn } from "../../../../src/shares/drivers/rclone/files.ts";
import { listSetAside, reviewCache, setFilesAside } from "../../../../src/shares/drivers/rclone/set-aside.ts";
import { dataOf } from "../../../../src/shares/drivers/rclone/sparse-file.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const BASE = 300_000;
const PATH = "share/CORE/a folder/file";

async function scene(t: TestContext) {
  const files = rcloneFilesIn(await temporaryFolder(t));
  return {
    files,
    /** A cache file with `x` at these places, and its note. */
    async cached(size: number, written: readonly (readonly [number, number])[], note: string, path = PATH) {
      const cacheFile = join(files.cache, "vfs", path);
      await mkdir(dirname(cacheFile), { recursive: true });
      await using file = await open(cacheFile, "w");
      await file.truncate(size);
      for (const [at, length] of written) await file.write(Buffer.alloc(length, "x"), 0, length, at);
      const noteFile = join(files.cache, "vfsMeta", path);
      await mkdir(dirname(noteFile), { recursive: true });
      await writeFile(noteFile, note);
    },
    note: () => readFile(join(files.cache, "vfsMeta", PATH), "utf8"),
  };
}

function noteText(ranges: readonly (readonly [number, number])[], size = BASE): string {
  const Rs = ranges.map(([Pos, Size]) => ({ Pos, Size }));
  const Fingerprint = `${BASE},2026-11-20 23:13:07.8675076 +0000 UTC`;
  return JSON.stringify({ ModTime: "2026-11-20T23:13:08Z", Size: size, Rs, Fingerprint, Dirty: true });
}

test("A11 holes and data of a file are told by whole blocks", async (t) => {
  await using file = await open(join(await temporaryFolder(t), "sparse"), "w+");
  await file.truncate(1_000_000);
  await file.write(Buffer.from("x"), 0, 1, 100_000);
  assert.deepEqual(await dataOf(file, 4096), [{ start: 98_304, end: 102_400 }]);
});

test("A11 an append that its note does not know is listed, so that rclone sends it", async (t) => {
  const { files, cached, note } = await scene(t);
  await cached(BASE + 2000, [[BASE, 2000]], noteText([[BASE, 1000]]));
  assert.deepEqual(await reviewCache(files, [PATH], 0, false), { aside: [], corrected: [PATH] });
  const { Rs, Size } = JSON.parse(await note());
  assert.deepEqual([Rs, Size], [[{ Pos: BASE, Size: 2000 }], BASE + 2000]);
  assert.deepEqual(await reviewCache(files, [PATH], 0, false), { aside: [], corrected: [] });
});

test("A11 a file in a folder is set aside beside a file that had that folder's name", async (t) => {
  const { files, cached } = await scene(t);
  const folder = dirname(PATH);
  for (const [path, name] of [
    [folder, folder],
    [PATH, `${folder} 1/file`],
  ] as const) {
    await cached(BASE, [[65_536, 4096]], noteText([[0, 4096]]), path);
    const { aside } = await reviewCache(files, [path], 0, false);
    assert.deepEqual(aside, [join(files.setAside, name)]);
  }
});

test("A11 a file with more than its note lists is set aside, under a new name, with what is known of it", async (t) => {
  const { files, cached } = await scene(t);
  for (const name of ["file", "file 1"]) {
    await cached(
      BASE,
      [
        [0, 4096],
        [65_536, 4096],
      ],
      noteText([[0, 4096]]),
    );
    assert.deepEqual(await reviewCache(files, [PATH], 0, false), {
      aside: [join(files.setAside, "share/CORE/a folder", name)],
      corrected: [],
    });
    assert.ok(!(await entryExists(join(files.cache, "vfs", PATH))));
    assert.ok(!(await entryExists(join(files.cache, "vfsMeta", PATH))));
  }
  const [first, second, ...more] = await listSetAside(files);
  assert.deepEqual([first?.path, second?.path, more], [PATH, `${PATH} 1`, []]);
  assert.deepEqual(first?.note, {
    cachePath: PATH,
    setAsideAt: "1970-01-01T00:00:00.000Z",
    size: BASE,
    reason: "unlisted",
    state: "incomplete",
    server: "first",
    real: [
      { start: 0, end: 4096 },
      { start: 65_536, end: 69_632 },
    ],
    doubtful: [],
    serverEnd: BASE,
    base: { size: BASE, time: "2026-11-20 23:13:07.8675076 +0000 UTC" },
  });
});

test("A11 what was fetched by an rclone that never mounted is nobody's write", async (t) => {
  const { files, cached } = await scene(t);
  await cached(
    BASE,
    [
      [0, 4096],
      [65_536, 4096],
    ],
    noteText([[0, 4096]]),
  );
  assert.deepEqual(await reviewCache(files, [PATH], 0, true), { aside: [], corrected: [] });
});

test("A11 a torn note and a file that rclone is stuck with are set aside, and others stay", async (t) => {
  const { files, cached } = await scene(t);
  await cached(BASE, [[0, 100]], '{"Size": 3');
  await cached(BASE, [[0, 100]], noteText([[0, 100]]), "share/CORE/stuck");
  await cached(BASE, [[0, 100]], noteText([[0, 100]]), "share/CORE/other");
  await reviewCache(files, [PATH, "share/CORE/other"], 0, false);
  await setFilesAside(files, ["share/CORE/stuck", "share/CORE/nowhere"], "stuck", 0);
  assert.deepEqual(
    (await listSetAside(files)).map(({ path, note }) => [path, note?.reason]),
    [
      [PATH, "torn"],
      ["share/CORE/stuck", "stuck"],
    ],
  );
  assert.ok(await entryExists(join(files.cache, "vfs/share/CORE/other")));
});
