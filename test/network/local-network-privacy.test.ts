// Which failed connections may be macOS's Local Network privacy, and what each part that connects says of them.
import assert from "node:assert/strict";
import test from "node:test";
import { connectReason } from "../../src/gateway/backends/transports/http/connect-reason.ts";
import { snapshotOf } from "../../src/network/interfaces.ts";
import { LOCAL_NETWORK, LOCAL_NETWORK_LINE } from "../../src/network/local-network-privacy.ts";
import { isBlockedLike } from "../../src/network/local-network-privacy-darwin.ts";
import { meaningOfError } from "../../src/network/probe/host-probe.ts";
import { failedByNetfs } from "../../src/shares/drivers/netfs/codes.ts";

/** As Node makes it when a connection fails. */
function connectError(code: string, address: string): Error {
  return Object.assign(new Error(`connect ${code} ${address}:445`), { code, address, syscall: "connect" });
}

const LINKS = snapshotOf(
  {
    en0: [
      { address: "192.168.1.5", netmask: "", cidr: "192.168.1.5/24" },
      { address: "fe80::1", netmask: "", cidr: "fe80::1/64" },
    ],
  },
  0,
);

test("A2 macOS may have blocked a connection that found no route to a host on an own link, and no other", () => {
  for (const [error, expected] of [
    [connectError("EHOSTUNREACH", "192.168.1.9"), true],
    [connectError("EHOSTUNREACH", "fe80::9%en0"), true],
    [
      new AggregateError([connectError("ECONNREFUSED", "::1"), connectError("EHOSTUNREACH", "192.168.1.9")]),
      true,
    ],
    [connectError("EHOSTUNREACH", "192.168.2.9"), false],
    [connectError("EHOSTDOWN", "192.168.1.9"), false],
    [connectError("ENETUNREACH", "192.168.1.9"), false],
    [connectError("ECONNREFUSED", "192.168.1.9"), false],
    [Object.assign(new Error("no address"), { code: "EHOSTUNREACH" }), false],
    ["EHOSTUNREACH", false],
  ] as const) {
    assert.equal(
      isBlockedLike(error, () => LINKS),
      expected,
      String(error),
    );
  }
});

test("A2 the probe and a gateway's server give the same cause, and the fixes in order", () => {
  const error = connectError("EHOSTUNREACH", "192.168.1.9");
  const isBlocked = (): boolean => true;
  const probe = meaningOfError(error, false, isBlocked);
  assert.deepEqual([probe.verdict, probe.reason, probe.detail], ["gone", "no_route", LOCAL_NETWORK_LINE]);
  assert.deepEqual(connectReason(error, isBlocked), { ...LOCAL_NETWORK, isUnreachable: true });
  assert.ok(failedByNetfs(65).text.includes(LOCAL_NETWORK.hint));
  assert.match(
    LOCAL_NETWORK.hint,
    /in this order: .*Local Network; .*down.*up; .*monitor in Terminal; restart/,
  );
});

test("on other systems than macOS, no route only means no route", {
  skip: process.platform === "darwin" && "this is macOS",
}, () => {
  // An own link of every machine.
  const error = connectError("EHOSTUNREACH", "127.0.0.1");
  assert.equal(meaningOfError(error, false).detail, "no route to it");
  assert.deepEqual(connectReason(error), { text: "there is no route to it", isUnreachable: true });
});
