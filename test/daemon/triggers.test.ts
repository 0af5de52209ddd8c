// Why the shares are looked at: a beat, the network, or a machine that woke.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NetworkTransition } from "../../src/daemon/events/service-transitions.ts";
import { startTriggers } from "../../src/daemon/triggers.ts";
import { createDisposalStack } from "../../src/runtime/disposal.ts";
import { noopLogger } from "../../src/runtime/log/log.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { pluck } from "../support/pluck.ts";

test("a machine that slept checks again once, as after waking; a change of the network after it also causes one check", async (t) => {
  const clock = createManualClock();
  const stack = createDisposalStack((error) => assert.fail(String(error)));
  t.after(() => stack[Symbol.asyncDispose]());
  const looks: string[] = [];
  const published: NetworkTransition[] = [];
  const nothing = { trigger() {}, networkChanged() {} };
  // Of all these only their looks are asked for.
  const engine = { triggerAll: (trigger: string) => void looks.push(trigger) };
  const parts = { ...{ hostProber: nothing, location: nothing, aliases: nothing }, programLogs: nothing };
  const options = { ...parts, clock, logger: noopLogger, engine, metadataRefresh: nothing };
  const settings = (checkIntervalMs: number) =>
    ({ global: { checkIntervalMs, networkDebounceMs: 1_000 }, shares: [] }) as never;
  const triggers = startTriggers(
    {
      ...options,
      intervalMs: null,
      first: settings(5_000),
      publish: (one: NetworkTransition) => void published.push(one),
    } as never,
    stack,
  );
  await clock.advance(5_000);
  assert.deepEqual([looks, published], [["tick"], []]);
  clock.jumpWall(3_600_000);
  await clock.advance(5_000);
  await clock.advance(1_000);
  triggers.window.trigger("a cable");
  await clock.advance(1_000);
  assert.deepEqual(pluck(published, "trigger"), ["wake", "network"]);
  assert.deepEqual(
    looks.filter((look) => look !== "tick"),
    ["wake", "network"],
  );
  looks.length = 0;
  triggers.configure(settings(20_000));
  await clock.advance(60_000);
  assert.deepEqual([looks, triggers.networkEvents()], [["tick", "tick", "tick"], "off"]);
});
