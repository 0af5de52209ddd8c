import assert from "node:assert/strict";
import { isIPv4, isIPv6 } from "node:net";
import test from "node:test";
import { canonicalIp, formatIp, inPrefix, isLinkLocalIpv6, parseIp } from "../../src/network/ip-address.ts";
import { fc } from "../support/properties.ts";

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

test("what is read as an address is what the system reads as one", () => {
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

test("a prefix holds what shares its first bits, and never another family", () => {
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
