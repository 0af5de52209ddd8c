import assert from "node:assert/strict";
import test from "node:test";
import { isUnderLaunchd, meaningOfDenied } from "../../../src/shares/mounts/volume-permission-darwin.ts";

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
