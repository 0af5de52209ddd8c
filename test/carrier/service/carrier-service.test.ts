// When a carrier is told that it carries nothing: never in the middle of a change.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Keeper } from "../../../src/carrier/control/keeper.ts";
import { CarrierService } from "../../../src/carrier/service/carrier-service.ts";
import { createCarrierStateFile } from "../../../src/carrier/service/carrier-state.ts";
import { createServerProof } from "../../../src/carrier/smb/server-proof.ts";
import { createSocketOwners } from "../../../src/carrier/system/socket-owner.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { openRequest } from "../carrier-bench.ts";
import { startFakeNas } from "../fake-nas.ts";

const NO_KEEPER: Keeper = {
  identity: null,
  hold: () => Promise.resolve(),
  dismiss: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

/** `told`: whether each change that it tells is urgent. */
async function startService(t: TestContext, keeper: Keeper, events: string[] = []) {
  const told: boolean[] = [];
  const service = new CarrierService({
    clock: systemClock,
    logger: silentLogger,
    owners: createSocketOwners(systemClock),
    prove: createServerProof(systemClock),
    uid: process.getuid?.() ?? 0,
    stateFile: createCarrierStateFile(await temporaryFolder(t), systemClock, silentLogger),
    keeper: () => keeper,
    onNotice: () => true,
    onChanged: (isUrgent) => void told.push(isUrgent),
    onEmpty: () => void events.push("empty"),
  });
  return { service, told };
}

describe("the carrier's shares", () => {
  test("A10 a changed setting of a share is told at once", async (t) => {
    await using nas = await startFakeNas();
    const { service, told } = await startService(t, NO_KEEPER);
    await using _service = service;
    await service.open(openRequest("CORE", nas));
    told.length = 0;
    service.served.get("CORE")?.carrier.bind({ id: "m1", path: "/mnt", process: null });
    assert.deepEqual(told, [true]);
    await service.close("CORE");
  });

  test("A14 shares with one login are told of its refusal together, and one that is opened later, too", async (t) => {
    await using nas = await startFakeNas();
    const { service } = await startService(t, NO_KEEPER);
    await using _service = service;
    const opened = async (share: string, more: { login?: string; refusedLogon?: string }) => {
      await service.open({ ...openRequest(share, nas), ...more });
      return service.served.get(share)?.carrier.state().refusedLogon?.text;
    };
    assert.equal(await opened("CORE", { login: "ada", refusedLogon: "wrong password" }), "wrong password");
    assert.equal(await opened("MEDIA", { login: "ada" }), "wrong password");
    assert.equal(await opened("OTHER", { login: "bob" }), undefined);
  });

  test("A10 a carrier is not empty before whoever closed its last share can be told", async (t) => {
    await using nas = await startFakeNas();
    const handedOver = Promise.withResolvers<void>();
    let holds = 0;
    // The first is for the share that is opened; the second waits, as one on a slow machine does.
    const keeper: Keeper = {
      ...NO_KEEPER,
      hold: () => (++holds === 1 ? Promise.resolve() : handedOver.promise),
    };
    const events: string[] = [];
    const { service } = await startService(t, keeper, events);
    await using _service = service;
    await service.open(openRequest("CORE", nas));
    service.endIfEmpty();
    const closed = service.close("CORE").then(() => void events.push("closed"));
    await eventually(() => holds === 2);
    assert.equal(service.served.size, 0);
    service.endIfEmpty();
    await new Promise(setImmediate);
    assert.deepEqual(events, [], "a carrier that ends now leaves the question without an answer");
    handedOver.resolve();
    await closed;
    await new Promise(setImmediate);
    assert.deepEqual(events, ["empty", "closed", "empty"]);
  });
});
