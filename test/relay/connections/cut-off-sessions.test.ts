// Sessions that a server may still hold are ended once it answers, and no more than a bound of them is remembered.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createCutOffSessions } from "../../../src/relay/connections/cut-off-sessions.ts";
import { startPeer } from "../../network/tcp-peer.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";

async function counting(t: TestContext) {
  const peer = await startPeer(t, () => {});
  const end = { address: "127.0.0.1", port: peer.port, localAddress: null, localPort: 0 };
  return { end, count: () => peer.connections };
}

test("A10 beyond 64 cut-off sessions the oldest is forgotten, and each is ended once, at its server", {
  skip: process.platform !== "linux" && "other systems drop a connection that is reset before it is accepted",
}, async (t) => {
  const [forgotten, kept] = [await counting(t), await counting(t)];
  const clock = createManualClock();
  const sessions = createCutOffSessions(clock);
  sessions.keep(forgotten.end);
  for (let index = 0; index < 64; index++) sessions.keep(kept.end);
  sessions.endAt(forgotten.end);
  sessions.endAt(kept.end);
  await eventually(() => kept.count() === 64);
  assert.equal(forgotten.count(), 0);
  await eventually(() => clock.pendingTimers === 0);
  sessions.keep(forgotten.end);
  sessions.endAt(kept.end);
  assert.equal(clock.pendingTimers, 0, "that of another port is not ended");
  sessions.endAt(forgotten.end);
  await eventually(() => forgotten.count() > 0);
  assert.deepEqual([forgotten.count(), kept.count()], [1, 64]);
  const refused = { ...kept.end, port: 1 };
  sessions.keep(refused);
  sessions.endAt(refused);
  assert.equal(clock.pendingTimers > 0, true);
  await eventually(() => clock.pendingTimers === 0);
});
