// What an rclone costs, by its version.
import assert from "node:assert/strict";
import { test } from "node:test";
import { stockCosts } from "../../../../src/shares/drivers/rclone/version.ts";

test("A16 A11 the drawbacks of a stock rclone are listed by its version, with the fix here; an engine has none", async () => {
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
    assert.match(hint, /docs\/use\/install\.md/);
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
