// The mount table: hostile names, ids that are used again, and shared readings.
import assert from "node:assert/strict";
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, test } from "node:test";
import { loadKoffi } from "../../../src/network/native/core-foundation-darwin.ts";
import { isOurAgent } from "../../../src/runtime/process/launchd-label.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { loadGetfsstat, type MountLine, STATFS_BYTES } from "../../../src/shares/mounts/getfsstat-darwin.ts";
import { createMountTable } from "../../../src/shares/mounts/mount-table.ts";
import { ANOTHER_USERS, createMountTableDarwin } from "../../../src/shares/mounts/mount-table-darwin.ts";
import { createMountTableLinux } from "../../../src/shares/mounts/mount-table-linux.ts";
import { parseMountInfo } from "../../../src/shares/mounts/mount-table-mountinfo.ts";
import { meaningOfDenied } from "../../../src/shares/mounts/volume-permission-darwin.ts";
import { buildDouble, doublesUnavailable } from "../../doubles/build-double.ts";
import { missingForFuse, mountLocalFuse } from "../../rig/local-fuse-mount.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { NOT_ON_A_MAC } from "../../support/where.ts";

const line = (id: number, minor: number, path: string, source: string, type = "fuse.rclone"): string =>
  `${id} 23 0:${minor} / ${path} rw,nosuid,nodev shared:7 - ${type} ${source} rw,user_id=0,group_id=0`;

describe("a line of mountinfo", () => {
  it("has id, device, path, type, source and both kinds of options", () => {
    assert.deepEqual(parseMountInfo(Buffer.from(`${line(36, 45, "/mnt/CORE", "//nas:4450/CORE")}\n`)), [
      {
        mountId: 36,
        device: "0:45",
        deviceMinor: 45,
        root: "/",
        path: "/mnt/CORE",
        type: "fuse.rclone",
        source: "//nas:4450/CORE",
        options: ["rw", "nosuid", "nodev", "rw", "user_id=0", "group_id=0"],
      },
    ]);
  });

  it("may have no optional fields, several, and empty superblock options", () => {
    const text =
      "1 0 8:1 / / rw - ext4 /dev/sda rw\n2 0 8:2 / /b rw shared:1 master:2 unbindable - xfs /dev/sdb \n";
    assert.deepEqual(pluck(parseMountInfo(Buffer.from(text)), "path", "type", "source"), [
      ["/", "ext4", "/dev/sda"],
      ["/b", "xfs", "/dev/sdb"],
    ]);
  });

  it("writes blanks, tabs, newlines and backslashes in octal; the rest is UTF-8", () => {
    const path = "/mnt/M\\040\\303x\\011t\\012n\\134b ü日本".replace(" ", "\\040");
    const [parsed] = parseMountInfo(
      Buffer.from(line(1, 2, path.replace("\\303x", "é"), "//h/a\\040-\\040b\\043c")),
    );
    assert.equal(parsed?.path, "/mnt/M é\tt\nn\\b ü日本");
    assert.equal(parsed?.source, "//h/a - b#c");
  });

  it("that is cut off or empty is skipped", () => {
    assert.deepEqual(
      parseMountInfo(Buffer.from("\n36 23 0:45 / /mnt\n36 23 0:45 / /mnt rw shared:7 fuse x\n")),
      [],
    );
  });
});

describe("the table", () => {
  const tableOf = (contents: () => string) => {
    const clock = createManualClock();
    let reads = 0;
    const table = createMountTableLinux({
      clock,
      readTable: async () => {
        reads++;
        return Buffer.from(contents());
      },
    });
    return { clock, table, reads: () => reads };
  };

  it("shows only the top-most of mounts over one path", async () => {
    const { table } = tableOf(
      () => `${line(1, 1, "/a", "//h/1")}\n${line(2, 2, "/b", "//h/2")}\n${line(3, 3, "/a", "//h/3")}\n`,
    );
    assert.deepEqual(pluck(await table.read(0), "source"), ["//h/2", "//h/3"]);
  });

  it("is read once for all simultaneous callers, and again for one who wants it newer", async () => {
    const { clock, table, reads } = tableOf(() => line(1, 1, "/a", "//h/1"));
    const now = clock.monotonicMs();
    const [one, two] = await Promise.all([table.read(now), table.read(now - 5)]);
    assert.equal(reads(), 1);
    assert.equal(one, two);
    await clock.advance(10);
    await table.read(now);
    assert.equal(reads(), 1);
    assert.equal(await table.read(now + 10), one, "equal bytes are not parsed again");
    assert.equal(reads(), 2);
  });

  it("gives a mount that was away another id, although the kernel gives it the same", async () => {
    let content = line(50, 60, "/a", "//h/1");
    const { clock, table } = tableOf(() => content);
    const read = async () => {
      await clock.advance(1);
      return table.read(clock.monotonicMs());
    };
    const [first] = await read();
    content = `${line(50, 60, "/a", "//h/1")}\n${line(51, 61, "/b", "//h/2")}`;
    assert.equal((await read())[0]?.id, first?.id, "others come and go, it stays");
    content = "";
    assert.deepEqual(await read(), []);
    content = line(50, 60, "/a", "//h/1");
    const [again] = await read();
    assert.ok(first && again);
    assert.notEqual(again.id, first.id);
    content = line(50, 60, "/a", "//other/1");
    assert.notEqual((await read())[0]?.id, again.id, "another source is another mount");
  });

  it("that cannot be read rejects, and is read again for the next caller", async () => {
    let fails = true;
    const table = createMountTableLinux({
      clock: createManualClock(),
      readTable: async () => {
        if (fails) throw new Error("no /proc");
        return Buffer.from("");
      },
    });
    await assert.rejects(table.read(0), /no \/proc/);
    fails = false;
    assert.deepEqual(await table.read(0), []);
  });

  it("shows a real mount at a path with blanks and quotes", {
    skip: missingForFuse() ?? false,
  }, async (t) => {
    const folder = await realpath(await temporaryFolder(t));
    await using mounted = await mountLocalFuse(folder, `a "b" 'c' ü`);
    const entries = await createMountTable({ clock: systemClock }).read(0);
    const found = entries.find(({ path }) => path === mounted.path);
    assert.equal(found?.type, "fuse.bindfs");
    assert.ok(found.deviceMinor > 0);
    assert.equal(found.path, join(folder, `a "b" 'c' ü`));
  });
});

// macOS's mount table: the kernel's answer over a double with its struct, identities, and what may be read.
const skip = (await doublesUnavailable()) ?? false;

async function createDouble(source: string) {
  const path = await buildDouble(source);
  const library = (await loadKoffi()).load(path);
  return {
    path,
    bytes: library.func("int double_statfs_bytes()"),
    clear: library.func("void double_clear()"),
    fail: library.func("void double_fail_getfsstat(int)"),
    grow: library.func("void double_grow(int)"),
    askedToWait: library.func("int double_asked_to_wait()"),
    add: library.func(
      "void double_add(const char *, const char *, const char *, uint32_t, uint32_t, int32_t)",
    ),
  };
}

/** On an Intel Mac a library without the suffixed name would show the system's own, which it is linked with. */
const SOURCES =
  process.platform === "darwin" && process.arch === "x64"
    ? ["getfsstat-intel.c"]
    : ["getfsstat.c", "getfsstat-intel.c"];

for (const source of SOURCES) {
  describe(`getfsstat over the double ${source}`, { skip }, async () => {
    if (skip !== false) return;
    const double = await createDouble(source);
    const read = await loadGetfsstat(double.path);

    it("reads the struct as the compiler lays it out", () => {
      assert.equal(double.bytes(), STATFS_BYTES);
      double.clear();
      double.add("/dev/disk3s1s1", "/", "apfs", 0, 0x1 | 0x1000 | 0x80_0000, 16777234);
      double.add("//ann@nas/caf%C3%A9", "/Volumes/café on (x, y)\n//evil@h/s", "smbfs", 501, 0x18, -3);
      assert.deepEqual(read(), [
        {
          fsid: "16777234:26",
          path: "/",
          type: "apfs",
          source: "/dev/disk3s1s1",
          options: ["read-only", "local", "journaled"],
          ownerId: 0,
        },
        {
          fsid: "-3:26",
          path: "/Volumes/café on (x, y)\n//evil@h/s",
          type: "smbfs",
          source: "//ann@nas/caf%C3%A9",
          options: ["nosuid", "nodev"],
          ownerId: 501,
        },
      ]);
      assert.equal(double.askedToWait(), 0, "no file system was asked");
    });

    it("names that fill their field have no end mark", () => {
      double.clear();
      const long = `/${"x".repeat(1_023)}`;
      double.add("//u@h/s", long, "sixteen-letters!", 0, 0, 1);
      assert.deepEqual(pluck(read(), "path", "type"), [[long, "sixteen-letters!"]]);
    });

    it("mounts made between counting and reading are not lost", () => {
      double.clear();
      double.add("//u@h/s", "/Volumes/s", "smbfs", 0, 0, 1);
      double.grow(20);
      assert.equal(read().length, 21);
    });

    it("an empty table is empty, a refusal is thrown", () => {
      double.clear();
      assert.deepEqual(read(), []);
      double.fail(1);
      assert.throws(read, /getfsstat failed/);
      double.fail(0);
    });
  });
}

it("without getfsstat, loading it rejects", { skip: skip || NOT_ON_A_MAC }, async () => {
  await assert.rejects(loadGetfsstat());
});

const ownerId = process.getuid?.() ?? 0;
const darwinLine = (part: Partial<MountLine>): MountLine => ({
  fsid: "1:26",
  path: "/Volumes/core",
  type: "smbfs",
  source: "//ann@nas/core",
  options: [],
  ownerId,
  ...part,
});

describe("macOS's table of mounts", () => {
  const tableOf = (lines: () => readonly MountLine[]) =>
    createMountTableDarwin({ clock: systemClock, load: () => Promise.resolve(lines) });
  const now = (): number => systemClock.monotonicMs();

  it("gives a mount one id while it lasts, and another to any later one", async () => {
    let lines = [darwinLine({})];
    const table = tableOf(() => lines);
    const [first] = await table.read(now());
    assert.equal((await table.read(now()))[0]?.id, first?.id);
    lines = [darwinLine({ source: "//ann@tb/core" })];
    const [other] = await table.read(now());
    assert.notEqual(other?.id, first?.id);
    lines = [];
    assert.deepEqual(await table.read(now()), []);
    lines = [darwinLine({})];
    assert.notEqual((await table.read(now()))[0]?.id, first?.id, "its number is used again");
    lines = [darwinLine({}), darwinLine({ fsid: "2:26", path: "/Volumes/core-1" })];
    const ids = (await table.read(now())).map(({ id }) => id);
    assert.equal(new Set(ids).size, 2);
  });

  it("of mounts over one path shows the last", async () => {
    const table = tableOf(() => [darwinLine({ source: "//a/b" }), darwinLine({ fsid: "2:26" })]);
    assert.deepEqual(pluck(await table.read(0), "source"), ["//ann@nas/core"]);
  });

  it("marks another user's mounts, but not for root, who may enter everywhere", async () => {
    const table = tableOf(() => [darwinLine({}), darwinLine({ path: "/b", ownerId: 7 })]);
    assertEach(await table.read(0), ({ options }) => options.includes(ANOTHER_USERS), [false, ownerId !== 0]);
  });

  it("shares a reading that is recent enough, and reads again after a failure", async () => {
    let readings = 0;
    const table = tableOf(() => {
      readings++;
      if (readings === 2) throw new Error("on purpose");
      return [];
    });
    await Promise.all([table.read(0), table.read(0)]);
    assert.equal(readings, 1);
    await assert.rejects(table.read(now() + 1), /on purpose/);
    await table.read(0);
    assert.equal(readings, 3);
  });

  it("without koffi it reports the missing module, and stops trying", async () => {
    let loads = 0;
    const table = createMountTableDarwin({
      clock: systemClock,
      load() {
        loads++;
        return Promise.reject(new Error("no koffi"));
      },
    });
    await assert.rejects(table.read(now()), { code: "driver_unavailable", message: /without koffi/ });
    await assert.rejects(table.read(now() + 1), { code: "driver_unavailable" });
    assert.equal(loads, 1);
  });
});

test("A2 EPERM under launchd is the privacy of network volumes, EACCES the server's rights, all else neither", () => {
  const cause = (errno: string, underLaunchd: boolean): string | null => {
    const denied = meaningOfDenied(errno, "/Volumes/core", underLaunchd);
    return denied && (denied.title.startsWith("macOS") ? "network_volumes" : "server_rights");
  };
  assert.equal(cause("EPERM", true), "network_volumes");
  assert.equal(cause("EPERM", false), "server_rights");
  assert.equal(cause("EACCES", true), "server_rights");
  assert.equal(cause("EACCES", false), "server_rights");
  for (const errno of ["EIO", "ESTALE", "ETIMEDOUT", "ENOTCONN", "ENOENT", ""])
    assert.equal(cause(errno, true), null, errno);
  assert.match(meaningOfDenied("EPERM", "/Volumes/core", true)?.hint ?? "", /Network Volumes/);
});

test("a process belongs to the service if launchd gave it our label, whatever its parent is", () => {
  for (const label of ["io.github.mountaineer", "io.github.mountaineer-0a1b2c3d"])
    assert.ok(isOurAgent({ XPC_SERVICE_NAME: label }), label);
  for (const label of ["0", "", "com.example.mountaineer", "io.github.mountaineers", "application.com.iterm"])
    assert.ok(!isOurAgent({ XPC_SERVICE_NAME: label }), label);
  assert.ok(!isOurAgent({}));
});
