import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { userKey } from "../../../src/fleet/keys/nkey.ts";
import type { FleetRecord } from "../../../src/fleet/way-in/fleet-record.ts";
import { parseRecord, recordText } from "../../../src/fleet/way-in/fleet-record.ts";
import {
  exchanged,
  type KeyRequest,
  readKeyRequest,
  writeKeyRequest,
} from "../../../src/fleet/way-in/key-exchange.ts";
import { serverConfig } from "../../../src/fleet/way-in/server-config.ts";

const [OLD, NEXT, OTHER, NAS] = Array.from({ length: 4 }, () => randomBytes(32)) as [
  Buffer,
  Buffer,
  Buffer,
  Buffer,
];
const RECORD: FleetRecord = {
  address: "127.0.0.1:4222",
  authority: "ab".repeat(32),
  operator: randomBytes(32).toString("base64url"),
  certificates: 1,
  home: "nas",
  members: [
    { name: "nas", key: userKey(NAS) },
    { name: "laptop", key: userKey(OLD) },
  ],
  invitations: [],
};

function asked(step: "add" | "use", before: Buffer, next: Buffer, name = "laptop"): KeyRequest {
  const request = readKeyRequest(writeKeyRequest(step, name, before, next), name);
  assert.ok(request);
  return request;
}

test("G1 first both keys let a machine in, then the next one alone; asked twice, it is so", () => {
  const added = exchanged(RECORD, "laptop", asked("add", OLD, NEXT));
  assert.ok(added);
  assert.deepEqual(added.members[1], { name: "laptop", key: userKey(OLD), nextKey: userKey(NEXT) });
  assert.deepEqual(parseRecord(recordText(added), "fleet.json"), added);
  assert.equal(exchanged(added, "laptop", asked("add", OLD, NEXT)), added);
  const paths = { certificate: "/c", key: "/k", store: "/s", log: "/l" };
  const lines = serverConfig(added, paths).split("\n");
  const [one = "", two = ""] = [OLD, NEXT].map(
    (key) => lines.find((line) => line.includes(userKey(key))) ?? "",
  );
  assert.equal(one.replace(userKey(OLD), userKey(NEXT)), two);
  // A key of which nothing came of is replaced by the next one.
  const instead = exchanged(added, "laptop", asked("add", OLD, OTHER));
  assert.equal(instead?.members[1]?.nextKey, userKey(OTHER));
  const used = exchanged(added, "laptop", asked("use", OLD, NEXT));
  assert.ok(used);
  assert.deepEqual(used.members[1], { name: "laptop", key: userKey(NEXT) });
  assert.equal(exchanged(used, "laptop", asked("use", OLD, NEXT)), used);
});

test("G1 whoever has neither key, another machine's name, or a key that is taken, changes nothing", () => {
  const added = exchanged(RECORD, "laptop", asked("add", OLD, NEXT));
  assert.ok(added);
  const used = exchanged(added, "laptop", asked("use", OLD, NEXT));
  assert.ok(used);
  const refused: readonly [FleetRecord, string, KeyRequest][] = [
    // Not by the key that the machine has.
    [RECORD, "laptop", asked("add", OTHER, NEXT)],
    // By the key that went, played back.
    [used, "laptop", asked("add", OLD, OTHER)],
    [RECORD, "laptop", asked("use", OLD, NEXT)],
    [RECORD, "desktop", asked("add", OLD, NEXT, "desktop")],
    // Of somebody else: that one would be let in under two names.
    [RECORD, "laptop", asked("add", OLD, NAS)],
    [added, "nas", asked("add", NAS, NEXT, "nas")],
  ];
  for (const [record, name, request] of refused) assert.equal(exchanged(record, name, request), null);
  const text = writeKeyRequest("add", "laptop", OLD, NEXT);
  const forged = [
    writeKeyRequest("add", "nas", OLD, NEXT),
    JSON.stringify({ ...JSON.parse(text), key: userKey(OTHER) }),
    JSON.stringify({ ...JSON.parse(text), step: "use" }),
    JSON.stringify({ ...JSON.parse(text), step: "drop" }),
    JSON.stringify({ ...JSON.parse(text), signature: "" }),
    text.padEnd(3_000),
    "[]",
  ];
  for (const message of forged) assert.equal(readKeyRequest(message, "laptop"), null);
});
