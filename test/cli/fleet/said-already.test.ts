import assert from "node:assert/strict";
import { test } from "node:test";
import { saysAlready } from "../../../src/cli/fleet/layer-commands.ts";

test("G1 an earlier revision that somebody plays back says nothing already", () => {
  const report = (revision: number, accepted: number) => ({
    operator: "U",
    accepted,
    newest: { revision, time: null, by: null, problem: null, sequence: 9 },
    text: "# one",
  });
  assert.equal(saysAlready(report(7, 7), "# one"), true);
  assert.equal(saysAlready(report(7, 7), "# two"), false);
  assert.equal(saysAlready(report(3, 7), "# one"), false);
});
