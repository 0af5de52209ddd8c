import assert from "node:assert/strict";
import test from "node:test";
import {
  deltaMayTouch,
  describeDelta,
  type NetworkDelta,
} from "../../../../src/network/listen/events/network-delta.ts";

const link = (interfaceName: string, change: "up" | "down"): NetworkDelta => ({
  kind: "link",
  interfaceName,
  change,
});

test("A9 every delta prints its reason", () => {
  const cases: [NetworkDelta, string][] = [
    [link("tb0", "up"), "tb0 went up"],
    [link("tb0", "down"), "tb0 went down"],
    [
      { kind: "address", interfaceName: "eth0", change: "added", address: "10.0.0.5" },
      "eth0 got address 10.0.0.5",
    ],
    [
      { kind: "address", interfaceName: "eth0", change: "removed", address: "fd00::5" },
      "eth0 lost address fd00::5",
    ],
    [{ kind: "unknown", detail: "configd restarted" }, "something changed (configd restarted)"],
  ];
  for (const [delta, text] of cases) assert.equal(describeDelta(delta), text);
});

test("A3 a delta may touch the hosts of its interface, and those it cannot rule out", () => {
  assert.ok(deltaMayTouch(link("tb0", "down"), "tb0"));
  assert.ok(!deltaMayTouch(link("eth0", "down"), "tb0"));
  assert.ok(deltaMayTouch(link("eth0", "down"), null));
  assert.ok(deltaMayTouch({ kind: "unknown", detail: "" }, "tb0"));
  const address = { kind: "address", change: "added", address: "10.99.1.2" } as const;
  assert.ok(!deltaMayTouch({ ...address, interfaceName: "eth0" }, "tb0"));
  assert.ok(deltaMayTouch({ ...address, interfaceName: "tb0" }, "tb0"));
});
