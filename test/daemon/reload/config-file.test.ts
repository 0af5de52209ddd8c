import assert from "node:assert/strict";
import { mkdir, realpath, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { openConfigFile } from "../../../src/daemon/reload/config-file.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { runCommand } from "../../../src/runtime/process/child-process.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import type { MountEntry, MountTable } from "../../../src/shares/mounts/mount-entry.ts";
import { FILE_LIMIT_BYTES, type Prober } from "../../../src/shares/prober/prober.ts";
import type { WatchedFile } from "../../../src/sync/watched-file.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
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

const proberOfFile = fileProber({ clock, logger: silentLogger });

async function opened(
  t: TestContext,
  table: MountTable = tableOf([mountOn("/", "ext4")]),
): Promise<{ folder: string; path: string; file: WatchedFile }> {
  const prober = proberOfFile();
  const folder = await temporaryFolder(t);
  const path = join(folder, "config.toml");
  return { folder, path, file: await openConfigFile(path, { prober, mountTable: table, clock }) };
}

test("B1 a file is looked at and read as it is, through a link", async (t) => {
  const { folder, path, file } = await opened(t);
  await writeFile(join(folder, "real.toml"), "# ä\r\n");
  await symlink("real.toml", path);
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  assert.deepEqual(await file.stat(NEVER), { dev, ino, size, mtimeNs, ctimeNs });
  assert.equal(Buffer.from((await file.read(NEVER)) ?? "").toString(), "# ä\r\n");
  assert.equal(file.path, path);
});

test("B3 a file that is missing, or whose folder is no folder, is none", async (t) => {
  const { folder, path, file } = await opened(t);
  assert.deepEqual([await file.stat(NEVER), await file.read(NEVER)], [null, null]);
  await symlink(join(folder, "nowhere"), path);
  assert.deepEqual([await file.stat(NEVER), await file.read(NEVER)], [null, null]);
});

test("B4 a folder in its place cannot be read, and may pass", async (t) => {
  const { path, file } = await opened(t);
  await mkdir(path);
  await assert.rejects(file.read(NEVER), { code: "config_unreadable", retry: "later" });
});

test("B10 who does not want the answer any more waits for none: a stop is not held up by the file's disk", async (t) => {
  const { path, file } = await opened(t);
  await writeFile(path, "");
  const stopped = AbortSignal.abort(new MountaineerError("aborted", "the daemon stops"));
  await assert.rejects(file.read(stopped), { code: "aborted" });
  await assert.rejects(file.stat(stopped), { code: "aborted" });
});

test("B4 a pipe in its place is refused, and nobody waits for its writer", async (t) => {
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
const ELSEWHERE = "nfs nfs4 cifs smb3 smbfs 9p virtiofs fuse.rclone fuse.sshfs fuse autofs".split(" ");

for (const [types, isHere] of [
  [HERE, true],
  [ELSEWHERE, false],
] as const) {
  for (const type of types) {
    test(`B2 a file on ${type} is ${isHere ? "" : "not "}to be touched by the daemon itself`, async (t) => {
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
    ]),
  );
  assertEach(["/etc", "/home/ada", "/home/ada/nas/x", "/mnt/x"], (path) => file.isHere(path), [
    false,
    true,
    false,
    true,
  ]);
});

test("B2 what is mounted later counts from the next look on, which asks for the table as it is then", async (t) => {
  const table = tableOf([mountOn("/", "ext4")]);
  const { folder, file } = await opened(t, table);
  assert.equal(file.isHere(folder), true);
  table.mounts = [mountOn("/", "ext4"), mountOn(folder, "nfs4")];
  const beforeMs = clock.monotonicMs();
  await file.stat(NEVER);
  assert.equal(file.isHere(folder), false);
  assert.ok((table.askedAfterMs.at(-1) ?? 0) >= beforeMs - 2_500, "no reading older than two beats");
});

test("B1 a file by its own name on a disk of this machine is looked at without another process, and by it again once it is a link", async (t) => {
  const real = proberOfFile();
  let looks = 0;
  const prober: Prober = {
    ...real,
    pids: [],
    fileLook(path, waitMs) {
      looks++;
      return real.fileLook(path, waitMs);
    },
  };
  const folder = await realpath(await temporaryFolder(t));
  const path = join(folder, "config.toml");
  await writeFile(path, "# one\n");
  const table = tableOf([mountOn("/", "ext4")]);
  const file = await openConfigFile(path, { prober, mountTable: table, clock });
  const now = async () => {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return { dev, ino, size, mtimeNs, ctimeNs };
  };
  const looksFor = async (expected: Awaited<ReturnType<typeof now>> | null): Promise<number> => {
    const before = looks;
    assert.deepEqual(await file.stat(NEVER), expected);
    return looks - before;
  };
  // That it is plain is asked for within a second, and anew when that was too short.
  await eventually(async () => (await looksFor(await now())) === 0);
  await rename(path, join(folder, "other.toml"));
  assert.equal(await looksFor(null), 1);
  await symlink("other.toml", path);
  for (let times = 0; times < 2; times++)
    assert.equal(await looksFor(await now()), 1, "a link may lead anywhere");
  await rm(path);
  await rename(join(folder, "other.toml"), path);
  await eventually(async () => (await looksFor(await now())) === 0);
  table.mounts = [mountOn("/", "ext4"), mountOn(folder, "nfs4")];
  assert.equal(await looksFor(await now()), 1, "on another machine's disk");
});
