// What the running service gives up when it hands over, and how long it stays.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { handedSessions } from "../../../src/daemon/handover/handed-sessions.ts";
import { createHanding } from "../../../src/daemon/handover/handing.ts";
import { Successor } from "../../../src/daemon/handover/successor.ts";
import { Holds } from "../../../src/gateway/front/holds/holds.ts";
import { openSessionFile } from "../../../src/gateway/front/session/session-file.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { hashOf, recordOf } from "../../support/session-records.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const KEEPER = {
  descriptors: [1, 2] as const,
  environment: {},
  takeCharge() {},
  hearAgain() {},
  stopHearing() {},
  giveUpCharge() {},
};

/** A service without a gateway, and a next daemon that never says anything. */
async function setUp(t: TestContext, before?: Promise<void>) {
  const clock = createManualClock();
  const path = join(await temporaryFolder(t), "sessions.jsonl");
  const sessions = handedSessions(openSessionFile({ path, clock, logger: silentLogger }));
  const snapshot = { config: { server: null, backends: [] } };
  const handing = createHanding(
    {
      clock,
      memory: { flush: async () => {}, unsavedBecause: null },
      force: new AbortController(),
      triggers: { stop() {} },
      required: { rest() {} },
      config: {
        watcher: { running: { snapshot, sha256: "", generation: 1 } },
        async [Symbol.asyncDispose]() {},
      },
      parts: { async [Symbol.asyncDispose]() {} },
      // The fleet's server hangs, and its connection does not end.
      fleet: { handOver: () => new Promise<never>(() => {}) },
      gateway: { handing: null },
      gatewayOwn: { handOver: async () => {}, writes: { changes: 0 }, sessions, holds: new Holds(clock) },
      elsewhere: before === undefined ? undefined : { gone: before, ended: before, once: [] },
    },
    () => {},
  );
  const args = ["-e", "setInterval(() => {}, 1000)"];
  const next = new Successor({ command: process.execPath, args }, KEEPER, false);
  t.after(() => next.kill());
  return { clock, sessions, handing, next };
}

test("B11 G1 a daemon hands over while the server of its fleet hangs", async (t) => {
  const { handing, next } = await setUp(t);
  await handing.giveUp(() => next);
});

test("B11 a client that begins a session waits 2 s at most for a next daemon that is long in coming", async (t) => {
  const { clock, sessions, handing, next } = await setUp(t);
  await handing.giveUp(() => next);
  let isKept = false;
  const keeping = sessions.keep(hashOf(1), recordOf(1)).then(() => {
    isKept = true;
  });
  await clock.advance(1_999);
  assert.equal(isKept, false);
  await clock.advance(1);
  await keeping;
  assertEach(sessions.late, ({ hash }) => hash, [hashOf(1)], "the one that takes its place is told again");
});

test("B11 a daemon between two others stays until the one before it has ended, or its own time is over", async (t) => {
  for (const ends of [true, false]) {
    const before = Promise.withResolvers<void>();
    const { clock, handing, next } = await setUp(t, before.promise);
    let hasLeft = false;
    const leaving = handing.leave(next).then(() => {
      hasLeft = true;
    });
    await clock.advance(29_999);
    assert.equal(hasLeft, false);
    if (ends) before.resolve();
    else await clock.advance(1);
    await leaving;
  }
});

test("B11 whether a connection got there is unknown where the next daemon does not say so in 15 s", async (t) => {
  const { clock, next } = await setUp(t);
  const server = createServer().listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const { _handle: handle } = server as unknown as { readonly _handle: object };
  const passed = next.pass(handle, clock);
  await clock.advance(15_000);
  assert.equal(await passed, "unknown");
  await next.kill();
  assert.equal(await next.pass(handle, clock), "here", "nobody is there any more");
});
