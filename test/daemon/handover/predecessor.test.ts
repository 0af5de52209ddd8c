// The new daemon's side of a handover, with a process object that the test speaks through.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { test } from "node:test";
import { SUCCESSOR_MARK } from "../../../src/daemon/handover/link-messages.ts";
import { findPredecessor } from "../../../src/daemon/handover/predecessor.ts";
import { createManualClock } from "../../support/manual-clock.ts";

test("B11 what cannot run twice is free once the old one's processes have ended, when that one is gone", async () => {
  const clock = createManualClock();
  const self = Object.assign(new EventEmitter(), {
    env: { [SUCCESSOR_MARK]: "1" },
    connected: true,
    send: () => true,
  });
  const old = findPredecessor(self as unknown as NodeJS.Process, clock);
  assert.ok(old !== null);
  let isFree = false;
  void old.ended.then(() => {
    isFree = true;
  });
  const left = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], {
    detached: true,
    stdio: "ignore",
  });
  const ended = once(left, "exit");
  try {
    self.emit("message", { say: "go", door: null, once: [left.pid] });
    self.emit("disconnect");
    await old.gone;
    await clock.advance(1_000);
    assert.equal(isFree, false);
  } finally {
    left.kill("SIGKILL");
  }
  await ended;
  await clock.advance(1_000);
  assert.equal(isFree, true);
});
