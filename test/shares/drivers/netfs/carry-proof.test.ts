import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import {
  carryRefusal,
  readCarryProof,
  writeCarryProof,
} from "../../../../src/shares/drivers/netfs/carry-proof.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const MAC = "darwin 24.1.0";
const AT_MS = Date.UTC(2026, 0, 1);

test("A10 netfs is carried where the self-test of this very system passed, and nowhere else", async (t) => {
  const home = await temporaryFolder(t);
  const before = await readCarryProof(home, MAC);
  assert.equal(before.proved, false);
  assert.match(before.reason, /doctor --self-test/);

  await writeCarryProof(home, { carried: true, text: "moved", atMs: AT_MS }, MAC);
  const proof = await readCarryProof(home, MAC);
  assert.deepEqual(proof, { proved: true, reason: "proved by the self-test of 2026-01-01T00:00:00.000Z" });
  assert.equal(carryRefusal(proof), null);

  const updated = await readCarryProof(home, "darwin 24.2.0");
  assert.equal(updated.proved, false);
  assert.match(updated.reason, /darwin 24\.1\.0.*darwin 24\.2\.0/);
  assert.deepEqual(carryRefusal(updated), {
    text: updated.reason,
    hint: "until then it is mounted anew for each route",
  });
});

test("A10 a self-test that failed takes an earlier proof back, and says why", async (t) => {
  const home = await temporaryFolder(t);
  await writeCarryProof(home, { carried: true, text: "moved", atMs: AT_MS }, MAC);
  await writeCarryProof(home, { carried: false, text: "read: EIO", atMs: AT_MS }, MAC);
  const proof = await readCarryProof(home, MAC);
  assert.deepEqual([proof.proved, /read: EIO/.test(proof.reason)], [false, true]);
});

test("A10 a file that is torn, of another version or no object proves nothing", async (t) => {
  const home = await temporaryFolder(t);
  await writeCarryProof(home, { carried: true, text: "moved", atMs: AT_MS }, MAC);
  const path = join(home, "carry-proof.json");
  const whole = await readFile(path, "utf8");
  for (const text of ["", whole.slice(0, 40), "[]", "null", whole.replace('"version": 1', '"version": 2')]) {
    await writeFile(path, text);
    assert.equal((await readCarryProof(home, MAC)).proved, false, text);
  }
  await writeFile(path, whole.replace('"carried": true', '"carried": "true"'));
  assert.equal((await readCarryProof(home, MAC)).proved, false);
});
