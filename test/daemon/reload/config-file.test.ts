import assert from "node:assert/strict";
import { mkdir, realpath, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { openConfigFile, openLocalFiles } from "../../../src/daemon/reload/config-file.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { runCommand } from "../../../src/runtime/process/child-process.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import type { MountEntry, MountTable } from "../../../src/shares/mounts/mount-entry.ts";
import { FILE_LIMIT_BYTES, type Prober } from "../../../src/shares/prober/prober.ts";
import type { WatchedFile } from "../../../src/sync/watched-file.ts";
import { assertEach } from "../../support/assert-each.ts";
import { fileProber } from "../../support/file-prober.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const NEVER = new AbortController().signal;

function mountOn(path: string, type: string): MountEntry {
  return { id: path, path, type, source: "there", options: [], deviceMinor: 0 };
}

interface ScriptedTable extends MountTable {
  mounts: readonly MountEntry[];
  readonly askedAfterMs: number[];
}

function tableOf(mounts: readonly MountEntry[]): ScriptedTable {
  const askedAfterMs: number[] = [];
  return {
    mounts,
    askedAfterMs,
    read(notBeforeMs) {
      askedAfterMs.push(notBeforeMs);
      return Promise.resolve(this.mounts);
    },
  };
}

const proberOfFile = fileProber({ clock, logger: noopLogger });

async function opened(
  t: TestContext,
  table: MountTable = tableOf([mountOn("/", "ext4")]),
): Promise<{ folder: string; path: string; file: WatchedFile }> {
  const prober = proberOfFile();
  const folder = await temporaryFolder(t);
  const path = join(folder, "config.toml");
  return {
    folder,
    path,
    file: await openConfigFile(path, openLocalFiles({ prober, mountTable: table, clock })),
  };
}

test("B1 a file is checked and read as it is, through a link", async (t) => {
  const { folder, path, file } = await opened(t);
  await writeFile(join(folder, "real.toml"), "# ä\r\n");
  await symlink("real.toml", path);
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  assert.deepEqual(await file.stat(NEVER), { dev, ino, size, mtimeNs, ctimeNs });
  assert.equal(Buffer.from((await file.read(NEVER))?.bytes ?? "").toString(), "# ä\r\n");
  assert.equal(file.path, path);
});

test("B3 a missing file, or one whose folder is a file, reads as absent", async (t) => {
  const { folder, path, file } = await opened(t);
  assert.deepEqual([await file.stat(NEVER), await file.read(NEVER)], [null, null]);
  await symlink(join(folder, "nowhere"), path);
  assert.deepEqual([await file.stat(NEVER), await file.read(NEVER)], [null, null]);
  await writeFile(join(folder, "nowhere"), "");
  await rm(path);
  await symlink(join(folder, "nowhere", "config.toml"), path);
  assert.deepEqual([await file.stat(NEVER), await file.read(NEVER)], [null, null]);
});

test("B4 a folder in its place cannot be read, which may be temporary", async (t) => {
  const { path, file } = await opened(t);
  await mkdir(path);
  await assert.rejects(file.read(NEVER), { code: "config_unreadable", retry: "later" });
});

test("B10 a cancelled caller does not wait for the answer: a stop is not delayed by the file's disk", async (t) => {
  const { path, file } = await opened(t);
  await writeFile(path, "");
  const stopped = AbortSignal.abort(new MountaineerError("aborted", "the daemon stops"));
  await assert.rejects(file.read(stopped), { code: "aborted" });
  await assert.rejects(file.stat(stopped), { code: "aborted" });
});

test("B4 a pipe in its place is refused, and its writer is not waited for", async (t) => {
  const { path, file } = await opened(t);
  await runCommand("mkfifo", [path], { clock, deadlineMs: 5_000 });
  const startedMs = clock.monotonicMs();
  await assert.rejects(file.read(NEVER), { code: "config_unreadable" });
  assert.ok(clock.monotonicMs() - startedMs < 4_000, "not by its deadline");
  assert.notEqual(await file.stat(NEVER), null);
});

test("B4 a file larger than any configuration is refused, not read", async (t) => {
  const { path, file } = await opened(t);
  await writeFile(path, Buffer.alloc(FILE_LIMIT_BYTES + 1, "#"));
  await assert.rejects(file.read(NEVER), { code: "config_unreadable", message: /EFBIG/ });
});

const HERE = "ext4 btrfs xfs tmpfs overlay apfs zfs".split(" ");
const ELSEWHERE = "nfs nfs4 cifs smb3 smbfs 9p virtiofs fuse.mountaineer-fs fuse.sshfs fuse autofs".split(
  " ",
);

for (const [types, isHere] of [
  [HERE, true],
  [ELSEWHERE, false],
] as const) {
  for (const type of types) {
    test(`B2 a file on ${type} is ${isHere ? "" : "not "}accessed by the daemon itself`, async (t) => {
      const { file } = await opened(t, tableOf([mountOn("/", "ext4"), mountOn("/mnt/nas", type)]));
      assert.equal(file.isHere("/mnt/nas/etc"), isHere);
      assert.equal(file.isHere("/mnt/nas"), isHere);
      assert.equal(file.isHere("/mnt/nasty"), true);
      assert.equal(file.isHere("/home"), true);
    });
  }
}

test("B2 the innermost mount decides, and of two over one path the later", async (t) => {
  const { file } = await opened(
    t,
    tableOf([
      mountOn("/", "nfs4"),
      mountOn("/home", "ext4"),
      mountOn("/home/ada/nas", "cifs"),
      mountOn("/mnt", "cifs"),
      mountOn("/mnt", "ext4"),
      mountOn("/srv/nas", "cifs"),
      mountOn("/srv", "ext4"),
    ]),
  );
  const paths = ["/etc", "/home/ada", "/home/ada/nas/x", "/mnt/x", "/srv/nas/x", "/srv/nasty"];
  assertEach(paths, (path) => file.isHere(path), [false, true, false, true, false, true]);
});

test("B2 a later mount counts from the next check, which asks for the current table", async (t) => {
  const table = tableOf([mountOn("/", "ext4")]);
  const { folder, file } = await opened(t, table);
  assert.equal(file.isHere(folder), true);
  table.mounts = [mountOn("/", "ext4"), mountOn(folder, "nfs4")];
  const beforeMs = clock.monotonicMs();
  await file.stat(NEVER);
  assert.equal(file.isHere(folder), false);
  assert.ok((table.askedAfterMs.at(-1) ?? 0) >= beforeMs - 2_500, "no reading older than two beats");
});

/** Notes what it is asked. */
function noting(real: Prober, asked: string[]): Prober {
  const noted = <Given extends unknown[], Answer>(name: string, ask: (...given: Given) => Answer) => {
    return (...given: Given): Answer => {
      asked.push(name);
      return ask(...given);
    };
  };
  return {
    ...real,
    pids: [],
    realPath: noted("realPath", real.realPath),
    checkFile: noted("fileLook", real.checkFile),
    fileBytes: noted("fileBytes", real.fileBytes),
    exposures: noted("exposures", real.exposures),
  };
}

for (const [what, lay, mounts, asks] of [
  ["by its own name", "config.toml", [mountOn("/", "ext4")], false],
  ["that is missing", "nothing", [mountOn("/", "ext4")], false],
  ["that is a link, which may lead anywhere", "config.toml ->", [mountOn("/", "ext4")], true],
  ["below a folder that is a link", "folder ->", [mountOn("/", "ext4")], true],
  ["on another machine's disk", "config.toml", [mountOn("/", "nfs4")], true],
] as const) {
  test(`B1 a file ${what} is checked ${asks ? "by the prober" : "without another process"}`, async (t) => {
    const asked: string[] = [];
    const prober = noting(proberOfFile(), asked);
    const folder = await realpath(await temporaryFolder(t));
    const path = join(folder, lay === "folder ->" ? "link/config.toml" : "config.toml");
    if (lay !== "nothing") await writeFile(join(folder, "other.toml"), "# one\n");
    if (lay === "config.toml") await rename(join(folder, "other.toml"), path);
    if (lay === "config.toml ->") await symlink("other.toml", path);
    if (lay === "folder ->") {
      await symlink(".", join(folder, "link"));
      await rename(join(folder, "other.toml"), join(folder, "config.toml"));
    }
    const files = openLocalFiles({ prober, mountTable: tableOf(mounts), clock });
    const file = await openConfigFile(path, files);
    const bytes = (await file.read(NEVER))?.bytes ?? null;
    assert.equal(bytes === null ? null : Buffer.from(bytes).toString(), lay === "nothing" ? null : "# one\n");
    const { ino } = (await stat(path, { bigint: true }).catch(() => null)) ?? { ino: null };
    assert.equal((await file.stat(NEVER))?.ino ?? null, ino);
    const there = await realpath(path).catch(() => null);
    assert.equal(await file.realPath(path), there);
    const [exposure] = (await files.exposures([path])) ?? [];
    const isRemote = mounts[0].type === "nfs4";
    assert.equal(exposure?.realPath ?? null, isRemote ? null : there);
    assert.deepEqual(
      asked,
      asks ? ["fileBytes", "fileLook", "realPath", ...(isRemote ? [] : ["exposures"])] : [],
    );
  });
}

test("B1 a file that becomes a link, or another machine's, is from then on checked by the prober", async (t) => {
  const asked: string[] = [];
  const prober = noting(proberOfFile(), asked);
  const folder = await realpath(await temporaryFolder(t));
  const path = join(folder, "config.toml");
  await writeFile(path, "# one\n");
  const table = tableOf([mountOn("/", "ext4")]);
  const file = await openConfigFile(path, openLocalFiles({ prober, mountTable: table, clock }));
  const looksNow = async (): Promise<number> => {
    asked.length = 0;
    assert.notEqual(await file.stat(NEVER), null);
    return asked.length;
  };
  assert.equal(await looksNow(), 0);
  await rename(path, join(folder, "other.toml"));
  await symlink("other.toml", path);
  assert.equal(await looksNow(), 1);
  await rm(path);
  await rename(join(folder, "other.toml"), path);
  assert.equal(await looksNow(), 0);
  table.mounts = [mountOn("/", "ext4"), mountOn(folder, "nfs4")];
  assert.equal(await looksNow(), 1);
});

test("B10 a check of a disk that does not answer is late, and ends at its limit", async (t) => {
  const real = proberOfFile();
  const hangs = async (): Promise<null> => null;
  const folder = await realpath(await temporaryFolder(t));
  await writeFile(join(folder, "config.toml"), "");
  const table = tableOf([mountOn("/", "nfs4")]);
  const prober: Prober = { ...real, pids: [], checkFile: hangs, fileBytes: hangs };
  const file = await openConfigFile(
    join(folder, "config.toml"),
    openLocalFiles({ prober, mountTable: table, clock }),
  );
  await assert.rejects(file.stat(NEVER), { code: "config_unreadable", message: /no answer/ });
  await assert.rejects(file.read(NEVER), { code: "config_unreadable", message: /no answer/ });
});
