// Shares that are mounted already, and who has a mount path.
import assert from "node:assert/strict";
import { test } from "node:test";
import { sharesOfFstab, sharesOfTable } from "../../../src/shares/mounts/found-shares.ts";
import { fstabPath } from "../../../src/shares/mounts/fstab.ts";
import type { MountEntry } from "../../../src/shares/mounts/mount-entry.ts";
import { pluck } from "../../support/pluck.ts";

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
    entry("smbfs", "//ann%20b:hidden@nas._smb._tcp.local/caf%C3%A9"),
    entry("fuse.gvfsd-fuse", "gvfsd-fuse"),
    entry("fuse.rclone", "remote:folder"),
    entry("ext4", "//nas/core"),
    entry("nfs4", "nas:/core"),
  ]);
  assert.deepEqual(pluck(found, "host", "share", "user", "by"), [
    ["nas.local", "core", "ann", "kernel"],
    ["10.0.0.2", "Media Files", null, "kernel"],
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
