import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { isAtRest } from "../../../src/runtime/process/stopped-process.ts";
import { eventually } from "../../support/eventually.ts";

test("a process is at rest once all of its threads are, and when it is gone", async (t) => {
  if (process.platform !== "linux") return t.skip("needs Linux: /proc tells it");
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1); for (;;);"], { stdio: "ignore" });
  t.after(() => child.kill("SIGKILL"));
  const { pid = 0 } = child;
  // It has several threads, and one that never waits.
  assert.equal(await isAtRest(pid), false);
  child.kill("SIGSTOP");
  await eventually(() => isAtRest(pid));
  child.kill("SIGCONT");
  await eventually(async () => !(await isAtRest(pid)));
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.equal(await isAtRest(pid), true);
});
