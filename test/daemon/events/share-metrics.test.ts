import assert from "node:assert/strict";
import test from "node:test";
import { createShareMetrics } from "../../../src/daemon/events/share-metrics.ts";
import { EMPTY_SHARE_MEMORY } from "../../../src/reconcile/memory.ts";
import { viewOf } from "../shares.ts";

test("E5 shares are measured by route, reachability, changes and moves, and forgotten with their configuration", () => {
  const engine = {
    names: ["CORE"],
    view: () => viewOf({ memory: { ...EMPTY_SHARE_MEMORY, activeInterface: "fallback" } }),
  };
  const { hear, measured } = createShareMetrics(engine);
  const moved = {
    share: "CORE",
    from: "tb",
    to: "fallback",
    host: "h",
    reason: "r",
    duration_ms: 1,
  } as const;
  hear({ name: "share.failover", ...moved });
  hear({ name: "share.failover", ...moved, carried: true });
  hear({ name: "share.error", share: "CORE", reason: "nothing of a move" });
  hear({ name: "share.recovered", ...moved, share: "GONE" });
  const values = () =>
    measured().flatMap(({ name, values: points }) =>
      points.map(({ labels, value }) => `${name} ${Object.values(labels).join(" ")} ${value}`),
    );
  assert.deepEqual(values(), [
    "mountaineer.share.route CORE fallback 1",
    "mountaineer.share.route.reachable CORE tb 0",
    "mountaineer.share.route.reachable CORE fallback 0",
    "mountaineer.share.changes CORE failover 2",
    "mountaineer.share.moves CORE 1",
  ]);
  engine.names = [];
  assert.deepEqual(values(), []);
  engine.names = ["CORE"];
  assert.ok(!values().some((line) => line.includes("changes")));
});
