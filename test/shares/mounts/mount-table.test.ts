// The mount table: hostile names, ids that are used again, and readings that are shared.
import assert from "node:assert/strict";
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { createMountTable } from "../../../src/shares/mounts/mount-table.ts";
import { createMountTableLinux } from "../../../src/shares/mounts/mount-table-linux.ts";
import { parseMountInfo } from "../../../src/shares/mounts/mount-table-mountinfo.ts";
import { missingForFuse, mountLocalFuse } from "../../rig/local-fuse-mount.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

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
    assert.deepEqual(
      parseMountInfo(Buffer.from(text)).map(({ path, type, source }) => [path, type, source]),
      [
        ["/", "ext4", "/dev/sda"],
        ["/b", "xfs", "/dev/sdb"],
      ],
    );
  });

  it("spells blanks, tabs, newlines and backslashes in octal; the rest is UTF-8", () => {
    const path = "/mnt/M\\040\\303x\\011t\\012n\\134b ü日本".replace(" ", "\\040");
    const [parsed] = parseMountInfo(
      Buffer.from(line(1, 2, path.replace("\\303x", "é"), "//h/a\\040-\\040b\\043c")),
    );
    assert.equal(parsed?.path, "/mnt/M é\tt\nn\\b ü日本");
    assert.equal(parsed?.source, "//h/a - b#c");
  });

  it("that is cut off or empty is left out", () => {
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
    assert.deepEqual(
      (await table.read(0)).map(({ source }) => source),
      ["//h/2", "//h/3"],
    );
  });

  it("is read once for all who ask at once, and again for one who wants it newer", async () => {
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

  it("that cannot be read rejects, and is read again for the next", async () => {
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
    assert.equal(found?.type, "fuse.rclone");
    assert.ok(found.deviceMinor > 0);
    assert.equal(found.path, join(folder, `a "b" 'c' ü`));
  });
});
