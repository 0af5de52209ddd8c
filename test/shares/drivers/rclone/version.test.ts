// What an rclone costs, by its version.
import assert from "node:assert/strict";
import { test } from "node:test";
import { stockCosts } from "../../../../src/shares/drivers/rclone/version.ts";

test("A16 A11 a stock rclone has drawbacks by its version, named with the fix here; an engine has none", async () => {
  const costs = async (minor: number, engine: number | null, isClone: boolean) =>
    stockCosts({ major: 1, minor, engine }, () => Promise.resolve(isClone));
  for (const [minor, ends] of [
    [60, true],
    [68, true],
    [69, false],
    [76, false],
  ] as const) {
    const { text = "", hint = "" } = (await costs(minor, null, false)) ?? {};
    const what = ends ? /^works, with known problems \(docs\/reference\/drivers\.md\)$/ : /^reads .* slower/;
    assert.match(text.replace(`rclone 1.${minor} `, ""), what);
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
