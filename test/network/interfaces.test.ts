// Interfaces and addresses, as the system tells them.
import assert from "node:assert/strict";
import { isIPv4, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import test from "node:test";
import {
  createInterfaceReader,
  findOutgoingInterface,
  readInterfaces,
  snapshotOf,
} from "../../src/network/interfaces.ts";
import {
  canonicalIp,
  formatIp,
  type IpAddress,
  inPrefix,
  isLinkLocalIpv6,
  parseIp,
} from "../../src/network/ip-address.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { fc } from "../support/properties.ts";

function entry(cidr: string): { address: string; netmask: string; cidr: string } {
  return { address: cidr.split("/")[0] ?? "", netmask: "", cidr };
}

function ip(text: string): IpAddress {
  return parseIp(text) ?? assert.fail(text);
}

const snapshot = snapshotOf(
  {
    lo: [entry("127.0.0.1/8"), entry("::1/128")],
    tb0: [entry("10.99.1.2/24"), entry("fe80::1:1/64")],
    eth0: [entry("10.99.2.2/24"), entry("10.0.0.5/8"), entry("fd00::2/64"), entry("fe80::2:2/64")],
    wlan0: [entry("10.99.2.3/24")],
    wg0: [entry("10.200.0.9/32")],
  },
  0,
);

test("A2 the probe leaves from the interface whose subnet contains the host; the longest prefix wins", () => {
  assert.deepEqual(findOutgoingInterface(snapshot, ip("10.99.1.1"), null), {
    kind: "on_link",
    interfaceName: "tb0",
    localAddress: "10.99.1.2",
    address: "10.99.1.1",
  });
  const wide = findOutgoingInterface(snapshot, ip("10.50.0.1"), null);
  assert.equal(wide.kind === "on_link" && wide.localAddress, "10.0.0.5");
  const six = findOutgoingInterface(snapshot, ip("fd00::77"), null);
  assert.equal(six.kind === "on_link" && six.localAddress, "fd00::2");
});

test("A2 a host of 127.0.0.0/8 is on the loopback interface", () => {
  assert.deepEqual(findOutgoingInterface(snapshot, ip("127.0.0.2"), null), {
    kind: "on_link",
    interfaceName: "lo",
    localAddress: "127.0.0.1",
    address: "127.0.0.2",
  });
});

test("two interfaces in one subnet: the system chooses, as it will for the mount", () => {
  assert.deepEqual(findOutgoingInterface(snapshot, ip("10.99.2.1"), null), {
    kind: "on_link",
    interfaceName: null,
    localAddress: null,
    address: "10.99.2.1",
  });
  const chosen = findOutgoingInterface(snapshot, ip("10.99.2.1"), "wlan0");
  assert.equal(chosen.kind === "on_link" && chosen.localAddress, "10.99.2.3");
});

test("A2 only the configured interface is used", () => {
  assert.deepEqual(findOutgoingInterface(snapshot, ip("10.99.1.1"), "tb1"), {
    kind: "absent",
    interfaceName: "tb1",
  });
  assert.deepEqual(findOutgoingInterface(snapshot, ip("192.168.7.7"), "tb0"), {
    kind: "configured",
    interfaceName: "tb0",
    localAddress: "10.99.1.2",
    address: "192.168.7.7",
  });
  const without = findOutgoingInterface(snapshot, ip("2001:db8::1"), "tb0");
  assert.equal(
    without.kind === "configured" && without.localAddress,
    null,
    "a link-local one cannot leave the link",
  );
});

test("a link-local IPv6 host needs its interface: by zone, by configuration, or as the only one", () => {
  for (const way of [
    findOutgoingInterface(snapshot, ip("fe80::9%tb0"), null),
    findOutgoingInterface(snapshot, ip("fe80::9"), "tb0"),
  ]) {
    assert.deepEqual(way, {
      kind: "on_link",
      interfaceName: "tb0",
      localAddress: "fe80::1:1%tb0",
      address: "fe80::9%tb0",
    });
  }
  const open = findOutgoingInterface(snapshot, ip("fe80::9"), null);
  assert.equal(open.kind === "on_link" && open.address, "fe80::9", "two interfaces could be meant");
  assert.deepEqual(findOutgoingInterface(snapshot, ip("fe80::9%tb9"), null), {
    kind: "absent",
    interfaceName: "tb9",
  });
  const one = snapshotOf({ tb0: [entry("fe80::1:1/64")] }, 0);
  assert.equal(findOutgoingInterface(one, ip("fe80::9"), null).kind, "on_link");
});

test("a host that no subnet contains is routed", () => {
  assert.deepEqual(findOutgoingInterface(snapshot, ip("192.168.1.1"), null), {
    kind: "routed",
    address: "192.168.1.1",
  });
  assert.equal(findOutgoingInterface(snapshot, ip("10.200.0.1"), "wg0").kind, "configured");
});

test("entries that cannot be parsed are skipped", () => {
  const odd = snapshotOf(
    {
      x: [
        { address: "what", netmask: "", cidr: null },
        { address: "10.0.0.1", netmask: "", cidr: "10.0.0.1/99" },
      ],
      y: undefined,
    },
    5,
  );
  assert.deepEqual(odd.addresses, []);
  assert.equal(odd.takenAtMs, 5);
});

test("the machine's own interfaces are read", () => {
  const own = readInterfaces(1);
  assert.deepEqual([...own.names], Object.keys(networkInterfaces()));
  assert.ok(own.addresses.some(({ text }) => text === "127.0.0.1"));
});

test("A2 one snapshot serves all who ask for nothing newer, until the network changes", async () => {
  const clock = createManualClock();
  const reader = createInterfaceReader(clock);
  const first = reader.snapshot(clock.monotonicMs());
  assert.equal(reader.snapshot(first.takenAtMs), first);
  await clock.advance(10);
  assert.equal(reader.snapshot(first.takenAtMs), first);
  const second = reader.snapshot(clock.monotonicMs());
  assert.notEqual(second, first);
  reader.networkChanged();
  assert.notEqual(reader.snapshot(0), second);
});

test("an address written and read again is the same bytes, and the system agrees that it is one", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    // Runs of zeros are what folding is about.
    fc
      .array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 })
      .map((list) => Uint8Array.from(list)),
  );
  fc.assert(
    fc.property(bytes, (address) => {
      const text = formatIp(address);
      assert.ok(address.length === 4 ? isIPv4(text) : isIPv6(text), text);
      assert.deepEqual([...(parseIp(text)?.bytes ?? [])], [...address]);
      assert.equal(canonicalIp(text), text);
      if (address.length === 16) assert.equal(new URL(`http://[${text}]/`).hostname, `[${text}]`);
    }),
  );
});

test("a text is read as an address exactly where the operating system does", () => {
  const parts = fc.array(
    fc.constantFrom("0", "1", "ff", "fe80", ":", "::", ".", "255", "256", "01", "g", "%lo", "1.2.3.4"),
    {
      maxLength: 12,
    },
  );
  fc.assert(
    fc.property(parts, (list) => {
      const text = list.join("");
      if (text.includes("%")) return;
      assert.equal(parseIp(text) !== null, isIPv4(text) || isIPv6(text), text);
    }),
    { numRuns: 2_000 },
  );
});

test("spellings of one address become one text", () => {
  for (const [text, canonical] of [
    ["FE80::0001%tb0", "fe80::1%tb0"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["::ffff:10.0.0.1", "::ffff:a00:1"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["10.0.0.1", "10.0.0.1"],
  ] as const) {
    assert.equal(canonicalIp(text), canonical);
  }
  for (const name of [
    "nas.local",
    "",
    "[::1]",
    "10.0.0",
    "010.0.0.1",
    "1::2::3",
    ":::",
    "fe80::1%",
    "1.2.3.4%lo",
  ]) {
    assert.equal(canonicalIp(name), null, name);
  }
});

test("a prefix contains the addresses that share its first bits, and never another family", () => {
  const holds = (address: string, network: string, length: number): boolean =>
    inPrefix(
      parseIp(address)?.bytes ?? new Uint8Array(),
      parseIp(network)?.bytes ?? new Uint8Array(),
      length,
    );
  assert.ok(holds("10.99.1.2", "10.99.1.1", 24));
  assert.ok(!holds("10.99.2.2", "10.99.1.1", 24));
  assert.ok(holds("10.99.2.2", "10.99.1.1", 22));
  assert.ok(holds("10.0.0.1", "192.168.1.1", 0));
  assert.ok(!holds("10.0.0.2", "10.0.0.1", 32));
  assert.ok(holds("fd00::1:2", "fd00::9", 64));
  assert.ok(!holds("::a00:1", "10.0.0.1", 8));
  assert.ok(isLinkLocalIpv6(parseIp("febf::1") ?? assert.fail()));
  assert.ok(!isLinkLocalIpv6(parseIp("fec0::1") ?? assert.fail()));
});
