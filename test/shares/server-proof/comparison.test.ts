// What readings of two roots prove, and how a root from before is recognised.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type Comparison,
  compareReadings,
  type Reading,
  type SideReading,
} from "../../../src/shares/server-proof/comparison.ts";
import type { KnownEntry, ServerFingerprint } from "../../../src/shares/server-proof/known-servers.ts";
import { recognizeRoot, serverFingerprint } from "../../../src/shares/server-proof/recognition.ts";
import {
  createListingCollector,
  type ListedEntry,
  type RootListing,
} from "../../../src/shares/server-proof/root-listing.ts";
import { fc } from "../../support/properties.ts";

type Files = Readonly<Record<string, number>>;

/** `{ "a.txt": 7 }`: its size and time. */
function side(files: Files, created: Files | null = null, keptAtMost = 100): SideReading {
  const collector = createListingCollector(keptAtMost);
  for (const [name, value] of Object.entries(files)) {
    collector.add({ name, isFolder: false, size: value, modifiedMs: value * 1_000 });
  }
  const creationTimes =
    created === null
      ? null
      : new Map(Object.entries(created).map(([name, createdMs]) => [name, { createdMs, isOwn: true }]));
  return { listing: collector.end(1), creationTimes };
}

function read(one: Files, other: Files): Reading {
  return [side(one), side(other)];
}

const cases: readonly (readonly [what: string, readings: readonly Reading[], expected: Comparison])[] = [
  ["equal roots are the same at once", [read({ a: 1, b: 2 }, { b: 2, a: 1 })], { kind: "same" }],
  ["two empty roots prove nothing", [read({}, {})], { kind: "empty" }],
  ["a difference is asked about once more", [read({ a: 1 }, { a: 2 })], { kind: "ask_again" }],
  [
    "a file that was being written is none",
    [read({ a: 1, b: 1 }, { a: 1, b: 2 }), read({ a: 1, b: 2 }, { a: 1, b: 2 })],
    { kind: "same" },
  ],
  [
    "nor are two that were, one at a time",
    [read({ a: 1, b: 1 }, { a: 1 }), read({ a: 1, b: 1 }, { a: 1, b: 1, c: 1 })],
    { kind: "same" },
  ],
  [
    "a file that stays missing is a difference",
    [read({ a: 1, b: 1 }, { a: 1 }), read({ a: 1, b: 1 }, { a: 1 })],
    { kind: "different", text: "list different files: only the first has b" },
  ],
  [
    "an empty root beside one that is not is a difference",
    [read({}, { a: 1 }), read({}, { a: 1 })],
    { kind: "different", text: "list different files: only the second has a" },
  ],
  [
    "a file that changes on both sides is no evidence",
    [read({ a: 1, log: 1 }, { a: 1, log: 2 }), read({ a: 1, log: 3 }, { a: 1, log: 4 })],
    { kind: "same" },
  ],
  [
    "a file that changes on one side is asked about a third time",
    [read({ a: 1, log: 1 }, { a: 1, log: 2 }), read({ a: 1, log: 3 }, { a: 1, log: 2 })],
    { kind: "ask_again" },
  ],
  [
    "and is a difference when the other side stands still",
    [3, 4, 5].map((value) => read({ a: 1, log: value }, { a: 1, log: 2 })),
    { kind: "different", text: "list different files: log has 5 bytes on the first, 2 on the second" },
  ],
  [
    "a difference that stands is not asked about again, whatever changes beside it",
    [read({ a: 1, log: 1 }, { a: 2, log: 2 }), read({ a: 1, log: 3 }, { a: 2, log: 2 })],
    {
      kind: "different",
      text: "list different files: a has 1 bytes on the first, 2 on the second (and 1 more differ)",
    },
  ],
  [
    "a root where everything changes proves nothing",
    [1, 3, 5].map((value) => read({ log: value }, { log: value + 1 })),
    { kind: "changing" },
  ],
  [
    "names are cut and made harmless",
    [1, 2].map(() => read({ a: 1, "b\u001b[31m": 1, c: 1, d: 1, e: 1 }, { a: 1 })),
    { kind: "different", text: "list different files: only the first has b\\x1b[31m, c, d and 1 more" },
  ],
  [
    "an entry that one side lacks counts once, whatever its creation tells",
    [1, 2].map(() => [side({ a: 1, b: 1 }, { b: 1 }), side({ a: 1 }, { b: 2 })] as const),
    { kind: "different", text: "list different files: only the first has b" },
  ],
  [
    "a name of 60 characters is told whole, a longer one is cut",
    [1, 2].map(() => read({ ["n".repeat(60)]: 1, ["o".repeat(61)]: 1 }, {})),
    {
      kind: "different",
      text: `list different files: only the first has ${"n".repeat(60)}, ${"o".repeat(60)}…`,
    },
  ],
  [
    "roots that were created at different times are two",
    [1, 2].map(() => [side({ a: 1 }, { "": 1 }), side({ a: 1 }, { "": 2 })] as const),
    { kind: "different", text: "are two folders: they were created at different times" },
  ],
  [
    "so are files",
    [1, 2].map(() => [side({ a: 1 }, { "": 1, a: 1 }), side({ a: 1 }, { "": 1, a: 2 })] as const),
    { kind: "different", text: "hold copies: their a were created at different times" },
  ],
  [
    "what only one side tells of its creation is no difference",
    [[side({ a: 1 }, { "": 1, a: 1 }), side({ a: 1 }, { "": 1 })]],
    { kind: "same" },
  ],
  ["nor is it when one tells nothing", [[side({ a: 1 }, { "": 1 }), side({ a: 1 })]], { kind: "same" }],
  ["empty roots of one age are empty roots", [[side({}, { "": 1 }), side({}, { "": 1 })]], { kind: "empty" }],
];

describe("comparing readings", () => {
  for (const [what, readings, expected] of cases) {
    test(`A10 ${what}`, () => assert.deepEqual(compareReadings(readings), expected));
  }

  test("A10 the result is the same whichever side is given first", () => {
    for (const [what, readings, expected] of cases) {
      const turned = readings.map(([one, other]): Reading => [other, one]);
      assert.equal(compareReadings(turned).kind, expected.kind, what);
    }
  });

  test("A10 one server is never reported as two, whenever its files change", () => {
    // A server's files over time; the readings look at it six times, in pairs.
    const file = fc.record({
      name: fc.constantFrom("a", "b", "c", "d"),
      at: fc.nat(12),
      isGone: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(file, { maxLength: 12 }),
        fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
        (changes, order) => {
          const lookAt = (moment: number): Files => {
            const files = new Map<string, number>([["e", 0]]);
            for (const { name, at, isGone } of changes.toSorted((one, other) => one.at - other.at)) {
              if (at > moment) continue;
              // A time never comes again.
              if (isGone) files.delete(name);
              else files.set(name, at);
            }
            return Object.fromEntries(files);
          };
          const readings = order.map((isTurned, index): Reading => {
            const early = lookAt(index * 4 + 1);
            const late = lookAt(index * 4 + 3);
            return isTurned ? read(late, early) : read(early, late);
          });
          assert.equal(compareReadings(readings).kind, "same");
        },
      ),
    );
  });

  test("A10 two roots that differ in any unchanging entry are never the same", () => {
    const files = fc.dictionary(fc.string({ minLength: 1, maxLength: 4 }), fc.nat(5), { maxKeys: 12 });
    fc.assert(
      fc.property(files, files, fc.integer({ min: 1, max: 6 }), (one, other, keptAtMost) => {
        const reading = (): Reading => [side(one, null, keptAtMost), side(other, null, keptAtMost)];
        const { kind } = compareReadings([reading(), reading(), reading()]);
        const entries = (all: Files) =>
          JSON.stringify(Object.entries(all).toSorted(([left], [right]) => (left < right ? -1 : 1)));
        const isEmpty = Object.keys(one).length === 0 && Object.keys(other).length === 0;
        assert.equal(kind, isEmpty ? "empty" : entries(one) === entries(other) ? "same" : "different");
      }),
    );
  });
});

describe("a bounded listing", () => {
  const entry = (index: number): ListedEntry => ({
    name: `f${index}`,
    isFolder: false,
    size: index,
    modifiedMs: 0,
  });

  test("A10 keeps the first by name and a digest of the rest, in whatever order they arrive", () => {
    const numbers = Array.from({ length: 50 }, (_, index) => index);
    fc.assert(
      fc.property(
        fc.shuffledSubarray(numbers, { minLength: 50 }),
        fc.integer({ min: 1, max: 60 }),
        (order, keptAtMost) => {
          const [straight, shuffled] = [numbers, order].map((all) => {
            const collector = createListingCollector(keptAtMost);
            for (const index of all) collector.add(entry(index));
            return collector.end(1);
          });
          assert.deepEqual(shuffled, straight);
          assert.equal(shuffled?.count, 50);
          assert.equal(shuffled?.entries.length, Math.min(50, keptAtMost));
          assert.equal(shuffled?.rest === null, keptAtMost >= 50);
        },
      ),
    );
  });
});

const GUID = "0".repeat(32);

function known(
  name: string,
  modifiedMs: number,
  createdMs: number | null = null,
  precisionMs = 1,
): KnownEntry {
  return { name, isFolder: false, size: 1, modifiedMs, precisionMs, createdMs };
}

function witness(entries: readonly KnownEntry[], rootCreatedMs: number | null = null): ServerFingerprint {
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

const A_MS = 5_000_123;
const B_MS = 6_000_456;
const AB = [known("a", A_MS, 10_000), known("b", B_MS)];

const KNOWN = witness(AB);
const DATED = witness(AB, 10_000);

const recognitions: readonly (readonly [
  what: string,
  kind: "same" | "different" | "unproved",
  witness: ServerFingerprint,
  listing: RootListing,
  births?: ReturnType<typeof births>,
])[] = [
  ["one entry as it was, the rest new, is the server", "same", KNOWN, listing({ b: B_MS, z: 1 })],
  ["times are compared as coarse as they are told", "same", KNOWN, listing({ b: 6_000_000 }, 1_000)],
  ["another second is another time", "unproved", KNOWN, listing({ b: 7_000_000 }, 1_000)],
  ["an empty root proves nothing", "unproved", DATED, listing({}), births({ "": 10_000 })],
  ["none of what was known there is another server", "different", KNOWN, listing({ x: 1 })],
  ["unless the list was cut off", "unproved", KNOWN, listing({ "0": 1, x: 1 }, 1, 1)],
  ["or the root is the same folder", "unproved", DATED, listing({ x: 1 }), births({ "": 10_000 })],
  ["all changed leaves it open", "unproved", KNOWN, listing({ a: 1, b: 2 })],
  ["a root of another time denies it", "different", DATED, listing({ b: B_MS }), births({ "": 20_000 })],
  ["rounding is no other time", "same", DATED, listing({ b: B_MS }), births({ "": 11_000 })],
  ["a copy denies it", "different", KNOWN, listing({ a: A_MS, b: B_MS }), births({ a: 90_000 })],
  [
    "a file put back from a backup does not, in the same root",
    "same",
    DATED,
    listing({ a: A_MS, b: B_MS }),
    births({ "": 10_000, a: 90_000 }),
  ],
  ["a creation time that is told no more leaves the rest", "same", KNOWN, listing({ a: A_MS }), births({})],
  ["nothing known proves nothing", "unproved", witness([]), listing({ a: 1 })],
];

describe("recognizing a root", () => {
  for (const [what, kind, before, now, created = null] of recognitions) {
    test(`A10 ${what}`, () => assert.equal(recognizeRoot(before, now, created).kind, kind));
  }
});

describe("known facts after a proof", () => {
  test("A10 keeps the more precise earlier values, and takes new ones", () => {
    const before = DATED;
    const now = listing({ a: 5_000_000, b: 7_000_000, c: 8_000_000 }, 1_000);
    assert.deepEqual(serverFingerprint(GUID, now, births({ b: 20_000 }), before), {
      serverGuid: GUID,
      rootCreatedMs: 10_000,
      entries: [
        known("a", 5_000_123, 10_000),
        known("b", 7_000_000, 20_000, 1_000),
        known("c", 8_000_000, null, 1_000),
      ],
    });
    assert.deepEqual(
      serverFingerprint(
        GUID,
        listing({ a: 5_000_123 }),
        null,
        witness([known("a", 5_000_000, 10_000, 1_000)]),
      ),
      {
        serverGuid: GUID,
        rootCreatedMs: null,
        entries: [known("a", 5_000_123, 10_000)],
      },
    );
  });

  test("A10 leaves out doubtful creation times, and all but the 64 that changed least lately", () => {
    const files = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`f${index}`, 1_000 - index]));
    const after = serverFingerprint(GUID, listing(files), births({ "": 1, f99: 1 }, false), null);
    assert.equal(after.rootCreatedMs, null);
    assert.equal(after.entries.length, 64);
    assert.deepEqual(after.entries[0], known("f99", 901));
  });
});
