import assert from "node:assert/strict";
import { test } from "node:test";
import { hostKey, hostText, parseHost } from "../../src/config/values/host.ts";

function address(text: string) {
  const reading = parseHost(text);
  assert.ok(reading.ok, `${text} is refused`);
  return reading.address;
}

test("hosts are names, IPv4 and IPv6 addresses, with or without port", () => {
  const table: [string, string, number][] = [
    ["nas", "nas", 445],
    ["nas.local", "nas.local", 445],
    ["nas.local.", "nas.local.", 445],
    ["NAS_2.local:4450", "NAS_2.local", 4450],
    ["2nd-nas", "2nd-nas", 445],
    ["10.0.0.1", "10.0.0.1", 445],
    ["127.0.0.2:65535", "127.0.0.2", 65_535],
    ["::1", "::1", 445],
    ["[::1]", "::1", 445],
    ["[::1]:1", "::1", 1],
    ["fe80::1%bridge0", "fe80::1%bridge0", 445],
    ["[fe80::1%en5]:4450", "fe80::1%en5", 4450],
    ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", 445],
  ];
  for (const [text, host, port] of table) assert.deepEqual(address(text), { host, port }, text);
});

test("what is no host is refused with a reason", () => {
  const table: [string, RegExp | null][] = [
    ["", null],
    [" ", /spaces/],
    ["nas ", /spaces/],
    ["smb://nas/x", /smb/],
    ["nas/x", /share_name/],
    ["\\\\nas\\x", /share_name/],
    ["ann@nas", /username/],
    ["10.0.0.256", /0 to 255/],
    ["10.0.1", /0 to 255/],
    ["10.0.0.1.", /0 to 255/],
    ["1234", /0 to 255/],
    ["nas..local", null],
    [".nas", null],
    ["-nas", null],
    ["nas-", null],
    [`${"a".repeat(64)}.local`, null],
    [Array.from({ length: 60 }, () => "abcdef").join("."), null],
    ["büro.local", /ASCII/],
    ["nas:", /1 to 65535/],
    ["nas:0", /1 to 65535/],
    ["nas:65536", /1 to 65535/],
    ["nas:0445", /1 to 65535/],
    ["nas:+1", /1 to 65535/],
    ["nas:4e2", /1 to 65535/],
    ["nas:smb", /1 to 65535/],
    ["[::1]:", /1 to 65535/],
    ["[::1]445", null],
    ["[nas]:445", /IPv6/],
    ["[10.0.0.1]", /IPv6/],
    ["::1:445:x", /IPv6/],
    ["fe80::1%", null],
    ["nas\n", null],
    ["nas\0", null],
  ];
  for (const [text, hint] of table) {
    const reading = parseHost(text);
    assert.ok(!reading.ok, `${JSON.stringify(text)} is accepted`);
    if (hint !== null) assert.match(reading.hint ?? "", hint, text);
  }
});

test("what stands before an @ is not repeated, since it may be a password", () => {
  for (const text of ["ann:hunter2@nas", "smb://ann:hunter2@nas/x", "hunter2@nas:445"]) {
    const reading = parseHost(text);
    assert.ok(!reading.ok);
    assert.doesNotMatch(JSON.stringify(reading), /hunter2/);
  }
});

test("two spellings of one host and port are equal", () => {
  const same: [string, string][] = [
    ["nas", "NAS:445"],
    ["nas.local", "nas.local."],
    ["::1", "[0:0:0:0:0:0:0:1]:445"],
    ["FE80::1%en5", "[fe80:0::1%en5]"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
  ];
  for (const [one, other] of same)
    assert.equal(hostKey(address(one)), hostKey(address(other)), `${one} ${other}`);
  const different: [string, string][] = [
    ["nas", "nas:4450"],
    ["nas", "nas.local"],
    ["fe80::1%en5", "fe80::1%en6"],
    ["10.0.0.1", "10.0.0.2"],
  ];
  for (const [one, other] of different) assert.notEqual(hostKey(address(one)), hostKey(address(other)));
});

test("a host reads back as it is written, the port only where it is not 445", () => {
  for (const text of ["nas", "nas:4450", "::1", "[::1]:4450"]) assert.equal(hostText(address(text)), text);
  assert.equal(hostText(address("[::1]:445")), "::1");
});
