// Shares that are mounted already, and who has a mount path.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, readdir, readlink, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { sharesOfFstab, sharesOfTable } from "../../../src/shares/mounts/found-shares.ts";
import { fstabPath } from "../../../src/shares/mounts/fstab.ts";
import { createMountClaims, ownRuntimeFolder } from "../../../src/shares/mounts/mount-claims.ts";
import type { MountEntry } from "../../../src/shares/mounts/mount-entry.ts";
import { eventually } from "../../support/eventually.ts";
import { pluck } from "../../support/pluck.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const entry = (type: string, source: string, options: readonly string[] = []): MountEntry => ({
  id: "1",
  path: "/mnt/x",
  type,
  source,
  options,
  deviceMinor: 0,
});

test("shares are found in the table of mounts, with their users and never a password", () => {
  const found = sharesOfTable([
    entry("cifs", "//nas.local/core", ["rw", "username=ann", "password=hidden"]),
    entry("smb3", "//10.0.0.2/Media Files"),
    entry("fuse.rclone", "//10.99.1.2:4451/CORE"),
    entry("fuse.rclone", "//127.0.0.1/DATA"),
    entry("smbfs", "//ann%20b:hidden@nas._smb._tcp.local/caf%C3%A9"),
    entry("fuse.gvfsd-fuse", "gvfsd-fuse"),
    entry("fuse.rclone", "remote:folder"),
    entry("ext4", "//nas/core"),
    entry("nfs4", "nas:/core"),
  ]);
  assert.deepEqual(pluck(found, "host", "share", "user", "by"), [
    ["nas.local", "core", "ann", "kernel"],
    ["10.0.0.2", "Media Files", null, "kernel"],
    ["10.99.1.2:4451", "CORE", null, "rclone"],
    ["127.0.0.1", "DATA", null, "rclone"],
    ["nas._smb._tcp.local", "café", "ann b", "kernel"],
  ]);
  assert.doesNotMatch(JSON.stringify(found), /hidden/);
});

test("shares are found in fstab", () => {
  const found = sharesOfFstab(`# //nas/no /mnt cifs
UUID=1 / ext4 defaults 0 1
//nas/my\\040share  /mnt/my\\040share  cifs  credentials=/root/hidden,user=ann,uid=1000  0  0
//nas/open\t/mnt/open\tsmb3\tguest 0 0
//broken
`);
  assert.deepEqual(found, [
    { host: "nas", share: "my share", path: "/mnt/my share", by: "fstab", user: "ann" },
    { host: "nas", share: "open", path: "/mnt/open", by: "fstab", user: null },
  ]);
});

test("a folder in a line of fstab has no slash at its end", () => {
  assert.deepEqual([fstabPath("//nas/a / cifs"), fstabPath("//nas/a /a/ cifs")], ["/", "/a"]);
});

test("a relayed mount and its line in fstab lead to Mountaineer, and do not count as a server's share", () => {
  const source = "//127.0.0.1/CORE";
  assert.deepEqual(sharesOfFstab(`${source} /mnt/core cifs users,noauto,port=30123,hard,guest 0 0`), []);
  assert.deepEqual(sharesOfTable([entry("cifs", source, ["rw", "username=ann"])]), []);
});

const CORE = "/mnt/CORE";

describe("a mount path", () => {
  test("A13 belongs to one home at a time, and passes to the next when that one releases it", async (t) => {
    const folder = await temporaryFolder(t);
    const logger = createRecordingLogger();
    const first = createMountClaims({ home: "/home/one", logger, folder });
    const second = createMountClaims({ home: "/home/two", logger, folder });
    const successor = createMountClaims({ home: "/home/one", logger, folder });
    assert.equal(await first.claim(CORE), null);
    assert.equal(await first.claim(CORE), null, "asked with each look");
    assert.equal(await second.claim(CORE), "/home/one");
    assert.equal(await second.claim("/mnt/DATA"), null);
    assert.equal(await successor.claim(CORE), null, "the same home's next daemon waits for nobody");
    await first.release(CORE);
    assert.equal(await second.claim(CORE), null);
    assert.equal(await first.claim(CORE), "/home/two");
    await Promise.all([first, second, successor].map((claims) => claims[Symbol.asyncDispose]()));
    assert.deepEqual(await readdir(folder), [], "nothing is left behind");
    const descriptors = await readdir("/proc/self/fd").catch(() => []);
    const open = await Promise.all(descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));
    assert.deepEqual(
      open.filter((file) => file.startsWith(folder)),
      [],
    );
    assert.deepEqual(logger.lines, []);
  });

  test("A13 stays its home's own when another program cleans up the folder of claims", async (t) => {
    const folder = await temporaryFolder(t);
    await using claims = createMountClaims({ home: "/home/one", logger: createRecordingLogger(), folder });
    assert.equal(await claims.claim(CORE), null);
    for (const name of await readdir(folder)) if (name.endsWith(".home")) await rm(path.join(folder, name));
    assert.equal(await claims.claim(CORE), null);
  });

  test("A13 is free at once when the daemon that had it is killed", async (t) => {
    const folder = await temporaryFolder(t);
    const module = path.resolve(import.meta.dirname, "../../../src/shares/mounts/mount-claims.ts");
    const script = `
      const { createMountClaims } = await import(${JSON.stringify(module)});
      const logger = { debug() {}, info() {}, warn() {}, error() {} };
      const claims = createMountClaims({ home: "/home/one", logger, folder: ${JSON.stringify(folder)} });
      await claims.claim(${JSON.stringify(CORE)});
      console.log("has it");
      // Else nothing refers to them any more, and the lock goes with the garbage.
      setInterval(() => claims, 1000);
    `;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.after(() => child.kill("SIGKILL"));
    await once(child.stdout, "data");
    const second = createMountClaims({ home: "/home/two", logger: createRecordingLogger(), folder });
    assert.equal(await second.claim(CORE), "/home/one");
    child.kill("SIGKILL");
    await once(child, "exit");
    await eventually(async () => (await second.claim(CORE)) === null);
    await second[Symbol.asyncDispose]();
  });

  test("A13 a runtime folder that another user could read or write, or that is a file, is refused", async (t) => {
    const folder = path.join(await temporaryFolder(t), "runtime");
    assert.equal(await ownRuntimeFolder(folder), folder);
    await chmod(folder, 0o710);
    await assert.rejects(ownRuntimeFolder(folder), /must belong to this user, with mode 0700/);
    const file = `${folder}.file`;
    await writeFile(file, "", { mode: 0o600 });
    await assert.rejects(ownRuntimeFolder(file), /must belong to this user, with mode 0700/);
    if (process.getuid?.() !== 0) return t.skip("needs root, for a folder of another owner");
    await mkdir(`${folder}.other`, { mode: 0o700 });
    await chown(`${folder}.other`, 4711, 4711);
    await assert.rejects(ownRuntimeFolder(`${folder}.other`), /must belong to this user, with mode 0700/);
  });

  test("A13 a runtime folder below one of another user's is refused: it cannot be made there", async (t) => {
    const { getuid } = process;
    if (getuid?.() !== 0) return t.skip("only root can make another user's folder");
    const uid = 2_000_000_000 + process.pid;
    const [own, instead] = [`/run/user/${uid}`, `/tmp/mountaineer-${uid}`];
    t.after(() => Promise.all([own, instead].map((folder) => rm(folder, { recursive: true, force: true }))));
    await mkdir(own, { recursive: true });
    t.after(() => {
      process.getuid = getuid;
    });
    process.getuid = () => uid;
    // It is made there by root, whom the check refuses.
    await assert.rejects(ownRuntimeFolder(), {
      message: `${instead} must belong to this user, with mode 0700`,
    });
  });

  test("A13 that cannot be locked is used all the same, and this is reported once", async (t) => {
    const logger = createRecordingLogger();
    const folder = path.join(await temporaryFolder(t), "missing");
    const claims = createMountClaims({ home: "/home/one", logger, folder });
    assert.equal(await claims.claim(CORE), null);
    assert.equal(await claims.claim(CORE), null);
    assert.equal(logger.lines.length, 1);
  });
});
