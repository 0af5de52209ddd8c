import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type DnsName,
  dnsQuery,
  nameKey,
  readDnsRecords,
} from "../../../src/network/discover/dns-message.ts";
import { answer, nameBytes, record } from "./packets.ts";

const HOST: DnsName = ["core", "local"];

test("F3 names, ports and addresses are read out of an answer, through compressed names", () => {
  const service = nameBytes(["_smb", "_tcp", "local"]);
  // The instance's name ends in a pointer to the service's, which begins at byte 12.
  const instance = Buffer.concat([Buffer.from([4]), Buffer.from("CORE"), Buffer.from([0xc0, 12])]);
  const message = answer([
    record(service, "PTR", instance),
    record(instance, "SRV", Buffer.concat([Buffer.from([0, 0, 0, 0, 0x01, 0xbd]), nameBytes(HOST)])),
    record(nameBytes(HOST), "A", Buffer.from([10, 0, 0, 2])),
  ]);
  const name = ["CORE", "_smb", "_tcp", "local"];
  assert.deepEqual(readDnsRecords(message), [
    { type: "PTR", name: ["_smb", "_tcp", "local"], target: name },
    { type: "SRV", name, target: HOST, port: 445 },
    { type: "A", name: HOST, address: "10.0.0.2" },
  ]);
});

const NOTHING: readonly (readonly [string, Buffer])[] = [
  ["an empty packet", Buffer.alloc(0)],
  ["a question", dnsQuery([{ type: "PTR", name: HOST }])],
  ["a name that points at itself", answer([record(Buffer.from([0xc0, 12]), "PTR", nameBytes(HOST))])],
  ["two names that point at each other", answer([Buffer.from([0xc0, 14, 0xc0, 12, 0, 12])])],
  ["a name of more than 255 bytes", answer([record(nameBytes(Array(80).fill("abc")), "A", Buffer.alloc(4))])],
  [
    "a record longer than the packet",
    answer([record(nameBytes(HOST), "A", Buffer.alloc(4)).subarray(0, -1)]),
  ],
  ["64 KiB of pointers", answer([Buffer.alloc(65_000, 0xc0)])],
  ["64 KiB of ones", Buffer.alloc(65_507, 1)],
];

for (const [what, message] of NOTHING) {
  test(`nothing is read out of ${what}`, () => assert.deepEqual(readDnsRecords(message), []));
}

test("whatever bytes come, reading them ends, with 256 records at most", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) => {
      assert.ok(readDnsRecords(Buffer.from([0, 0, 0x84, 0, ...bytes])).length <= 256);
    }),
  );
  const many = answer(Array(1_000).fill(record(Buffer.from([0]), "A", Buffer.alloc(4))));
  assert.equal(readDnsRecords(many).length, 256);
});

test("names are one whatever their letters' case, and a dot within a label parts nothing", () => {
  assert.equal(nameKey(["Core", "LOCAL"]), nameKey(HOST));
  assert.notEqual(nameKey(["core.local"]), nameKey(HOST));
});
