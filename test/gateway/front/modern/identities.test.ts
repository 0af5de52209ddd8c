// The identities that requests without a session borrow: never two at once, and not kept for ever.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Principal } from "../../../../src/gateway/client-port.ts";
import {
  IDLE_LIMIT_MS,
  Identities,
  type Identity,
  MOST_IDLE,
  MOST_WITH_TASKS,
} from "../../../../src/gateway/front/modern/identities.ts";
import type { ModernRequest } from "../../../../src/gateway/front/modern/request.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { createScriptedGateway } from "../scripted-gateway.ts";

const user = (name: string, role = "any"): Principal => ({ kind: "user", name, roles: [role] });

function requestOf(principal: Principal): ModernRequest {
  return {
    id: 1,
    method: "tools/call",
    params: {},
    principal,
    declared: {},
    clientInfo: {},
    group: null,
    logLevel: null,
    progressToken: null,
    caller: null,
    trace: null,
  };
}

function start() {
  const clock = createManualClock();
  const gateway = createScriptedGateway();
  const closed: unknown[] = [];
  gateway.closed = (session) => void closed.push(session);
  const identities = new Identities(gateway, clock);
  const borrow = (principal: Principal): Identity => identities.borrow(requestOf(principal));
  return { clock, closed, identities, borrow };
}

describe("D2 identities of requests without a session", () => {
  it("are reused by the same principal alone, whatever its roles are by now, the newest first", () => {
    const { identities, borrow } = start();
    const [first, second] = [borrow(user("ann")), borrow(user("ann"))];
    assert.notEqual(first, second);
    identities.giveBack(first, true);
    identities.giveBack(second, true);
    const others = borrow(user("bob"));
    assert.ok(others !== first && others !== second);
    const again = borrow(user("ann", "admin"));
    assert.equal(again, second);
    assert.deepEqual(again.principal.roles, ["admin"]);
    assert.equal(borrow(user("ann")), first);
    identities[Symbol.dispose]();
  });

  it("are left for a while to a call that is expected back, and found by their mark", async () => {
    const { clock, identities, borrow } = start();
    const [plain, expected] = [borrow(user("ann")), borrow(user("ann"))];
    identities.giveBack(plain, true);
    identities.expect(expected);
    identities.giveBack(expected, true);
    assert.equal(borrow(user("ann")), plain);
    assert.notEqual(borrow(user("ann")), expected);
    assert.notEqual(identities.borrow(requestOf(user("bob")), expected.mark), expected);
    assert.equal(identities.borrow(requestOf(user("ann")), expected.mark), expected);
    identities.expect(expected);
    identities.giveBack(expected, true);
    await clock.advance(60_000);
    assert.equal(borrow(user("ann")), expected);
    identities[Symbol.dispose]();
  });

  it("end when nobody has borrowed them for some time", async () => {
    const { clock, closed, identities, borrow } = start();
    const [kept, left] = [borrow(user("ann")), borrow(user("bob"))];
    identities.giveBack(left, true);
    identities.giveBack(kept, true);
    await clock.advance(IDLE_LIMIT_MS - 60_000);
    identities.giveBack(borrow(user("ann")), true);
    await clock.advance(120_000);
    assert.deepEqual(closed, [left]);
    assert.equal(left.ended.aborted, true);
    assert.equal(borrow(user("ann")), kept);
    assert.notEqual(borrow(user("bob")), left);
    identities[Symbol.dispose]();
  });

  it("end at once where a backend may still be at work, and the oldest beyond a number", () => {
    const { closed, identities, borrow } = start();
    const dirty = borrow(user("ann"));
    identities.giveBack(dirty, false);
    assert.deepEqual(closed, [dirty]);
    const many = Array.from({ length: MOST_IDLE + 1 }, (_, index) => borrow(user(`u${index}`)));
    for (const identity of many) identities.giveBack(identity, true);
    assert.deepEqual(closed, [dirty, many[0]]);
    assert.equal(identities.idle, MOST_IDLE);
    identities[Symbol.dispose]();
    assert.equal(closed.length, MOST_IDLE + 2);
    identities.giveBack(dirty, true);
    assert.equal(identities.idle, 0);
  });

  it("are left to the tasks of theirs, as long as these live or are asked for, and so many of each principal", async () => {
    const { clock, closed, identities, borrow } = start();
    const [short, long] = [borrow(user("ann")), borrow(user("ann"))];
    identities.keep(short, 60_000);
    identities.keep(long, null);
    for (const identity of [short, long]) identities.giveBack(identity, true);
    const plain = borrow(user("ann"));
    assert.ok(plain !== short && plain !== long);
    await clock.advance(60_000);
    assert.equal(borrow(user("ann")), short);
    await clock.advance(3_600_000 - 120_000);
    identities.keepMarked(user("bob"), long.mark);
    identities.keepMarked(user("ann"), long.mark);
    await clock.advance(IDLE_LIMIT_MS - 60_000);
    assert.deepEqual(closed, []);
    await clock.advance(180_000);
    assert.deepEqual(closed, [long]);

    const many = Array.from({ length: MOST_WITH_TASKS + 1 }, () => borrow(user("ann")));
    for (const identity of many) {
      identities.keep(identity, null);
      identities.giveBack(identity, true);
    }
    assert.equal(borrow(user("ann")), many[0]);
    assert.equal(many.includes(borrow(user("ann"))), false);
    identities[Symbol.dispose]();
  });
});
