// The packet that wakes a machine.
import assert from "node:assert/strict";
import { test } from "node:test";
import { magicPacket, sendMagicPacket } from "../../../src/network/location/wake-packet.ts";

test("F3 six bytes of ones, then sixteen times the hardware address", () => {
  const packet = magicPacket("aa:bb:cc:dd:ee:ff").toString("hex");
  assert.equal(packet, "ff".repeat(6) + "aabbccddeeff".repeat(16));
});

test("nothing is sent to an address without a link, of IPv6, or to none", () => {
  for (const address of ["203.0.113.1", "::1", ""]) sendMagicPacket(`aa:bb:cc:dd:ee:ff@${address}`);
  assert.ok(!process.getActiveResourcesInfo().includes("UDPWrap"));
});
