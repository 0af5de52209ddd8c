import assert from "node:assert/strict";
import { test } from "node:test";
import { listenAddress } from "../../../src/cli/fleet/fleet-commands.ts";
import { parseFleetServer } from "../../../src/config/values/fleet-values.ts";
import { isAddress } from "../../../src/fleet/enrollment/join-code.ts";

for (const [given, address] of [
  ["nas.local:4333", "nas.local:4333"],
  ["nas.local", "nas.local:4222"],
  ["nas.local.:4222", "nas.local:4222"],
  ["cafe:4222", "cafe:4222"],
  ["192.168.1.5", "192.168.1.5:4222"],
  ["fe80::1", "[fe80::1]:4222"],
  ["[::ffff:1.2.3.4]:4222", "[::ffff:1.2.3.4]:4222"],
] as const) {
  test(`G1 --listen ${given} is where others reach the server, in the configuration and in the code`, () => {
    assert.equal(listenAddress(given), address);
    assert.ok(isAddress(address) && parseFleetServer(`tls://${address}`).ok);
  });
}

test("G1 --listen refuses an address that the configuration or a code could not contain", () => {
  const wrong = [
    "",
    "-",
    "nas-:4222",
    "nas..local",
    "999.9.9.9",
    "127.1",
    "1234",
    "[1.2.3.4]:4222",
    "a:99999",
  ];
  const every = ["0.0.0.0", "::", "[::]:1", "[0:0:0:0:0:0:0.0.0.0]:4222"];
  const hostile = [
    "x\ny:4222",
    'a"b:4222',
    "$HOME:4222",
    "{}:4222",
    "a".repeat(300),
    "u:p@nas:4222",
    "nas/x:4222",
  ];
  for (const given of [...wrong, ...every, ...hostile]) {
    assert.throws(() => listenAddress(given), /--listen takes HOST:PORT/, JSON.stringify(given));
  }
});
