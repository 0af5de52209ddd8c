// What `rclone version` tells.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRcloneVersion, stockCosts } from "../../../../src/shares/drivers/rclone/version.ts";

test("an engine is known by its version, and no other rclone is taken for one", () => {
  for (const [text, expected] of [
    ["rclone v1.76.0-mountaineer.12\n- os/version: debian 12.1\n", { major: 1, minor: 76, engine: 12 }],
    ["v1.76.0-mountaineer.3", { major: 1, minor: 76, engine: 3 }],
    ["rclone v1.60.1-DEV\n", { major: 1, minor: 60, engine: null }],
    ["rclone v1.76.0-mountaineering.1\n", { major: 1, minor: 76, engine: null }],
    ["rclone v1.76.0\n- go/version: v1.76.0-mountaineer.1\n", { major: 1, minor: 76, engine: null }],
    ["mountaineer v1.76.0", null],
  ] as const)
    assert.deepEqual(parseRcloneVersion(text), expected, text);
});

test("A16 A11 what a stock rclone costs is told by its version, with what cures it here; an engine costs nothing", async () => {
  const costs = async (minor: number, engine: number | null, isClone: boolean) =>
    stockCosts({ major: 1, minor, engine }, () => Promise.resolve(isClone));
  for (const [minor, ends, isOldest] of [
    [60, true, true],
    [61, true, false],
    [68, true, false],
    [69, false, false],
    [76, false, false],
  ] as const) {
    const { text = "", hint = "" } = (await costs(minor, null, false)) ?? {};
    assert.match(text, new RegExp(`^rclone 1\\.${minor} reads .* slower`));
    assert.equal(/may end/.test(text), ends, text);
    assert.equal(/cp -p.*df.*undo.*end in a dot/.test(text), isOldest, text);
    assert.equal(/mountaineer rclone install/.test(hint), ends, hint);
    assert.match(hint, /docs\/install\.md/);
    assert.match((await costs(minor, null, true))?.hint ?? "", /npm run engine/);
    assert.equal(await costs(minor, 1, true), null);
  }
  assert.equal(await stockCosts(null), null);
  assert.match(
    (await stockCosts({ major: 1, minor: 76, engine: null }))?.hint ?? "",
    /npm run engine/,
    "here",
  );
});
