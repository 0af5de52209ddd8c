import assert from "node:assert/strict";
import { test } from "node:test";
import type { LentPlace } from "../../../src/fleet/calls/places.ts";
import { offerText, readOffer } from "../../../src/fleet/calls/words.ts";

const instance = "1".repeat(16);
const PLACE: LentPlace = {
  roots: ["CORE", "WORK/src"],
  requires: ["CORE", "WORK:/src"],
  standing: "tb",
  busy: 3,
};
const OFFER = {
  instance,
  backends: ["files", "mail"],
  sharesRoot: "/Volumes/Shares",
  places: new Map([["files", PLACE]]),
};

function read(value: unknown): ReturnType<typeof readOffer> {
  return readOffer(Buffer.from(JSON.stringify(value)));
}

test("G1 what a machine tells of its backends is read as it was told", () => {
  assert.deepEqual(readOffer(Buffer.from(offerText(OFFER))), OFFER);
  const nothing: LentPlace = { roots: [""], requires: [], standing: null, busy: 0 };
  const all = { ...OFFER, places: new Map([["mail", nothing]]) };
  assert.deepEqual(readOffer(Buffer.from(offerText(all))), all);
});

test("G1 a place that is not of the right form is none; the backend is there all the same", () => {
  const told = { format: 1, instance, backends: ["files"], shares_root: "/s" };
  assert.equal(read({ ...told, places: { files: PLACE } })?.places.size, 1);
  const wrong: readonly unknown[] = [
    null,
    [],
    { ...PLACE, roots: ["/CORE"] },
    { ...PLACE, roots: ["../etc"] },
    { ...PLACE, roots: ["a/../../b"] },
    { ...PLACE, roots: ["CORE/"] },
    { ...PLACE, roots: ["a//b"] },
    { ...PLACE, roots: ["."] },
    { ...PLACE, roots: ["CORE\n"] },
    { ...PLACE, roots: ["CORE\u202e"] },
    { ...PLACE, roots: ["x".repeat(1_025)] },
    { ...PLACE, roots: Array.from({ length: 17 }, (_, at) => `r${at}`) },
    { ...PLACE, roots: "CORE" },
    { ...PLACE, requires: [7] },
    { ...PLACE, requires: [""] },
    { ...PLACE, requires: ["x".repeat(257)] },
    { ...PLACE, standing: "best" },
    { ...PLACE, busy: -1 },
    { ...PLACE, busy: 1.5 },
    { ...PLACE, busy: "0" },
  ];
  for (const place of wrong) {
    const offer = read({ ...told, places: { files: place } });
    assert.deepEqual([offer?.backends, offer?.places.size], [["files"], 0], JSON.stringify(place));
  }
  for (const root of [
    "",
    "/",
    "s",
    "/s/",
    "/s/../t",
    "/s\u0000",
    "/s/./t",
    7,
    null,
    `/${"x".repeat(1_024)}`,
  ]) {
    const offer = read({ ...told, shares_root: root, places: { files: PLACE } });
    assert.deepEqual([offer?.sharesRoot, offer?.places.size], [null, 0], JSON.stringify(root));
  }
  assert.equal(read({ ...told, places: { other: PLACE, __proto__: PLACE } })?.places.size, 0);
  assert.equal(read({ ...told, backends: ["toString"], places: {} })?.places.size, 0);
});

test("G1 an offer stays small enough to be read: what does not fit is told of the names alone", () => {
  const backends = Array.from({ length: 64 }, (_, at) => `backend-${String(at).padStart(2, "0")}`);
  const large: LentPlace = {
    ...PLACE,
    roots: Array.from({ length: 16 }, (_, at) => `ä${at}/${"x".repeat(60)}`).toSorted(),
  };
  const sharesRoot = `/${"ä".repeat(1_000)}`;
  const text = offerText({
    instance,
    backends,
    sharesRoot,
    places: new Map(backends.map((name) => [name, large])),
  });
  const offer = readOffer(Buffer.from(text));
  assert.deepEqual(offer?.backends, backends);
  assert.ok(offer !== null && offer.places.size > 0 && offer.places.size < 64);
  assert.deepEqual(offer.places.get("backend-00"), large);
});
