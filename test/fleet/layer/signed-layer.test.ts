import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { userKey } from "../../../src/fleet/keys/nkey.ts";
import { keepLayer, readKeptLayer } from "../../../src/fleet/layer/kept-layer.ts";
import { LARGEST_DOCUMENT_BYTES, readSignedLayer, signLayer } from "../../../src/fleet/layer/signed-layer.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const KEY = randomBytes(32);
const OPERATOR = userKey(KEY);
const WORDS = { revision: 3, time: "2026-11-20T10:00:00.000Z", by: "nas", text: "[notify]\n# „ü\n" };
const DOCUMENT = signLayer(WORDS, KEY);

function problem(document: string | Uint8Array, operator = OPERATOR): string {
  const bytes = typeof document === "string" ? Buffer.from(document) : document;
  const reading = readSignedLayer(bytes, { operator, earlier: [] });
  return reading.ok ? "none" : reading.problem;
}

test("G1 what the operator has signed is read as it was signed, by machines of that fleet alone", () => {
  const reading = readSignedLayer(Buffer.from(DOCUMENT), { operator: OPERATOR, earlier: [] });
  assert.deepEqual(reading, {
    ok: true,
    layer: { ...WORDS, operator: OPERATOR },
    steps: [],
    authority: null,
  });
  assert.match(problem(DOCUMENT, userKey(randomBytes(32))), /another key/);
  assert.match(problem(DOCUMENT, `U${"A".repeat(55)}`), /another key/);
});

test("G1 no part of a signed layer can be changed, or taken from another one", () => {
  const other = JSON.parse(signLayer({ ...WORDS, revision: 4 }, KEY));
  const changes = [
    { revision: 4 },
    { time: "2027-11-20T10:00:00.000Z" },
    { by: "laptop" },
    { text: "" },
    { signature: other.signature },
    { signature: "" },
    { signature: "x".repeat(100) },
  ];
  for (const change of changes) {
    const forged = JSON.stringify({ ...JSON.parse(DOCUMENT), ...change });
    assert.match(problem(forged), /the operator has not signed it/, JSON.stringify(change));
  }
  // Somebody else's signature under the operator's name.
  const thief = JSON.parse(signLayer(WORDS, randomBytes(32)));
  assert.match(problem(JSON.stringify({ ...thief, operator: OPERATOR })), /has not signed/);
});

test("G1 whatever else stands there is told in words of this machine", () => {
  const wrong = { ...JSON.parse(DOCUMENT) };
  const cases: readonly [string | Uint8Array, RegExp][] = [
    ["", /not a JSON object/],
    ["[]", /not a JSON object/],
    [JSON.stringify({ ...wrong, format: 2 }), /newer version/],
    [JSON.stringify({ ...wrong, revision: 0 }), /no revision/],
    [JSON.stringify({ ...wrong, revision: 1.5 }), /no revision/],
    [JSON.stringify({ ...wrong, text: 7 }), /missing/],
    [JSON.stringify({ ...wrong, by: "\u001b[2J" }), /who signed it when/],
    [JSON.stringify({ ...wrong, time: "soon" }), /who signed it when/],
    [Buffer.alloc(LARGEST_DOCUMENT_BYTES + 1), /too long/],
    [Buffer.from([0xff, 0xfe]), /not a JSON object/],
  ];
  for (const [document, said] of cases) assert.match(problem(document), said);
});

test("G1 what was kept is proved again when it is read", async (t) => {
  const home = await temporaryFolder(t);
  assert.deepEqual(await readKeptLayer(home, OPERATOR), { layer: null, problem: null });
  await keepLayer(home, Buffer.from(DOCUMENT));
  assert.equal((await readKeptLayer(home, OPERATOR)).layer?.revision, 3);
  assert.match((await readKeptLayer(home, userKey(randomBytes(32)))).problem ?? "", /another key/);
  await mkdir(join(home, "fleet"), { recursive: true });
  await writeFile(join(home, "fleet", "layer.json"), DOCUMENT.slice(0, 40));
  assert.match((await readKeptLayer(home, OPERATOR)).problem ?? "", /not a JSON object/);
});
