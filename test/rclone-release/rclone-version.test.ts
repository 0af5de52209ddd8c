// An rclone's version, as the program prints it and as a file holds it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRcloneVersion } from "../../src/rclone-release/rclone-version.ts";

test("an engine is recognized by its version, and no other rclone is taken for one", () => {
  for (const [text, expected] of [
    ["rclone v1.76.0-mountaineer.12\n- os/version: debian 12.1\n", { major: 1, minor: 76, engine: 12 }],
    ["v1.76.0-mountaineer.3", { major: 1, minor: 76, engine: 3 }],
    ["1.76.0-mountaineer.3\n", { major: 1, minor: 76, engine: 3 }],
    ["1.75.1", { major: 1, minor: 75, engine: null }],
    ["rclone v1.60.1-DEV\n", { major: 1, minor: 60, engine: null }],
    ["rclone v1.76.0-mountaineering.1\n", { major: 1, minor: 76, engine: null }],
    ["rclone v1.76.0-mountaineer.1-dirty\n", { major: 1, minor: 76, engine: null }],
    ["rclone v1.76.0\n- go/version: v1.76.0-mountaineer.1\n", { major: 1, minor: 76, engine: null }],
    ["mountaineer v1.76.0", null],
    ["", null],
  ] as const)
    assert.deepEqual(parseRcloneVersion(text), expected, text);
});
