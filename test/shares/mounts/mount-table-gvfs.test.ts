// Shares that the desktop has mounted: real folders in the place of /run/user/UID/gvfs, listed by a real prober.
import assert from "node:assert/strict";
import { mkdir, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import type { MountTable } from "../../../src/shares/mounts/mount-entry.ts";
import {
  GVFS_SHARE,
  gvfsSource,
  isGvfsMount,
  withGvfsShares,
} from "../../../src/shares/mounts/mount-table-gvfs.ts";
import { createMountTableLinux } from "../../../src/shares/mounts/mount-table-linux.ts";
import type { FolderListing } from "../../../src/shares/prober/prober.ts";
import { fileProber } from "../../support/file-prober.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const proberOfFile = fileProber({ clock: systemClock, logger: silentLogger });

const line = (path: string, userId = 1000): string =>
  `90 23 0:61 / ${path} rw,nosuid,nodev,relatime shared:9 - fuse.gvfsd-fuse gvfsd-fuse rw,user_id=${userId},group_id=${userId}\n`;

function tableOf(text: () => string, clock = systemClock): MountTable {
  return createMountTableLinux({ clock, readTable: () => Promise.resolve(Buffer.from(text())) });
}

async function gvfs(t: TestContext): Promise<string> {
  const folder = join(await temporaryFolder(t), "gvfs");
  await mkdir(folder);
  return folder;
}

describe("the desktop's name of a share", () => {
  for (const [name, source] of [
    ["smb-share:server=nas.local,share=core", "//nas.local/core"],
    ["smb-share:domain=WORK,port=4450,server=10.0.0.1,share=core,user=ann", "//10.0.0.1:4450/core"],
    ["smb-share:server=nas,share=my%20share%2c%20too", "//nas/my share, too"],
    ["smb-share:server=nas,share=my share", "//nas/my share"],
    ["smb-share:server=%5Bfe80::1%5D,share=core", "//[fe80::1]/core"],
    ["smb-share:server=nas,share=100%25", "//nas/100%25"],
    ["smb-share:server=nas,share=größe", "//nas/größe"],
    ["smb-share:server=nas,share=core,prefix=%2Fsub", null],
    ["smb-share:server=nas", null],
    ["smb-share:share=core", null],
    ["smb-share:server=,share=", null],
    ["smb-share:server=nas,share=..%2F..", null],
    ["smb-share:server=nas,share=core,port=70000", null],
    ["smb-share:server=nas,share=core,port=x", null],
    ["smb-server:server=nas", null],
    ["sftp:host=nas,user=ann", null],
    ["", null],
  ] as const) {
    it(`${JSON.stringify(name)} is ${source ?? "no share's"}`, () => assert.equal(gvfsSource(name), source));
  }
});

describe("the table with the desktop's shares", () => {
  it("shows each as a mount of its own at its folder, and nothing else that is there", async (t) => {
    const folder = await gvfs(t);
    await mkdir(join(folder, "smb-share:server=nas.local,share=core,user=ann"));
    await mkdir(join(folder, "smb-share:server=10.0.0.1,port=4450,share=my share"));
    await mkdir(join(folder, "sftp:host=nas"));
    await writeFile(join(folder, "smb-share:server=nas,share=a-file"), "");
    const prober = proberOfFile();
    const table = withGvfsShares(
      tableOf(() => line(folder)),
      { clock: systemClock, prober, userId: 1000 },
    );
    const [mount, ...shares] = await table.read(systemClock.monotonicMs());
    assert.equal(mount?.type, "fuse.gvfsd-fuse");
    assert.deepEqual(
      shares.map(({ path, type, source }) => [path, type, source]),
      [
        [
          join(folder, "smb-share:server=10.0.0.1,port=4450,share=my share"),
          GVFS_SHARE,
          "//10.0.0.1:4450/my share",
        ],
        [join(folder, "smb-share:server=nas.local,share=core,user=ann"), GVFS_SHARE, "//nas.local/core"],
      ],
    );
    assert.deepEqual(
      [mount, ...shares].map((one) => one !== undefined && isGvfsMount(one)),
      [false, true, true],
    );
  });

  it("another user's, and a machine without it, are asked nothing", async () => {
    const prober = { folders: () => Promise.reject(new Error("asked")) };
    for (const text of ["", line("/run/user/1001/gvfs", 1001)]) {
      const plain = tableOf(() => text);
      const table = withGvfsShares(plain, { clock: systemClock, prober, userId: 1000 });
      assert.equal(await table.read(0), await plain.read(0));
    }
  });

  it("is the same object until something changes; one that was away is another mount", async (t) => {
    const folder = await gvfs(t);
    const share = join(folder, "smb-share:server=nas,share=core");
    await mkdir(share);
    const clock = createManualClock();
    const prober = proberOfFile();
    const table = withGvfsShares(
      tableOf(() => line(folder), clock),
      { clock, prober, userId: 1000 },
    );
    const read = async () => {
      await clock.advance(1_000);
      return table.read(clock.monotonicMs());
    };
    const first = await read();
    assert.equal(await read(), first);
    await rmdir(share);
    assert.equal((await read()).length, 1);
    await mkdir(share);
    const again = await read();
    assert.equal(again.length, 2);
    assert.notEqual(again[1]?.id, first[1]?.id);
  });

  it("is listed once a second for all who ask, and a listing that hangs or fails holds nobody up", async () => {
    const clock = createManualClock();
    let asked = 0;
    let answer: FolderListing | null = {
      state: "listed",
      folders: ["smb-share:server=nas,share=core"],
      truncated: false,
    };
    const prober = {
      folders: async () => {
        asked++;
        return answer;
      },
    };
    const table = withGvfsShares(
      tableOf(() => line("/run/user/1000/gvfs"), clock),
      { clock, prober, userId: 1000 },
    );
    const readings = await Promise.all([table.read(0), table.read(clock.monotonicMs()), table.read(0)]);
    assert.deepEqual([asked, readings.map(({ length }) => length)], [1, [2, 2, 2]]);
    await clock.advance(999);
    await table.read(clock.monotonicMs());
    assert.equal(asked, 1);
    await clock.advance(1);
    answer = null;
    assert.equal((await table.read(clock.monotonicMs())).length, 2, "what hangs is still there");
    await clock.advance(1_000);
    answer = { state: "failed", errno: "ENOTCONN" };
    assert.equal((await table.read(clock.monotonicMs())).length, 1);
    assert.equal(asked, 3);
  });
});
