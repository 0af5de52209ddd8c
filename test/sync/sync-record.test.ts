import assert from "node:assert/strict";
import test from "node:test";
import {
  NEW_RECORD,
  withProblem,
  withProblemLookedAt,
  withRunning,
  withSaved,
} from "../../src/sync/sync-record.ts";

const at = (monotonicMs: number) => ({ monotonicMs, wallMs: Date.UTC(2026, 0, 1) + monotonicMs });

test("a problem keeps its beginning while it is the same, and counts failures in a row whatever they are", () => {
  const busy = { kind: "failed", sha256: "b", reason: "busy" } as const;
  const first = withProblem(NEW_RECORD, busy, at(0));
  assert.equal(first.isNew, true);
  const second = withProblem(first.record, busy, at(2_000));
  assert.equal(second.isNew, false);
  assert.equal(second.problem.since, first.problem.since);
  assert.equal(second.problem.failures, 2);
  for (const other of [{ reason: "late" }, { sha256: "c" }, { kind: "rejected" } as const]) {
    const third = withProblem(second.record, { ...busy, ...other }, at(4_000));
    assert.equal(third.isNew, true);
    assert.equal(third.problem.since, "2026-01-01T00:00:04.000Z");
    assert.equal(third.problem.failures, 3);
  }
});

test("a problem that was looked at keeps all but the time of the look", () => {
  const { record } = withProblem(NEW_RECORD, { kind: "failed", sha256: "b", reason: "busy" }, at(0));
  assert.deepEqual(withProblemLookedAt(record, at(50)).problem, { ...record.problem, atMs: 50 });
  assert.equal(withProblemLookedAt(NEW_RECORD, at(50)).problem, null);
});

test("what runs clears the problem and is a sync", () => {
  const { record } = withProblem(NEW_RECORD, { kind: "rejected", sha256: "b", reason: "no" }, at(0));
  const running = withRunning(record, at(7));
  assert.equal(running.problem, null);
  assert.equal(running.lastSync, "2026-01-01T00:00:00.007Z");
});

test("B10 noted bytes are expected in the file unless they were just read there", () => {
  assert.equal(withSaved(NEW_RECORD, "b", at(0)).expectedSha256, "b");
  assert.equal(withSaved({ ...NEW_RECORD, lastReadSha256: "b" }, "b", at(0)).expectedSha256, null);
});
