import assert from "node:assert/strict";
import test from "node:test";
import {
  deltaMayTouch,
  describeDelta,
  type NetworkDelta,
} from "../../../../src/network/listen/events/network-delta.ts";

const link = (
  interfaceName: string,
  change: "up" | "down" | "carrier_gained" | "carrier_lost" | "added" | "removed",
): NetworkDelta => ({
  kind: "link",
  interfaceName,
  change,
});

test("A9 every delta prints its reason", () => {
  const cases: [NetworkDelta, string][] = [
    [link("tb0", "carrier_lost"), "tb0 lost carrier"],
    [link("tb0", "carrier_gained"), "tb0 gained carrier"],
    [link("tb0", "up"), "tb0 went up"],
    [link("tb0", "down"), "tb0 went down"],
    [link("tb0", "added"), "tb0 was added"],
    [link("tb0", "removed"), "tb0 was removed"],
    [
      { kind: "address", interfaceName: "eth0", change: "added", address: "10.0.0.5" },
      "eth0 got address 10.0.0.5",
    ],
    [
      { kind: "address", interfaceName: "eth0", change: "removed", address: "fd00::5" },
      "eth0 lost address fd00::5",
    ],
    [
      { kind: "route", interfaceName: "tb0", change: "removed", destination: "10.0.0.0/24" },
      "route to 10.0.0.0/24 by tb0 removed",
    ],
    [{ kind: "route", interfaceName: null, change: "added", destination: "default" }, "default route added"],
    [{ kind: "unknown", detail: "configd restarted" }, "something changed (configd restarted)"],
  ];
  for (const [delta, text] of cases) assert.equal(describeDelta(delta), text);
});

test("A3 a delta may touch the hosts of its interface, of its destination, and those it cannot rule out", () => {
  const overTb = { addresses: ["10.99.1.1"], interfaceName: "tb0" };
  const routed = { addresses: ["192.168.7.7"], interfaceName: null };
  const route = (destination: string, interfaceName: string | null = "eth0"): NetworkDelta => ({
    kind: "route",
    interfaceName,
    change: "added",
    destination,
  });
  assert.ok(deltaMayTouch(link("tb0", "carrier_lost"), overTb));
  assert.ok(!deltaMayTouch(link("eth0", "carrier_lost"), overTb));
  assert.ok(deltaMayTouch(link("eth0", "carrier_lost"), routed));
  assert.ok(deltaMayTouch(route("10.99.1.0/25"), overTb));
  assert.ok(!deltaMayTouch(route("10.99.2.0/24"), overTb));
  assert.ok(!deltaMayTouch(route("fd00::/8"), overTb));
  assert.ok(!deltaMayTouch(route("default"), overTb));
  assert.ok(deltaMayTouch(route("default"), routed));
  assert.ok(deltaMayTouch({ kind: "unknown", detail: "" }, overTb));
  assert.ok(
    !deltaMayTouch({ kind: "address", interfaceName: "eth0", change: "added", address: "10.99.2.2" }, overTb),
  );
  assert.ok(
    deltaMayTouch({ kind: "address", interfaceName: "tb0", change: "added", address: "10.99.1.2" }, overTb),
  );
});
