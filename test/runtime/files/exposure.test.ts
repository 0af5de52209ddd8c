// Who besides its owner may write or read a file, found out on real files.
import assert from "node:assert/strict";
import { chmod, chown, mkdir, realpath, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  exposureOf,
  type Identity,
  isPrivateGroup,
  ownIdentity,
} from "../../../src/runtime/files/exposure.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const isRoot = process.getuid?.() === 0;
/** As a user whose group is shared with others. */
const ME: Identity = { uid: process.getuid?.() ?? 0, trusted: [0], isPrivateGroup: () => false };

async function scene(t: TestContext): Promise<{ folder: string; file: string }> {
  const folder = await realpath(await temporaryFolder(t));
  // Entered by all, so that it is the file's own mode that counts.
  await chmod(folder, 0o755);
  const file = join(folder, "config.toml");
  await writeFile(file, "");
  await chmod(file, 0o600);
  return { folder, file };
}

test("E2 a private file in a folder that others only enter is writable and readable by no other user", async (t) => {
  const { file } = await scene(t);
  assert.deepEqual(await exposureOf(file, ME), {
    path: file,
    realPath: file,
    writable: null,
    readable: null,
    failure: null,
  });
});

test("E2 bits of the group and of all others let them write, or read", async (t) => {
  const { file } = await scene(t);
  for (const [mode, writable, readable] of [
    [0o666, true, true],
    [0o602, true, false],
    [0o620, true, false],
    [0o644, false, true],
    [0o640, false, true],
    [0o600, false, false],
  ] as const) {
    await chmod(file, mode);
    const found = await exposureOf(file, ME);
    assert.equal(found.writable !== null, writable, mode.toString(8));
    assert.equal(found.readable !== null, readable, mode.toString(8));
    if (found.writable !== null) assert.equal(found.writable.mode, `0${mode.toString(8)}`);
  }
});

test("E2 a group with only the user in it does not count as another user", async (t) => {
  const { file } = await scene(t);
  await chmod(file, 0o660);
  const own = { ...ME, isPrivateGroup: () => true };
  const found = await exposureOf(file, own);
  assert.deepEqual([found.writable, found.readable], [null, null]);
});

test("E2 a file in a closed folder is readable by no other user, whatever its mode", async (t) => {
  const { folder, file } = await scene(t);
  await chmod(file, 0o644);
  await chmod(folder, 0o700);
  assert.equal((await exposureOf(file, ME)).readable, null);
});

test("E2 a folder above that others may write counts, unless it has the sticky bit", async (t) => {
  const { folder, file } = await scene(t);
  await chmod(folder, 0o777);
  const open = await exposureOf(file, ME);
  assert.deepEqual(
    [open.writable?.path, open.writable?.mode, open.writable?.isFolder],
    [folder, "0777", true],
  );
  await chmod(folder, 0o1777);
  assert.equal((await exposureOf(file, ME)).writable, null);
  // As the place itself it does not help: anybody may put files into it.
  assert.equal((await exposureOf(folder, ME)).writable?.path, folder);
});

test("E2 a link counts by its target, and by the folders on both paths", async (t) => {
  const { folder, file } = await scene(t);
  const far = join(folder, "far");
  await mkdir(far);
  await symlink(file, join(far, "link.toml"));
  const closed = await exposureOf(join(far, "link.toml"), ME);
  assert.deepEqual([closed.realPath, closed.writable], [file, null]);
  await chmod(far, 0o777);
  assert.equal((await exposureOf(join(far, "link.toml"), ME)).writable?.path, far);
  await chmod(far, 0o755);
  await chmod(file, 0o666);
  assert.equal((await exposureOf(join(far, "link.toml"), ME)).writable?.path, file);
  await chmod(file, 0o644);
  await chmod(far, 0o700);
  const behind = await exposureOf(join(far, "link.toml"), ME);
  assert.equal(behind.readable?.path, file, "a closed folder before the link does not close the target");
  await symlink("loop", join(folder, "loop"));
  assert.match((await exposureOf(join(folder, "loop"), ME)).failure ?? "", /too many links/);
});

test("E2 a missing file is neither writable nor readable, and the folders above it count all the same", async (t) => {
  const { folder } = await scene(t);
  const missing = join(folder, "secrets.json");
  assert.deepEqual(await exposureOf(missing, ME), {
    path: missing,
    realPath: null,
    writable: null,
    readable: null,
    failure: null,
  });
  await chmod(folder, 0o777);
  assert.equal((await exposureOf(missing, ME)).writable?.path, folder);
});

test("E2 another owner counts, and root does not", { skip: !isRoot && "chown is for root" }, async (t) => {
  const { folder, file } = await scene(t);
  await chown(file, 12_345, 0);
  const found = await exposureOf(file, ME);
  assert.deepEqual([found.writable?.why, found.writable?.uid], ["owner", 12_345]);
  assert.equal(found.readable?.path, file, "its owner may read it");
  await chown(file, 0, 0);
  await chown(folder, 12_345, 0);
  assert.equal((await exposureOf(file, ME)).writable?.path, folder);
  const somebody = { ...ME, uid: 12_345 };
  assert.equal((await exposureOf(file, somebody)).writable, null);
  await chown(folder, 0, 0);
  const inContainer = { ...ME, trusted: [0, 65_534] };
  await chown(folder, 65_534, 0);
  assert.equal((await exposureOf(file, inContainer)).writable, null);
});

const PASSWD =
  "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:100::/home/bob:/bin/sh\n";
const GROUP = "root:x:0:\nann:x:1000:\nusers:x:100:\nteam:x:2000:ann,bob\nlone:x:2001:ann\n";

test("E2 a group is private when it is the user's own by number, name and members", () => {
  const own = { uid: 1000, gid: 1000, passwd: PASSWD, group: GROUP };
  const cases: readonly (readonly [gid: number, own: typeof own, isPrivate: boolean])[] = [
    [1000, own, true],
    [0, own, true],
    [2000, own, false],
    [2001, own, false],
    [100, { ...own, uid: 1001, gid: 100 }, false],
    [1000, { ...own, group: GROUP.replace("ann:x:1000:", "ann:x:1000:bob") }, false],
    [1000, { ...own, passwd: `${PASSWD}eve:x:1002:1000::/:/bin/sh\n` }, false],
    // Root may do everything anyway.
    [1000, { ...own, group: GROUP.replace("ann:x:1000:", "ann:x:1000:root,ann") }, true],
    [1000, { ...own, passwd: PASSWD.replace("root:x:0:0:", "root:x:0:1000:") }, true],
    [0, { ...own, group: GROUP.replace("root:x:0:", "root:x:0:bob") }, false],
    // macOS, where everybody's group is staff and no file lists the users.
    [20, { uid: 501, gid: 20, passwd: "root:*:0:0::/:/bin/sh\n", group: "staff:*:20:root\n" }, false],
    // A directory's user: no file lists it.
    [5000, { uid: 5000, gid: 5000, passwd: "", group: "" }, true],
    [5001, { uid: 5000, gid: 5001, passwd: "", group: "" }, false],
  ];
  for (const [gid, whose, isPrivate] of cases)
    assert.equal(isPrivateGroup(gid, whose), isPrivate, String(gid));
});

test("E2 this process recognizes itself", async () => {
  const identity = await ownIdentity();
  assert.equal(identity.uid, process.getuid?.());
  assert.ok(identity.trusted.includes(0));
});
