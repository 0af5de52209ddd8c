// A mount is known by its id and its path.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { isPresent } from "../../../src/carrier/system/mount-presence.ts";
import { hasMount } from "../../../src/carrier/system/mount-presence-linux.ts";
import { processIdentity } from "../../../src/runtime/process/process-identity.ts";

const TABLE = [
  "36 25 0:45 / /home/me/NAS\\040Core rw shared:1 - fuse.rclone //nas/CORE rw",
  "37 25 0:46 / /mnt/plain rw - cifs //nas/PLAIN rw",
].join("\n");

describe("the presence of a mount", () => {
  test("A10 needs the id and the path to agree, for ids are given again", () => {
    assert.equal(hasMount(TABLE, { id: "36", path: "/home/me/NAS Core" }), true);
    assert.equal(hasMount(TABLE, { id: "36:0:45:3", path: "/home/me/NAS Core" }), true);
    assert.equal(hasMount(TABLE, { id: "36:0:46", path: "/home/me/NAS Core" }), false);
    assert.equal(hasMount(TABLE, { id: "37", path: "/home/me/NAS Core" }), false);
    assert.equal(hasMount(TABLE, { id: "38", path: "/mnt/plain" }), false);
  });

  test("A10 ends only with the process that serves it", async () => {
    const gone = { id: "999999999", path: "/nowhere" };
    assert.equal(await isPresent({ ...gone, process: null }), false);
    const own = await processIdentity(process.pid);
    assert.ok(own);
    assert.equal(await isPresent({ ...gone, process: own }), true);
    assert.equal(await isPresent({ ...gone, process: { ...own, startTime: "another" } }), false);
  });

  test("A10 is told of a mount of this machine", { skip: process.platform !== "linux" }, async () => {
    const [line = ""] = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
    const [id, , , , path] = line.split(" ");
    assert.ok(id !== undefined && path !== undefined);
    assert.equal(await isPresent({ id, path, process: null }), true);
  });
});
