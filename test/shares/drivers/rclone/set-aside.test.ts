// What becomes of rclone's cache before a mount and after the last one, with real files.
import assert from "node:assert/strict";
import {
  type FileHandle,
  mkdir,
  open,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import test, { type TestContext } from "node:test";
import { currentVersionPath, installedProgramPath } from "../../../../src/rclone-release/installed.ts";
import { entryExists } from "../../../../src/runtime/files/durable-file.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { processIdentity } from "../../../../src/runtime/process/process-identity.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import type { MountDriver } from "../../../../src/shares/drivers/mount-driver.ts";
import { createCompletion } from "../../../../src/shares/drivers/rclone/completion.ts";
import { REMOTE_NAME, rcloneFiles, rcloneFilesIn } from "../../../../src/shares/drivers/rclone/files.ts";
import type { MetadataFlusher } from "../../../../src/shares/drivers/rclone/metadata-flusher.ts";
import { createMetadataRefresh } from "../../../../src/shares/drivers/rclone/metadata-refresh.ts";
import {
  listSetAside,
  reviewCache,
  type SetAsideRecord,
  setFilesAside,
  writeSetAsideRecord,
} from "../../../../src/shares/drivers/rclone/set-aside.ts";
import { dataOf } from "../../../../src/shares/drivers/rclone/sparse-file.ts";
import {
  createUnsentLeftovers,
  withUnsentOfRclone,
} from "../../../../src/shares/drivers/rclone/unsent-left-behind.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { mountTmpfs, remountTmpfs } from "../../../support/tiny-disk.ts";
import { shareSpec } from "../../share-spec.ts";

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

test("A11 the holes and data of a file are reported by whole blocks", async (t) => {
  await using file = await open(join(await temporaryFolder(t), "sparse"), "w+");
  await file.truncate(1_000_000);
  await file.write(Buffer.from("x"), 0, 1, 100_000);
  assert.deepEqual(await dataOf(file, 4096), [{ start: 98_304, end: 102_400 }]);
});

test("A11 a file whose data the system cannot locate is read", async (t) => {
  await using file = await open(join(await temporaryFolder(t), "sparse"), "w+");
  await file.truncate(20_000);
  await file.write(Buffer.from("x"), 0, 1, 5_000);
  const stat = file.stat.bind(file);
  // As from a disk with a bad sector: what is before it is read, and then nothing more.
  const reading = (goodBytes: number): FileHandle["read"] =>
    async function read(piece: Buffer, at: number, length: number, from: number) {
      if (from === goodBytes) throw new Error("EIO");
      return file.read(piece, at, from < goodBytes ? Math.min(length, goodBytes - from) : length, from);
    } as FileHandle["read"];
  const data = await dataOf({ fd: -1, stat, read: reading(Infinity) }, 4096);
  assert.deepEqual(data, [{ start: 4_096, end: 8_192 }]);
  await assert.rejects(dataOf({ fd: -1, stat, read: reading(6_000) }, 4096), /EIO/);
});

test("A11 an append missing in its metadata is listed, so that rclone sends it", async (t) => {
  const { files, cached, note } = await scene(t);
  await cached(BASE + 2000, [[BASE, 2000]], noteText([[BASE, 1000]]));
  // Where rclone keeps the notes of a folder with a name like those of temporary files.
  await mkdir(join(files.cache, "vfsMeta", `${PATH}.new`));
  assert.deepEqual(await reviewCache(files, [PATH], 0, false), { aside: [], corrected: [PATH] });
  const { Rs, Size } = JSON.parse(await note());
  assert.deepEqual([Rs, Size], [[{ Pos: BASE, Size: 2000 }], BASE + 2000]);
  assert.deepEqual(await reviewCache(files, [PATH], 0, false), { aside: [], corrected: [] });
});

test("A11 a file in a folder is set aside next to a file that had that folder's name", async (t) => {
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

test("A11 a file with more than its metadata lists is set aside, under a new name, with its known facts", async (t) => {
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
  assert.deepEqual(first?.record, {
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

test("A11 data fetched by an rclone that never mounted does not count as written", async (t) => {
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

test("A11 torn metadata and a file that rclone is stuck with are set aside, and others stay", async (t) => {
  const { files, cached } = await scene(t);
  await cached(BASE, [[0, 100]], '{"Size": 3');
  await cached(BASE, [[0, 100]], noteText([[0, 100]]), "share/CORE/stuck");
  await cached(BASE, [[0, 100]], noteText([[0, 100]]), "share/CORE/other");
  const nowhere = join(files.cache, "vfsMeta/share/CORE/nowhere");
  await writeFile(nowhere, noteText([[0, 100]]));
  await reviewCache(files, [PATH, "share/CORE/other"], 0, false);
  await setFilesAside(files, ["share/CORE/stuck", "share/CORE/nowhere"], "stuck", 0);
  assert.deepEqual(
    (await listSetAside(files)).map(({ path, record }) => [path, record?.reason]),
    [
      [PATH, "torn"],
      ["share/CORE/stuck", "stuck"],
    ],
  );
  assert.ok(await entryExists(join(files.cache, "vfs/share/CORE/other")));
  assert.ok(!(await entryExists(nowhere)), "a note without a file");
});

const NEW_NOTE = JSON.stringify({ Size: 0, Rs: [], Dirty: true });

for (const [what, size, written, note, state, serverEnd] of [
  ["whose note is torn", BASE, [[0, 100]], '{"Size": 3', "incomplete", null],
  ["of which a part is missing", BASE, [[0, 100]], noteText([[0, 100]]), "incomplete", BASE],
  ["that is whole", BASE, [[0, BASE]], noteText([[0, BASE]]), "complete", BASE],
  ["that became shorter, and is whole", 1_000, [[0, 1_000]], noteText([[0, 1_000]]), "complete", 1_000],
  ["that is new and empty", 0, [], NEW_NOTE, "complete", 0],
] as const) {
  test(`A11 a file set aside ${what} is recorded as ${state}`, async (t) => {
    const { files, cached } = await scene(t);
    await cached(size, written, note);
    await setFilesAside(files, [PATH], "asked", 0);
    const [one] = await listSetAside(files);
    assert.deepEqual([one?.record?.state, one?.record?.serverEnd], [state, serverEnd]);
  });
}

test("A11 files that rclone has sent stay in its cache, whatever its metadata lists", async (t) => {
  const { files, cached } = await scene(t);
  await cached(BASE, [[65_536, 4096]], noteText([[0, 4096]]).replace('"Dirty":true', '"Dirty":false'));
  assert.deepEqual(await reviewCache(files, [PATH], 0, false), { aside: [], corrected: [] });
});

test("A11 a file whose record cannot be written is not set aside, and stays in the cache", async (t) => {
  const { files, cached } = await scene(t);
  await cached(BASE, [[0, 100]], noteText([[0, 100]]));
  await writeFile(files.setAsideRecords, "in the way");
  await assert.rejects(setFilesAside(files, [PATH], "asked", 0));
  assert.ok(await entryExists(join(files.cache, "vfs", PATH)));
});

const SHARE = shareSpec({ driver: "local" });
const DRIVER: MountDriver = {
  name: "local",
  cacheMs: 0,
  missingRequirement: async () => null,
  find: async () => [],
  mount: () => assert.fail(),
  unmount: () => assert.fail(),
  unsent: async () => [],
  setAside: async () => [OWN],
  ownProcesses: async () => [],
  openFilesPath: ({ path }) => path,
};

const OWN = { folder: "/its own", files: [] };
const SERVER_NAME = "the server's name";

async function sceneLeft(t: TestContext) {
  const stateFolder = await temporaryFolder(t);
  const files = rcloneFiles(stateFolder, SHARE.name);
  const clock = createManualClock();
  const inCache = async (kind: "vfs" | "vfsMeta", content: string): Promise<void> => {
    const path = join(files.cache, kind, REMOTE_NAME, SERVER_NAME, "a folder", "file");
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  };
  return {
    files,
    clock,
    /** As rclone keeps a file that was written. */
    async written(dirty: boolean) {
      await inCache("vfs", "x");
      await inCache("vfsMeta", JSON.stringify({ Dirty: dirty }));
    },
    kept: { folder: join(files.cache, "vfs", REMOTE_NAME, SERVER_NAME), files: ["a folder/file"] },
    driver: withUnsentOfRclone(DRIVER, { clock, logger: noopLogger, stateFolder }),
    leftBehind: createUnsentLeftovers({ clock, logger: noopLogger, stateFolder }),
  };
}

test("A2 files that rclone had not sent when another driver took over are reported until they are removed", async (t) => {
  const { clock, written, kept, driver } = await sceneLeft(t);
  assert.deepEqual(await driver.setAside?.(SHARE), [OWN]);
  await written(true);
  await clock.advance(10_000);
  assert.deepEqual(await driver.setAside?.(SHARE), [OWN, kept]);
  await rm(kept.folder, { recursive: true });
  await clock.advance(10_000);
  assert.deepEqual(await driver.setAside?.(SHARE), [OWN]);
});

test("A2 sent files, and files that a running rclone will send, are not reported", async (t) => {
  const { files, clock, written, kept, driver } = await sceneLeft(t);
  await written(false);
  assert.deepEqual(await driver.setAside?.(SHARE), [OWN]);
  await written(true);
  const identity = await processIdentity(process.pid);
  assert.ok(identity !== null);
  await writeFile(
    files.process,
    JSON.stringify({
      ...identity,
      mountPath: SHARE.mountPath,
      carriedPort: null,
      pinned: false,
      server: "first",
    }),
  );
  await clock.advance(10_000);
  assert.deepEqual(await driver.setAside?.(SHARE), [OWN]);
  const gone = {
    ...identity,
    startTime: "another",
    mountPath: SHARE.mountPath,
    carriedPort: null,
    pinned: false,
    server: "first",
  };
  await writeFile(files.process, JSON.stringify(gone));
  await clock.advance(10_000);
  assert.deepEqual(await driver.setAside?.(SHARE), [OWN, kept]);
});

test("A2 files that rclone sends under the share's present name are not reported, those that it kept under another are", async (t) => {
  const { written, kept, leftBehind } = await sceneLeft(t);
  await written(true);
  assert.deepEqual(await leftBehind("CORE", ["CORE", SERVER_NAME]), []);
  assert.deepEqual(await leftBehind("CORE", ["CORE"]), [kept]);
});

/** The state folder of a share whose mount this process seems to serve. */
async function sceneServed(t: TestContext): Promise<string> {
  const stateFolder = await temporaryFolder(t);
  const files = rcloneFiles(stateFolder, "CORE");
  await mkdir(files.folder, { recursive: true });
  const served = { mountPath: "/mnt", carriedPort: null, pinned: false, server: "first" };
  await writeFile(files.process, JSON.stringify({ ...(await processIdentity(process.pid)), ...served }));
  return stateFolder;
}

test("A11 the metadata of a mount that rclone serves is refreshed at each beat, one refresh at a time", async (t) => {
  const stateFolder = await sceneServed(t);
  const gate = Promise.withResolvers<void>();
  const asked: unknown[] = [];
  const flusher: MetadataFlusher = {
    hasMetadata: async () => true,
    async writeMetadata({ shareName, mountPath, pid }, which) {
      asked.push([shareName, mountPath, pid, which]);
      await gate.promise;
      return { due: 1, written: 1 };
    },
  };
  const refresh = createMetadataRefresh({ clock: systemClock, logger: noopLogger, flusher, stateFolder });
  refresh.trigger();
  await eventually(() => asked.length === 1);
  refresh.trigger();
  await settle();
  assert.deepEqual(asked, [["CORE", "/mnt", process.pid, "stale"]]);
  gate.resolve();
  await eventually(() => {
    refresh.trigger();
    return asked.length === 2;
  });
});

const FAKE_RCLONE = `#!/bin/sh
here=$(dirname "$0")
case $1 in
  lsjson) cat "$here/answer"; exit "$(cat "$here/code")" ;;
  copyto) cp "$here/server" "$3"; exit "$(cat "$here/copied")" ;;
esac
`;
const TIME = "2026-11-20T23:13:07Z";
const OLD = "old old old!";

/** Newer than any engine that this checkout may have. */
const VERSION = "1.99.0-mountaineer.9999";

/** A file of which a program wrote the first four bytes, and a program in place of rclone that gives the server's file. */
async function sceneOfHoles(
  t: TestContext,
  change: Partial<SetAsideRecord> = {},
  disk: string | null = null,
) {
  const home = await temporaryFolder(t);
  const files = rcloneFiles(home, "CORE");
  await mkdir(files.folder, { recursive: true });
  if (disk !== null) await symlink(disk, files.setAside);
  const program = installedProgramPath(home, VERSION);
  const path = join("share", "CORE", "file");
  const kept = join(files.setAside, path);
  for (const one of [program, kept]) await mkdir(dirname(one), { recursive: true });
  await writeFile(program, FAKE_RCLONE, { mode: 0o755 });
  await writeFile(currentVersionPath(home), VERSION);
  await writeFile(kept, Buffer.concat([Buffer.from("NEW "), Buffer.alloc(8)]));
  await utimes(kept, 1_000, 1_000);
  await writeSetAsideRecord(files, path, {
    ...{ cachePath: "share/CORE/file", reason: "unlisted", setAsideAt: TIME, size: 12, server: "first" },
    ...{ real: [{ start: 0, end: 4 }], doubtful: [], serverEnd: 12, state: "incomplete" },
    ...{ base: { size: 12, time: "2026-11-20 23:13:07 +0000 UTC" } },
    ...change,
  });
  const serve = async (
    content: string,
    answer: object = { Size: 12, ModTime: TIME, IsDir: false },
    code = 0,
    copied = 0,
  ) => {
    await writeFile(join(dirname(program), "copied"), String(copied));
    await writeFile(join(dirname(program), "server"), content);
    await writeFile(join(dirname(program), "answer"), JSON.stringify(answer));
    await writeFile(join(dirname(program), "code"), String(code));
  };
  await serve(OLD);
  const clock = createManualClock();
  const completion = createCompletion({ clock, logger: noopLogger, home });
  let rounds = 0;
  t.after(() => completion.stop("CORE"));
  return {
    kept,
    clock,
    serve,
    files,
    /** Begins, and waits for the first round. */
    async run() {
      completion.start("CORE", files, () => void rounds++);
      await eventually(() => rounds > 0);
    },
    restart: () => completion.start("CORE", files, () => void rounds++),
    rounds: () => rounds,
    async seen() {
      const [one] = await listSetAside(files);
      return [one?.record?.state, await readFile(kept, "utf8"), (await stat(kept)).mtimeMs];
    },
  };
}

const HOLES = `NEW ${"\0".repeat(8)}`;

test("A11 holes are filled with the server's bytes, and nothing else of the file changes", async (t) => {
  const { run, seen, files } = await sceneOfHoles(t);
  await run();
  assert.deepEqual(await seen(), ["complete", "NEW old old!", 1_000_000]);
  await assert.rejects(stat(join(files.folder, "server-copy.part")), { code: "ENOENT" });
});

const ALL = "x".repeat(4096);

for (const [what, before, real, content, after] of [
  ["grew on the server", "NEW \0\0\0\0", [0, 4], "old old old!", "NEW old "],
  ["was appended to", "\0\0\0\0NEW!", [0, 8], "old ", "old NEW!"],
  ["was appended to, in its last block", `${ALL}\0\0NEW!`, [0, 4102], `${ALL}ld`, `${ALL}ldNEW!`],
  ["was appended to, with a hole before", "\0\0\0\0\0\0\0\0NEW!", [4, 12], "old old ", "old old NEW!"],
  ["was written across the server's end", "mine\0\0\0\0NEW!", [0, 12], "old old ", "mine\0\0\0\0NEW!"],
] as const) {
  test(`A11 a file without metadata that ${what} gets only the missing parts`, async (t) => {
    const [start, end] = real;
    const lost = { size: before.length, real: [{ start, end }], serverEnd: null, base: null };
    const { run, seen, serve, kept } = await sceneOfHoles(t, lost);
    await writeFile(kept, before);
    await serve(content, { Size: content.length, ModTime: TIME, IsDir: false });
    await run();
    assert.deepEqual((await seen()).slice(0, 2), ["complete", after]);
  });
}

test("A11 a copy that ends in the middle is not taken for the server's file", async (t) => {
  const { run, seen, serve } = await sceneOfHoles(t);
  await serve("old", undefined, 0, 1);
  await run();
  assert.deepEqual(await seen(), ["incomplete", HOLES, 1_000_000]);
});

test("A11 a mount that follows at once does not complete the files alongside the previous one", async (t) => {
  const { run, serve, clock, restart, rounds } = await sceneOfHoles(t);
  await serve(OLD, {}, 1);
  await run();
  await eventually(() => clock.pendingTimers === 1);
  restart();
  await eventually(() => rounds() === 2 && clock.pendingTimers > 0);
  assert.equal(clock.pendingTimers, 1);
});

for (const [what, change, content, answer, code, state] of [
  ["is of another server", { server: "0af3" }, OLD, {}, 0, "incomplete"],
  ["was touched by a person", { size: 11 }, OLD, { Size: 12, ModTime: TIME }, 0, "complete"],
  ["has another time on the server", {}, OLD, { Size: 12, ModTime: "2026-11-21T00:00:00Z" }, 0, "changed"],
  ["has another size on the server", {}, OLD, { Size: 13, ModTime: TIME }, 0, "changed"],
  ["comes otherwise than it was told", {}, "old", { Size: 12, ModTime: TIME }, 0, "changed"],
  ["is a folder on the server", {}, OLD, { Size: 12, ModTime: TIME, IsDir: true }, 0, "gone"],
  ["has lost its folder on the server", {}, OLD, {}, 3, "gone"],
  ["is gone from the server", {}, OLD, {}, 4, "gone"],
  ["is not known of for now", {}, OLD, {}, 1, "incomplete"],
] as const) {
  test(`A11 a file set aside that ${what} keeps its bytes, and is ${state}`, async (t) => {
    const { run, seen, serve } = await sceneOfHoles(t, change);
    await serve(content, answer, code);
    await run();
    assert.deepEqual(await seen(), [state, HOLES, 1_000_000]);
  });
}

test("A11 a file that a person removed is forgotten", async (t) => {
  const { run, files, kept } = await sceneOfHoles(t);
  await rm(kept);
  await run();
  assert.ok(!(await entryExists(join(files.setAsideRecords, "share/CORE/file.json"))));
});

test("A11 a file whose bytes the disk does not confirm is not recorded as complete", async (t) => {
  const { run, seen, kept } = await sceneOfHoles(t);
  await using file = await open(kept, "r");
  t.mock.method(Object.getPrototypeOf(file), "sync", () => Promise.reject(new Error("EIO")));
  await run();
  assert.equal((await seen())[0], "incomplete");
});

test("A11 an unfilled hole is retried after two seconds", async (t) => {
  const { run, seen, serve, clock, rounds } = await sceneOfHoles(t);
  await serve(OLD, {}, 1);
  await run();
  await serve(OLD);
  await eventually(() => clock.pendingTimers === 1);
  await clock.advance(2_000);
  await eventually(() => rounds() === 2);
  assert.equal((await seen())[0], "complete");
});

test("A11 a hole for which the disk has no space stays one, and is filled once there is space", async (t) => {
  const disk = await mountTmpfs(t, "size=12k");
  if (disk === null) return;
  const size = 40_000;
  const base = { size, time: "2026-11-20 23:13:07 +0000 UTC" };
  const { kept, run, seen, serve, clock, rounds } = await sceneOfHoles(
    t,
    { size, serverEnd: size, base },
    disk,
  );
  await truncate(kept, size);
  await serve("x".repeat(size), { Size: size, ModTime: TIME, IsDir: false });
  await run();
  assert.equal((await seen())[0], "incomplete");
  await remountTmpfs(disk, "size=64k");
  await eventually(() => clock.pendingTimers === 1);
  await clock.advance(2_000);
  await eventually(() => rounds() === 2);
  assert.deepEqual((await seen()).slice(0, 2), ["complete", `NEW ${"x".repeat(size - 4)}`]);
});

test("A11 a mount that writes no metadata in time is asked again at increasing intervals", async (t) => {
  const clock = createManualClock();
  const asked: number[] = [];
  const flusher: MetadataFlusher = {
    hasMetadata: async () => true,
    async writeMetadata(_mount, _which, limitMs) {
      asked.push(clock.monotonicMs());
      await clock.advance(limitMs);
      return { due: 1, written: 0 };
    },
  };
  const stateFolder = await sceneServed(t);
  const refresh = createMetadataRefresh({ clock, logger: noopLogger, flusher, stateFolder });
  const beatsUntil = async (atMs: number): Promise<void> => {
    while (clock.monotonicMs() < atMs) {
      refresh.trigger();
      await new Promise((resolve) => setTimeout(resolve, 20));
      await clock.advance(1_000);
    }
  };
  const startedAtMs = clock.monotonicMs();
  await beatsUntil(startedAtMs + 60_000);
  assert.ok(asked.length >= 2 && asked.length <= 4, `asked ${asked.length} times in a minute`);
});
