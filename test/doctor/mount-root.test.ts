import assert from "node:assert/strict";
import test from "node:test";
import { examineMountRoot } from "../../src/doctor/macos-mounts.ts";

const share = (driver: "netfs" | "rclone", shareName: string) => ({ driver, shareName });
const told = (...args: Parameters<typeof examineMountRoot>): readonly string[] =>
  examineMountRoot(...args).map(({ severity, code }) => `${severity} ${code}`);

test("on a Mac a mount_root outside /Volumes is warned of, as the system may ask about each mount", () => {
  const [found] = examineMountRoot("/Users/ann/mounts", [share("netfs", "core"), share("netfs", "media")]);
  assert.deepEqual([found?.severity, found?.code], ["warning", "mount_root_outside_volumes"]);
  assert.match(found?.text ?? "", /\/Users\/ann\/mounts.*macOS 15/);
  assert.match(found?.hint ?? "", /leave mount_root out/);
});

test("where two shares have one name on their servers it is needed, and only told", () => {
  assert.deepEqual(told("/Users/ann/mounts", [share("netfs", "core"), share("netfs", "core")]), [
    "info mount_root_outside_volumes",
  ]);
});

test("in /Volumes, without a configuration, and where the system does not mount, there is nothing to say", () => {
  assert.deepEqual(told("/Volumes", [share("netfs", "core")]), []);
  assert.deepEqual(told(null, []), []);
  assert.deepEqual(told("/home/ann/mounts", [share("rclone", "core"), share("rclone", "core")]), []);
});
