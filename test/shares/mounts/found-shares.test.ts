import assert from "node:assert/strict";
import { test } from "node:test";
import { shareOfGvfsFolder, sharesOfFstab, sharesOfTable } from "../../../src/shares/mounts/found-shares.ts";
import type { MountEntry } from "../../../src/shares/mounts/mount-entry.ts";

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
    entry("smbfs", "//ann%20b:hidden@nas._smb._tcp.local/caf%C3%A9"),
    entry("fuse.rclone", "remote:folder"),
    entry("ext4", "//nas/core"),
    entry("nfs4", "nas:/core"),
  ]);
  assert.deepEqual(
    found.map(({ host, share, user, by }) => [host, share, user, by]),
    [
      ["nas.local", "core", "ann", "kernel"],
      ["10.0.0.2", "Media Files", null, "kernel"],
      ["10.99.1.2:4451", "CORE", null, "rclone"],
      ["nas._smb._tcp.local", "café", "ann b", "kernel"],
    ],
  );
  assert.doesNotMatch(JSON.stringify(found), /hidden/);
});

test("shares are found in fstab", () => {
  const found = sharesOfFstab(`# //nas/no /mnt cifs
UUID=1 / ext4 defaults 0 1
//nas/my\\040share  /mnt/my\\040share  cifs  credentials=/root/hidden,username=ann,uid=1000  0  0
//nas/open\t/mnt/open\tsmb3\tguest 0 0
//broken
`);
  assert.deepEqual(found, [
    { host: "nas", share: "my share", path: "/mnt/my share", by: "fstab", user: "ann" },
    { host: "nas", share: "open", path: "/mnt/open", by: "fstab", user: null },
  ]);
});

test("a carried mount and its line in fstab lead to Mountaineer, and are no server's share", () => {
  const source = "//127.0.0.1/CORE";
  assert.deepEqual(sharesOfFstab(`${source} /mnt/core cifs users,noauto,port=30123,hard,guest 0 0`), []);
  assert.deepEqual(sharesOfTable([entry("cifs", source, ["rw", "username=ann"])]), []);
});

test("shares of the desktop's own mounts are told by the names of their folders", () => {
  const root = "/run/user/1000/gvfs";
  const one = shareOfGvfsFolder("smb-share:domain=office,server=nas.local,share=my%20share,user=ann", root);
  assert.deepEqual(one, [
    {
      host: "nas.local",
      share: "my share",
      user: "ann",
      path: `${root}/smb-share:domain=office,server=nas.local,share=my%20share,user=ann`,
      by: "gvfs",
    },
  ]);
  assert.equal(shareOfGvfsFolder("smb-share:server=nas,share=a,port=4450", root)[0]?.host, "nas:4450");
  for (const other of ["sftp:host=x", "smb-share:server=nas", "smb-share:", "smb-share:server=,share="])
    assert.deepEqual(shareOfGvfsFolder(other, root), []);
});
