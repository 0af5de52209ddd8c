// What servers write that is not one message on each line: how long reading it takes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { mixedLine, unreadableAnswer } from "../../../../src/gateway/backends/transports/odd-output.ts";
import { TEXT_BOUNDS } from "../../../../src/runtime/text/bounds.ts";

test("D9 E4 a line made to be read slowly is read at once", () => {
  const begun = '{"jsonrpc":"2.0","id":1,"bad":NaN,"text":"';
  for (const [piece, end] of [
    ['\\"', ""],
    ['\\"', "\\"],
    ['"', ""],
    ["{", ""],
    ['{"', ""],
    ["NaN-", ""],
  ] as const) {
    const line = begun + piece.repeat((TEXT_BOUNDS.oddLine.most - begun.length - 1) / piece.length) + end;
    const before = performance.now();
    assert.equal(unreadableAnswer(line), null);
    assert.equal(mixedLine(line), null);
    assert.ok(performance.now() - before < 5_000, piece);
  }
  assert.equal(unreadableAnswer(`${begun}a \\" quote"}`), 1);
});
