// The packet that wakes a machine.
import assert from "node:assert/strict";
import { test } from "node:test";
import { magicPacket } from "../../../src/network/place/wake-packet.ts";

test("F3 six bytes of ones, then sixteen times the hardware address", () => {
  const packet = magicPacket("aa:bb:cc:dd:ee:ff").toString("hex");
  assert.equal(packet, "ff".repeat(6) + "aabbccddeeff".repeat(16));
});
