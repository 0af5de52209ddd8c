import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ANONYMOUS } from "../../../../src/gateway/client-port.ts";
import type { Session } from "../../../../src/gateway/front/session/session.ts";
import { SESSION_LIMIT, SessionStore } from "../../../../src/gateway/front/session/session-store.ts";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { createScriptedGateway } from "../scripted-gateway.ts";

function addSession(store: SessionStore, id: string, listens: boolean): Session {
  const session = store.open({
    id,
    principal: ANONYMOUS,
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: {},
  });
  if (listens) {
    const stream = { congested: null, send: () => true, end: () => session.outletClosed(stream) };
    session.listen(stream);
  }
  return session;
}

describe("the store of sessions", () => {
  it("makes room by ending the idle one that was used longest ago, and has none when all are busy", async () => {
    const clock = createManualClock();
    const store = new SessionStore({ gateway: createScriptedGateway(), clock, logger: silentLogger });
    for (let count = 2; count < SESSION_LIMIT; count++) addSession(store, `busy-${count}`, true);
    assert.equal(store.makeRoom(), true);
    const older = addSession(store, "older", false);
    await clock.advance(10);
    const newer = addSession(store, "newer", false);
    await clock.advance(10);
    assert.equal(store.find("older"), older);
    assert.equal(store.makeRoom(), true);
    assert.deepEqual(
      [older.ended.aborted, newer.ended.aborted, store.size],
      [false, true, SESSION_LIMIT - 1],
    );
    addSession(store, "another", true);
    assert.equal(store.makeRoom(), true);
    assert.equal(older.ended.aborted, true);
    addSession(store, "last", true);
    assert.equal(store.makeRoom(), false);
    assert.equal(store.size, SESSION_LIMIT);
    await store.end(0, "over");
    assert.deepEqual([store.size, clock.pendingTimers], [0, 0]);
  });
});
