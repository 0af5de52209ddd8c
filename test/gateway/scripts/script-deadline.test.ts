import assert from "node:assert/strict";
import { test } from "node:test";
import { ScriptDeadline } from "../../../src/gateway/scripts/script-deadline.ts";
import { createManualClock } from "../../support/manual-clock.ts";

test("a script's time pauses while a person is asked, for an hour of all questions at most", async () => {
  const clock = createManualClock();
  let late = 0;
  using deadline = new ScriptDeadline(clock, 1_000, () => {
    late += 1;
  });
  for (const minutes of [30, 29]) {
    const answered = Promise.withResolvers<void>();
    const asking = deadline.without(() => answered.promise);
    await clock.advance(minutes * 60_000);
    answered.resolve();
    await asking;
    await clock.advance(400);
    assert.equal(late, 0, `${minutes}`);
  }
  void deadline.without(() => new Promise<void>(() => {}));
  await clock.advance(59_000);
  assert.equal(late, 0);
  await clock.advance(1_000);
  assert.equal(late, 1);
});
