// Which mounts of the table may be taken for a share that is ours to look after.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isReadable } from "../../../src/shares/drivers/smb-mounts.ts";
import { parseMountInfo } from "../../../src/shares/mount-table-mountinfo.ts";

const OURS = 1000;

function mount(type: string, options: string) {
  const line = `36 35 0:48 / /mnt/CORE rw,nosuid - ${type} //nas/CORE rw,${options}`;
  const [{ device: _, mountId, ...rest } = assert.fail()] = parseMountInfo(Buffer.from(line));
  return { ...rest, id: String(mountId) };
}

describe("a mount that another user made", () => {
  for (const [what, type, options, userId, readable] of [
    ["through FUSE", "fuse.rclone", "user_id=1001,group_id=1001", OURS, false],
    ["through FUSE as root", "fuse.rclone", "user_id=0,group_id=0", OURS, false],
    ["for everyone", "fuse.rclone", "user_id=0,group_id=0,allow_other", OURS, true],
    ["and is ours", "fuse.rclone", "user_id=1000,group_id=1000", OURS, true],
    ["seen by root", "fuse.rclone", "user_id=1001,group_id=1001", 0, true],
    ["in the kernel", "cifs", "uid=1001,addr=10.0.0.1", OURS, true],
  ] as const) {
    it(`${what} is ${readable ? "" : "not "}readable`, () => {
      assert.equal(isReadable(mount(type, options), userId), readable);
    });
  }
});
