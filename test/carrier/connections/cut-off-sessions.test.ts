// Sessions that a server may still hold are ended once it answers, and no more than a bound of them is remembered.
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { createCutOffSessions } from "../../../src/carrier/connections/cut-off-sessions.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";

async function counting(t: TestContext) {
  let count = 0;
  const server = createServer((socket) => {
    count += 1;
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const end = { address: "127.0.0.1", port: address.port, localAddress: null, localPort: 0 };
  return { end, count: () => count };
}

test("A10 of the sessions that were cut off the oldest is forgotten beyond 64, and each is ended once, at its server", {
  skip: process.platform !== "linux" && "other systems drop a connection that is reset before it is accepted",
}, async (t) => {
  const [forgotten, kept] = [await counting(t), await counting(t)];
  const sessions = createCutOffSessions(systemClock);
  sessions.keep(forgotten.end);
  for (let index = 0; index < 64; index++) sessions.keep(kept.end);
  sessions.endAt(forgotten.end);
  sessions.endAt(kept.end);
  await eventually(() => kept.count() === 64);
  assert.equal(forgotten.count(), 0);
  sessions.keep(forgotten.end);
  sessions.endAt(kept.end);
  sessions.endAt(forgotten.end);
  await eventually(() => forgotten.count() > 0);
  assert.deepEqual([forgotten.count(), kept.count()], [1, 64]);
});
