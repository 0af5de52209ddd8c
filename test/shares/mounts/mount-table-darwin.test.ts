// macOS's mount table: the kernel's answer over a double with its struct, identities, and what may be read.
import assert from "node:assert/strict";
import test, { describe, it } from "node:test";
import { loadKoffi } from "../../../src/network/native/core-foundation-darwin.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { loadGetfsstat, type MountLine, STATFS_BYTES } from "../../../src/shares/mounts/getfsstat-darwin.ts";
import { ANOTHER_USERS, createMountTableDarwin } from "../../../src/shares/mounts/mount-table-darwin.ts";
import { isUnderLaunchd, meaningOfDenied } from "../../../src/shares/mounts/volume-permission-darwin.ts";
import { buildDouble, doublesUnavailable } from "../../doubles/build-double.ts";
import { pluck } from "../../support/pluck.ts";

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

for (const source of ["getfsstat.c", "getfsstat-intel.c"]) {
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

it("where there is no getfsstat, loading it rejects", { skip }, async () => {
  await assert.rejects(loadGetfsstat());
});

const ownerId = process.getuid?.() ?? 0;
const line = (part: Partial<MountLine>): MountLine => ({
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

  it("gives a mount one id while it stands, and another to whatever comes after", async () => {
    let lines = [line({})];
    const table = tableOf(() => lines);
    const [first] = await table.read(now());
    assert.equal((await table.read(now()))[0]?.id, first?.id);
    lines = [line({ source: "//ann@tb/core" })];
    const [other] = await table.read(now());
    assert.notEqual(other?.id, first?.id);
    lines = [];
    assert.deepEqual(await table.read(now()), []);
    lines = [line({})];
    assert.notEqual((await table.read(now()))[0]?.id, first?.id, "its number is used again");
    lines = [line({}), line({ fsid: "2:26", path: "/Volumes/core-1" })];
    const ids = (await table.read(now())).map(({ id }) => id);
    assert.equal(new Set(ids).size, 2);
  });

  it("of mounts over one path shows the last", async () => {
    const table = tableOf(() => [line({ source: "//a/b" }), line({ fsid: "2:26" })]);
    assert.deepEqual(pluck(await table.read(0), "source"), ["//ann@nas/core"]);
  });

  it("marks what another user made, but not to root, who is let in everywhere", async () => {
    const table = tableOf(() => [line({}), line({ path: "/b", ownerId: 7 })]);
    assert.deepEqual(
      (await table.read(0)).map(({ options }) => options.includes(ANOTHER_USERS)),
      [false, ownerId !== 0],
    );
  });

  it("shares a reading that is new enough, and asks anew after a failure", async () => {
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

  it("without koffi it says what is missing, and asks no more", async () => {
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
  const cause = (errno: string, underLaunchd: boolean): string | null =>
    meaningOfDenied(errno, "/Volumes/core", underLaunchd)?.cause ?? null;
  assert.equal(cause("EPERM", true), "network_volumes");
  assert.equal(cause("EPERM", false), "server_rights");
  assert.equal(cause("EACCES", true), "server_rights");
  assert.equal(cause("EACCES", false), "server_rights");
  for (const errno of ["EIO", "ESTALE", "ETIMEDOUT", "ENOTCONN", "ENOENT", ""])
    assert.equal(cause(errno, true), null, errno);
  assert.match(meaningOfDenied("EPERM", "/Volumes/core", true)?.hint ?? "", /Network Volumes/);
});

test("launchd is the parent and names its service; a terminal's programs are not its", () => {
  assert.ok(isUnderLaunchd({ XPC_SERVICE_NAME: "com.example.mountaineer" }, 1));
  assert.ok(!isUnderLaunchd({ XPC_SERVICE_NAME: "0" }, 1));
  assert.ok(!isUnderLaunchd({ XPC_SERVICE_NAME: "com.example.mountaineer" }, 4711));
  assert.ok(!isUnderLaunchd({ XPC_SERVICE_NAME: "" }, 1));
  assert.ok(!isUnderLaunchd({}, 1));
});
