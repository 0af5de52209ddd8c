import assert from "node:assert/strict";
import test from "node:test";
import { logLevel } from "../../../src/daemon/compose/log-level.ts";

for (const [wanted, level] of [
  [undefined, "info"],
  ["", "info"],
  ["debug", "debug"],
  ["DEBUG", "debug"],
  ["info", "info"],
  ["warn", "warn"],
  ["error", "error"],
  ["trace", "info"],
  [" debug", "info"],
] as const) {
  test(`MOUNTAINEER_LOG=${wanted ?? "(unset)"} logs from ${level} up`, () => {
    assert.equal(logLevel(wanted === undefined ? {} : { MOUNTAINEER_LOG: wanted }), level);
  });
}
