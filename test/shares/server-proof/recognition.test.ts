// Telling a server from before by its root: what proves it, what denies it, what leaves it open.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { recogniseRoot, witnessOf } from "../../../src/shares/server-proof/recognition.ts";
import { createListingCollector, type RootListing } from "../../../src/shares/server-proof/root-listing.ts";
import type { KnownEntry, ServerWitness } from "../../../src/shares/server-proof/server-witness.ts";

const GUID = "0".repeat(32);

function known(
  name: string,
  modifiedMs: number,
  createdMs: number | null = null,
  precisionMs = 1,
): KnownEntry {
  return { name, isFolder: false, size: 1, modifiedMs, precisionMs, createdMs };
}

function witness(entries: readonly KnownEntry[], rootCreatedMs: number | null = null): ServerWitness {
  return { serverGuid: GUID, rootCreatedMs, entries };
}

function listing(files: Readonly<Record<string, number>>, precisionMs = 1, keptAtMost = 100): RootListing {
  const collector = createListingCollector(keptAtMost);
  for (const [name, modifiedMs] of Object.entries(files)) {
    collector.add({ name, isFolder: false, size: 1, modifiedMs });
  }
  return collector.end(precisionMs);
}

function births(created: Readonly<Record<string, number>>, isOwn = true) {
  return new Map(Object.entries(created).map(([name, createdMs]) => [name, { createdMs, isOwn }]));
}

const AB = [known("a", 5_000_123, 10_000), known("b", 6_000_456)];

const cases: readonly (readonly [
  what: string,
  witness: ServerWitness,
  listing: RootListing,
  births: ReturnType<typeof births> | null,
  kind: "same" | "different" | "unproved",
])[] = [
  [
    "one entry as it was, the rest new, is the server",
    witness(AB),
    listing({ b: 6_000_456, z: 1 }),
    null,
    "same",
  ],
  [
    "times are compared as coarse as they are told",
    witness(AB),
    listing({ b: 6_000_000 }, 1_000),
    null,
    "same",
  ],
  ["another second is another time", witness(AB), listing({ b: 7_000_000 }, 1_000), null, "unproved"],
  ["an empty root proves nothing", witness(AB, 10_000), listing({}), births({ "": 10_000 }), "unproved"],
  ["none of what was known there is another server", witness(AB), listing({ x: 1 }), null, "different"],
  ["unless the list was cut off", witness(AB), listing({ "0": 1, x: 1 }, 1, 1), null, "unproved"],
  [
    "or the root is the same folder",
    witness(AB, 10_000),
    listing({ x: 1 }),
    births({ "": 10_000 }),
    "unproved",
  ],
  ["all changed leaves it open", witness(AB), listing({ a: 1, b: 2 }), null, "unproved"],
  [
    "a root created at another time denies it",
    witness(AB, 10_000),
    listing({ b: 6_000_456 }),
    births({ "": 20_000 }),
    "different",
  ],
  [
    "rounding is no other time",
    witness(AB, 10_000),
    listing({ b: 6_000_456 }),
    births({ "": 11_000 }),
    "same",
  ],
  [
    "a copy denies it",
    witness(AB),
    listing({ a: 5_000_123, b: 6_000_456 }),
    births({ a: 90_000 }),
    "different",
  ],
  [
    "a file put back from a backup does not, in the same root",
    witness(AB, 10_000),
    listing({ a: 5_000_123, b: 6_000_456 }),
    births({ "": 10_000, a: 90_000 }),
    "same",
  ],
  [
    "a creation time that is told no more leaves times and sizes",
    witness(AB),
    listing({ a: 5_000_123 }),
    births({}),
    "same",
  ],
  ["nothing known proves nothing", witness([]), listing({ a: 1 }), null, "unproved"],
];

describe("recognising a root", () => {
  for (const [what, before, now, created, kind] of cases) {
    test(`A10 ${what}`, () => assert.equal(recogniseRoot(before, now, created).kind, kind));
  }
});

describe("what is known after a proof", () => {
  test("A10 keeps what is finer from before, and takes what is new", () => {
    const before = witness([known("a", 5_000_123, 10_000), known("b", 6_000_456)], 10_000);
    const now = listing({ a: 5_000_000, b: 7_000_000, c: 8_000_000 }, 1_000);
    assert.deepEqual(witnessOf(GUID, now, births({ b: 20_000 }), before), {
      serverGuid: GUID,
      rootCreatedMs: 10_000,
      entries: [
        known("a", 5_000_123, 10_000),
        known("b", 7_000_000, 20_000, 1_000),
        known("c", 8_000_000, null, 1_000),
      ],
    });
    assert.deepEqual(
      witnessOf(GUID, listing({ a: 5_000_123 }), null, witness([known("a", 5_000_000, 10_000, 1_000)])),
      {
        serverGuid: GUID,
        rootCreatedMs: null,
        entries: [known("a", 5_000_123, 10_000)],
      },
    );
  });

  test("A10 leaves out creation times that may be none, and all but the 64 that changed least lately", () => {
    const files = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`f${index}`, 1_000 - index]));
    const after = witnessOf(GUID, listing(files), births({ "": 1, f99: 1 }, false), null);
    assert.equal(after.rootCreatedMs, null);
    assert.equal(after.entries.length, 64);
    assert.deepEqual(after.entries[0], known("f99", 901));
  });
});
