import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ANONYMOUS, type Principal } from "../../../../src/gateway/client-port.ts";
import type { Session } from "../../../../src/gateway/front/session/session.ts";
import { SESSION_LIMIT, SessionStore } from "../../../../src/gateway/front/session/session-store.ts";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { createScriptedGateway } from "../scripted-gateway.ts";

function addSession(
  store: SessionStore,
  id: string,
  listens: boolean,
  principal: Principal = ANONYMOUS,
): Session {
  const session = store.open({
    id,
    principal,
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

const user = (name: string): Principal => ({ kind: "user", name, roles: [] });

describe("the store of sessions", () => {
  it("ends what is idle for a day, and looks for that only while there are sessions", async () => {
    const clock = createManualClock();
    const store = new SessionStore({ gateway: createScriptedGateway(), clock, logger: silentLogger });
    const idle = addSession(store, "idle", false);
    const busy = addSession(store, "busy", true);
    await clock.advance(25 * 3_600_000);
    assert.deepEqual([idle.ended.aborted, busy.ended.aborted, store.size], [true, false, 1]);
    assert.equal(clock.pendingTimers, 1);
    busy.end("over");
    assert.deepEqual([store.size, clock.pendingTimers], [0, 0]);
    addSession(store, "last", false);
    await clock.advance(25 * 3_600_000);
    assert.deepEqual([store.size, clock.pendingTimers], [0, 0]);
  });

  it("E4 whoever has as many sessions as allowed gives up its own idle ones, and nobody else's", async () => {
    const clock = createManualClock();
    const gateway = createScriptedGateway();
    gateway.sessionsAllowed = () => 3;
    const store = new SessionStore({ gateway, clock, logger: silentLogger });
    const others = addSession(store, "ann", false, user("ann"));
    const bobs: Session[] = [];
    for (let count = 0; count < 5; count++) {
      assert.equal(store.makeRoom(user("bob")).kind, "room");
      await clock.advance(1);
      bobs.push(addSession(store, `bob-${count}`, false, user("bob")));
    }
    assert.deepEqual(
      bobs.map(({ ended }) => ended.aborted),
      [true, true, false, false, false],
    );
    assert.equal(others.ended.aborted, false);
    // Lowered while they are there: so many end as have to.
    gateway.sessionsAllowed = () => 1;
    assert.equal(store.makeRoom(user("bob")).kind, "room");
    assert.ok(bobs.every(({ ended }) => ended.aborted));
    await store.end(0, "over");
  });

  it("E4 sessions that never did anything end before older ones that are used", async () => {
    const clock = createManualClock();
    const gateway = createScriptedGateway();
    gateway.sessionsAllowed = () => 2;
    const store = new SessionStore({ gateway, clock, logger: silentLogger });
    const used = addSession(store, "used", false);
    store.find("used", ANONYMOUS);
    await clock.advance(1_000);
    const unused = addSession(store, "unused", false);
    assert.equal(store.makeRoom(ANONYMOUS).kind, "room");
    assert.deepEqual([used.ended.aborted, unused.ended.aborted], [false, true]);
    await store.end(0, "over");
  });

  it("E4 a full table takes from the principal that has most, and never from one that has fewer", async () => {
    const clock = createManualClock();
    const gateway = createScriptedGateway();
    const store = new SessionStore({ gateway, clock, logger: silentLogger });
    const ann = addSession(store, "ann", false, user("ann"));
    const carls = Array.from({ length: 10 }, (_, at) => addSession(store, `c${at}`, false, user("carl")));
    const bobs = Array.from({ length: SESSION_LIMIT - 11 }, (_, at) =>
      addSession(store, `b${at}`, false, user("bob")),
    );
    assert.equal(store.makeRoom(user("ann")).kind, "room");
    assert.deepEqual(
      [ann.ended.aborted, carls.some(({ ended }) => ended.aborted), bobs[0]?.ended.aborted],
      [false, false, true],
    );
    await store.end(0, "over");

    const full = new SessionStore({ gateway, clock, logger: silentLogger });
    addSession(full, "ann", false, user("ann"));
    for (let count = 1; count < SESSION_LIMIT; count++) addSession(full, `b${count}`, true, user("bob"));
    assert.deepEqual(full.makeRoom(user("bob")), { kind: "full", sessions: SESSION_LIMIT });
    await full.end(0, "over");
  });

  it("makes room by ending the idle one that was used longest ago, and has none when all are busy", async () => {
    const clock = createManualClock();
    const store = new SessionStore({ gateway: createScriptedGateway(), clock, logger: silentLogger });
    for (let count = 2; count < SESSION_LIMIT; count++) addSession(store, `busy-${count}`, true);
    assert.equal(store.makeRoom(ANONYMOUS).kind, "room");
    const older = addSession(store, "older", false);
    await clock.advance(10);
    const newer = addSession(store, "newer", false);
    await clock.advance(10);
    assert.equal(store.find("older", ANONYMOUS), older);
    assert.equal(store.makeRoom(ANONYMOUS).kind, "room");
    assert.deepEqual(
      [older.ended.aborted, newer.ended.aborted, store.size],
      [false, true, SESSION_LIMIT - 1],
    );
    addSession(store, "another", true);
    assert.deepEqual([store.makeRoom(ANONYMOUS).kind, older.ended.aborted], ["room", true]);
    addSession(store, "last", true);
    assert.deepEqual(store.makeRoom(ANONYMOUS), { kind: "too_many", allowed: SESSION_LIMIT });
    assert.equal(store.size, SESSION_LIMIT);
    await store.end(0, "over");
    assert.deepEqual([store.size, clock.pendingTimers], [0, 0]);
  });
});
