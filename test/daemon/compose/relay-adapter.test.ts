// What the share engine's carriage asks of the carrier, and what it does not ask again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createRelayAdapter } from "../../../src/daemon/compose/relay-adapter.ts";
import type { RelayControl, RelayNotice } from "../../../src/relay/relay.ts";
import { assertEach } from "../../support/assert-each.ts";
import { settle } from "../../support/manual-clock.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";

function scene() {
  const asked: string[] = [];
  const share = { share: "CORE", route: "tb", witness: 7 as number | null, epoch: 1 };
  const self = { asked, share, isDown: false, notify: (_notice: RelayNotice): void => {} };
  const ask = async (what: string): Promise<void> => {
    asked.push(what);
    if (self.isDown) throw new Error("it is down");
  };
  const carrier = {
    shares: new Map([["CORE", share]]),
    configure: () => ask("configure"),
    close: () => ask("close"),
    refresh: () => ask("refresh"),
    async takeJournal() {
      await ask("journal");
      return [
        { share: "CORE", from: "tb", to: "tb" },
        { share: "CORE", from: "tb", to: "fallback" },
      ];
    },
    onNotice(listener: (notice: RelayNotice) => void) {
      self.notify = listener;
      return () => {};
    },
  };
  const logger = createRecordingLogger();
  // Of the carrier nothing else is asked here.
  return {
    self,
    asked,
    share,
    logger,
    carriage: createRelayAdapter(logger, carrier as unknown as RelayControl),
  };
}

const ENDPOINT = { address: "10.0.0.1", port: 445, localAddress: null };

test("A11 endpoints are sent when they change, after a failure and a close, and while the other route has no standby connection", async () => {
  const { self, asked, share, carriage } = scene();
  const keep = async (endpoints: object): Promise<number> => {
    carriage.keepEndpoints("CORE", { endpoints, patienceMs: 60_000, epoch: null });
    await settle();
    return asked.splice(0).length;
  };
  const both = { tb: ENDPOINT, fallback: ENDPOINT };
  assert.deepEqual([await keep(both), await keep(both)], [1, 0]);
  await carriage.close("CORE");
  assert.deepEqual(asked.splice(0), ["close"]);
  self.isDown = true;
  assert.deepEqual([await keep(both), await keep(both)], [1, 1]);
  self.isDown = false;
  share.witness = null;
  assert.deepEqual([await keep(both), await keep(both)], [1, 1]);
  assert.deepEqual([await keep({ tb: ENDPOINT }), await keep({ tb: ENDPOINT })], [1, 0]);
});

test("A11 decisions that the relay made without the daemon are logged at its first answer, and at each later one", async () => {
  const { asked, share, logger, carriage } = scene();
  await Promise.all([carriage.ready(), carriage.ready()]);
  assert.deepEqual(asked.splice(0), ["refresh", "journal"]);
  const told = [
    ["warn", "waited while no daemon answered"],
    ["info", "moved while no daemon answered"],
  ];
  assertEach(logger.lines, ({ level, message }) => [level, message], told);
  for (const epoch of [1, 1, 2, 2]) {
    share.epoch = epoch;
    carriage.of("CORE");
  }
  await settle();
  assert.deepEqual(asked, ["journal"]);
});

test("A11 a notice starts the share's engine with its meaning, unless a check finds the same anyway", () => {
  const { self, carriage } = scene();
  const heard: string[] = [];
  carriage.onNotice((_share, what) => heard.push(what));
  for (const what of ["stalled", "answered", "unconfirmed", "lost", "moved"] as const)
    self.notify({ share: "CORE", what });
  assert.deepEqual(heard, ["stalled", "unconfirmed", "lost", "changed"]);
});
