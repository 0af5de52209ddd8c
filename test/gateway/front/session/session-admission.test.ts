import assert from "node:assert/strict";
import { test } from "node:test";
import { ANONYMOUS } from "../../../../src/gateway/client-port.ts";
import { SessionStore } from "../../../../src/gateway/front/session/session-store.ts";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { createScriptedGateway } from "../scripted-gateway.ts";

test("E1 a session whose client is not let in any more is told nothing, until it is let in again", async () => {
  const store = new SessionStore({
    gateway: createScriptedGateway(),
    clock: createManualClock(),
    logger: silentLogger,
  });
  const session = store.open({
    id: "one",
    principal: ANONYMOUS,
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: {},
  });
  const told: string[] = [];
  const send = (json: string): boolean => told.push(JSON.parse(json).method) > 0;
  const stream = { congested: null, send, end: () => session.outletClosed(stream) };
  session.listen(stream);
  session.notify("one", {});
  session.admit(false);
  session.notify("two", {});
  session.admit(true);
  session.notify("three", {});
  assert.deepEqual(told, ["one", "three"]);
  await store.end(0, "over");
});
