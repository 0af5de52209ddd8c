import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { groupsGone } from "../../../src/daemon/handover/process-groups.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";

test("B11 a group of processes is waited for until it is gone", async (t) => {
  const child = spawn("sleep", ["60"], { detached: true, stdio: "ignore" });
  t.after(() => child.kill("SIGKILL"));
  const { pid } = child;
  assert.ok(pid !== undefined);
  let isOver = false;
  const gone = groupsGone([pid], systemClock).then(() => {
    isOver = true;
  });
  await systemClock.sleep(120);
  assert.equal(isOver, false);
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
  await gone;
  await groupsGone([pid], systemClock);
});
