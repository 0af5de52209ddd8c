import assert from "node:assert/strict";
import { test } from "node:test";
import { createCallerMarks, takeCaller, withCaller } from "../../src/gateway/caller-marks.ts";

test("G1 a client is told apart by what says nothing of its session, and only by its own gateway", () => {
  const [marks, others] = [createCallerMarks(), createCallerMarks()];
  const [ann, bob] = [{ sessionId: "session-of-ann" }, { sessionId: "session-of-bob" }];
  assert.equal(marks(ann), marks({ ...ann }));
  assert.equal(new Set([marks(ann), marks(bob), others(ann)]).size, 3);
  assert.ok(!marks(ann).includes("ann"));
  const params = { name: "x", _meta: { other: 1 } };
  const said = withCaller(params, marks(ann));
  assert.deepEqual(takeCaller(said), { caller: marks(ann), params });
  assert.equal(takeCaller(params).params, params);
  // What a client says of itself is not passed on.
  assert.deepEqual(withCaller(said, null), params);
  assert.equal(takeCaller(withCaller(said, marks(bob))).caller, marks(bob));
  for (const wrong of [1, "", "x".repeat(1_000), {}, null]) {
    assert.equal(takeCaller({ _meta: { "mountaineer/caller": wrong } }).caller, null);
  }
});
