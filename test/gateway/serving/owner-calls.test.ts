import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OWNER_IN_PERSON } from "../../../src/gateway/client-port.ts";
import { IDLE_LIMIT_MS } from "../../../src/gateway/front/session/session-store.ts";
import { isError, type Reply } from "../../../src/gateway/json-rpc.ts";
import { OwnerCalls } from "../../../src/gateway/serving/owner-calls.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { createHeldTool, createScriptedGateway, text } from "../front/scripted-gateway.ts";

const NEVER = new AbortController().signal;
/** Idle sessions are looked for once an hour. */
const HOUR_MS = 3_600_000;

function bench() {
  const clock = createManualClock();
  const held = createHeldTool();
  const gateway = createScriptedGateway({ held: held.tool });
  const owner = new OwnerCalls({ gateway, clock, logger: silentLogger });
  const call = (name: string, signal = NEVER): Promise<Reply> => owner.ask("tools/call", { name }, signal);
  return {
    clock,
    held,
    gateway,
    owner,
    call,
    clients: () => gateway.requests.map(({ port }) => port?.client),
  };
}

function errorText(reply: Reply): string {
  assert.ok(isError(reply));
  return reply.error.message;
}

describe("the owner's own calls", () => {
  it("B7 are one client's, the owner, which cannot be asked back", async () => {
    const b = bench();
    assert.deepEqual(await b.call("one"), text("{}"));
    await b.call("two");
    const [first, second] = b.clients();
    assert.equal(first, second);
    assert.equal(first?.principal, OWNER_IN_PERSON);
    const held = b.call("held");
    const [request] = b.held.started;
    assert.equal(await request?.port?.request("sampling/createMessage", {}, NEVER), null);
    assert.ok(first !== undefined && isError(await first.request("roots/list", {}, NEVER)));
    b.held.release(text("held"));
    assert.deepEqual(await held, text("held"));
  });

  it("B7 end their session after a day without one, and the next begins another", async () => {
    const b = bench();
    await b.call("one");
    await b.clock.advance(IDLE_LIMIT_MS - HOUR_MS);
    await b.call("two");
    await b.clock.advance(IDLE_LIMIT_MS - HOUR_MS);
    const [first] = b.clients();
    assert.equal(first?.ended.aborted, false);
    await b.clock.advance(2 * HOUR_MS);
    assert.deepEqual([first?.ended.aborted, b.clock.pendingTimers], [true, 0]);
    await b.call("three");
    assert.notEqual(b.clients()[2], first);
    assert.equal(b.clients()[2]?.ended.aborted, false);
  });

  it("B7 keep their session while one of them waits, however long", async () => {
    const b = bench();
    const reply = b.call("held");
    await b.clock.advance(3 * IDLE_LIMIT_MS);
    assert.equal(b.owner.inFlight, 1);
    b.held.release(text("at last"));
    assert.deepEqual(await reply, text("at last"));
    await b.clock.advance(2 * HOUR_MS);
    assert.equal(b.clients()[0]?.ended.aborted, true);
  });

  it("B7 are taken back one by one", async () => {
    const b = bench();
    const gone = new AbortController();
    const [leaves, stays] = [b.call("held", gone.signal), b.call("held")];
    gone.abort(new Error("the person left"));
    assert.match(errorText(await leaves), /cancelled/);
    const [first, second] = b.held.started;
    assert.match(String(first?.signal.reason), /the person left/);
    assert.equal(second?.signal.aborted, false);
    b.held.release(text("to nobody"));
    b.held.release(text("on"));
    assert.deepEqual(await stays, text("on"));
    assert.equal(b.owner.inFlight, 0);
    assert.match(errorText(await b.call("held", gone.signal)), /cancelled/);
    assert.equal(b.held.started.length, 2);
  });

  it("B7 finish when the gateway ends, within its grace; what comes then is refused", async () => {
    const b = bench();
    const [answered, late] = [b.call("held"), b.call("held")];
    let ended = false;
    const ending = b.owner.stop(3_000).then(() => {
      ended = true;
    });
    b.held.release(text("in time"));
    assert.deepEqual(await answered, text("in time"));
    assert.match(errorText(await b.call("one")), /the gateway is stopping/);
    await settle();
    assert.equal(ended, false);
    await b.clock.advance(3_000);
    await ending;
    assert.match(errorText(await late), /the gateway is stopping/);
    assert.deepEqual([b.clients()[0]?.ended.aborted, b.clock.pendingTimers], [true, 0]);
  });
});
