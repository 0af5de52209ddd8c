import assert from "node:assert/strict";
import { test } from "node:test";
import type { FlowEvent } from "../../../src/api/contract/contract.ts";
import { createFlow, flowOf } from "../../../src/daemon/events/flow.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { sampleBackend } from "../../api/sample-gateway.ts";
import { SAMPLE_MOVES, sampleShare } from "../../api/sample-report.ts";
import { createManualClock } from "../../support/manual-clock.ts";

const counters = (calls: number): FlowEvent => ({
  ...{ kind: "flow", shares: [], clients: [] },
  backends: [{ name: "files", calls }],
});

test("F4 the counters are reported at once, then on change, at most four times a second; without a listener none are read", async () => {
  const clock = createManualClock();
  let reads = 0;
  let calls = 0;
  const flow = createFlow({
    ...{ clock, logger: noopLogger },
    read: async () => {
      reads += 1;
      if (reads === 3) throw new Error("no counters now");
      return counters(calls);
    },
  });
  await clock.advance(1000);
  assert.equal(reads, 0);
  const heard: number[] = [];
  const stop = flow((event) => heard.push(event.backends[0]?.calls ?? -1));
  await clock.advance(0);
  assert.deepEqual(heard, [0]);
  await clock.advance(600);
  assert.deepEqual(heard, [0], "nothing has passed");
  for (let at = 0; at < 100; at += 1) {
    calls += 3;
    await clock.advance(10);
  }
  assert.ok(heard.length <= 5, `${heard}`);
  await clock.advance(250);
  assert.equal(heard.at(-1), 300);
  const later: number[] = [];
  const stopLater = flow((event) => later.push(event.backends[0]?.calls ?? -1));
  await clock.advance(250);
  assert.deepEqual(later, [300], "who comes later hears what there is");
  stop();
  stopLater();
  await clock.advance(250);
  const last = reads;
  await clock.advance(5000);
  assert.equal(reads, last);
  assert.equal(clock.pendingTimers, 0);
  const stops = [flow((event) => later.push(event.backends.length)), flow(() => {})];
  await clock.advance(1_000);
  assert.equal(later.at(-1), 1, "who comes after all have gone hears, too");
  assert.ok(reads - last <= 5, "and two who come at once are read for as one");
  for (const each of stops) each();
  await clock.advance(250);
});

test("F4 the counters of an edge: bytes of a share that moves, calls of a server, those of one client together", () => {
  const moves = { ...SAMPLE_MOVES, bytes_to_server: 5, bytes_from_server: 7 };
  const shares = [sampleShare({ moves }), sampleShare({ name: "PLAIN" })];
  const zed = { name: "Zed", calls: 2 };
  assert.deepEqual(flowOf({ shares, backends: [sampleBackend({ calls: 9 })] }, [zed, zed]), {
    kind: "flow",
    shares: [{ name: "CORE", to_server: 5, from_server: 7 }],
    backends: [{ name: "files", calls: 9 }],
    clients: [{ name: "Zed", sessions: 2, calls: 4 }],
  });
});
