import assert from "node:assert/strict";
import { test } from "node:test";
import { exactLocalClock, localClock, localDay } from "../../../src/runtime/time/local-time.ts";

test("a time is told in this machine's zone, each part with its zeros", () => {
  const at = new Date(2026, 0, 2, 3, 4, 5, 6);
  assert.equal(localDay(at), "2026-01-02");
  assert.equal(localClock(at), "03:04:05");
  assert.equal(exactLocalClock(at), "03:04:05.006");
});
