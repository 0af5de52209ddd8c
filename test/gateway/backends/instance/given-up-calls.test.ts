import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { GivenUpCalls } from "../../../../src/gateway/backends/instance/attribution.ts";
import { PendingRequests } from "../../../../src/gateway/backends/instance/pending.ts";
import { createManualClock, type ManualClock } from "../../../support/manual-clock.ts";
import { createTestClient } from "../programs/instance-test-client.ts";

function giveUp(givenUp: GivenUpCalls, clock: ManualClock, name: string): WeakRef<object> {
  const client = createTestClient(name);
  const pending = new PendingRequests({ clock, onOverdue() {}, onAborted() {} });
  const request = pending.add({
    method: "tools/call",
    port: client.call(1),
    own: false,
    progressToken: null,
    timeoutMs: 60_000,
    signal: null,
    settled() {},
  });
  givenUp.add(request, false);
  pending[Symbol.dispose]();
  return new WeakRef(client);
}

test("a client that has left is not kept for its calls that were given up, though no message is ever attributed", async () => {
  const clock = createManualClock();
  const givenUp = new GivenUpCalls(clock);
  const left = giveUp(givenUp, clock, "a");
  await clock.advance(60_000);
  giveUp(givenUp, clock, "b");
  await setImmediate();
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  assert.ok(typeof collect === "function");
  collect();
  assert.equal(left.deref(), undefined);
  assert.equal([...givenUp.clients()].length, 1);
});
