import assert from "node:assert/strict";
import test from "node:test";
import {
  createStoreReader,
  meaningOfKey,
  type StoreEntry,
  WATCHED_KEYS,
  WATCHED_PATTERNS,
} from "../../../../src/network/listen/darwin/scdynamicstore-keys.ts";
import { describeDelta } from "../../../../src/network/listen/events/network-delta.ts";

const GLOBAL = "State:/Network/Global/IPv4";
const entry = (part: Partial<StoreEntry>): StoreEntry => ({
  active: null,
  primaryInterface: null,
  addresses: [],
  ...part,
});

function setUp(first: Readonly<Record<string, StoreEntry>>) {
  const entries = new Map(Object.entries(first));
  const reader = createStoreReader({
    read: (key) => entries.get(key) ?? null,
    list: (pattern) => [...entries.keys()].filter((key) => new RegExp(`^${pattern}$`).test(key)),
  });
  reader.learn();
  return { entries, changed: (...keys: string[]) => reader.changed(keys).map(describeDelta) };
}

test("A3 the keys watched are IPv4, IPv6 and Link, whole or as patterns", () => {
  const watched = (key: string): boolean =>
    WATCHED_KEYS.includes(key) || WATCHED_PATTERNS.some((pattern) => new RegExp(`^${pattern}$`).test(key));
  for (const key of [
    "State:/Network/Global/IPv4",
    "State:/Network/Global/IPv6",
    "State:/Network/Interface/bridge0/Link",
    "State:/Network/Interface/en0/IPv4",
    "State:/Network/Interface/en0/IPv6",
  ]) {
    assert.ok(watched(key) && meaningOfKey(key) !== null, key);
  }
  for (const key of [
    "State:/Network/Global/DNS",
    "State:/Network/Interface/en0/AirPort",
    "State:/Network/Interface/a/b/Link",
    "State:/Network/Interface/en0/IPv4/x",
    "Setup:/Network/Interface/en0/IPv4",
    "",
  ]) {
    assert.ok(!watched(key) && meaningOfKey(key) === null, key);
  }
});

test("A3 a link's carrier, coming and going, is told once, by what its entry says", () => {
  const key = "State:/Network/Interface/bridge0/Link";
  const { entries, changed } = setUp({ [key]: entry({ active: true }) });
  assert.deepEqual(changed(key), ["something changed (the link of bridge0 flapped)"]);
  entries.set(key, entry({ active: false }));
  assert.deepEqual(changed(key), ["bridge0 lost carrier"]);
  entries.set(key, entry({ active: true }));
  assert.deepEqual(changed(key), ["bridge0 gained carrier"]);
  entries.set(key, entry({}));
  assert.deepEqual(changed(key), ["something changed (the link of bridge0)"]);
  entries.delete(key);
  assert.deepEqual(changed(key), ["bridge0 was removed"]);
  assert.deepEqual(changed(key), []);
  entries.set(key, entry({ active: true }));
  assert.deepEqual(changed(key), ["bridge0 was added"]);
});

test("A3 addresses are told one by one, losses first", () => {
  const key = "State:/Network/Interface/en0/IPv4";
  const { entries, changed } = setUp({ [key]: entry({ addresses: ["10.0.0.5", "10.0.0.6"] }) });
  entries.set(key, entry({ addresses: ["10.0.0.6", "10.0.0.7"] }));
  assert.deepEqual(changed(key), ["en0 lost address 10.0.0.5", "en0 got address 10.0.0.7"]);
  entries.delete(key);
  assert.deepEqual(changed(key), ["en0 lost address 10.0.0.6", "en0 lost address 10.0.0.7"]);
});

test("A3 the default route is told by whose it is", () => {
  const { entries, changed } = setUp({ [GLOBAL]: entry({ primaryInterface: "en0" }) });
  entries.set(GLOBAL, entry({ primaryInterface: "en1" }));
  assert.deepEqual(changed(GLOBAL), ["default route by en0 removed", "default route by en1 added"]);
  assert.deepEqual(changed(GLOBAL), []);
  entries.delete(GLOBAL);
  assert.deepEqual(changed(GLOBAL), ["default route by en1 removed"]);
});

test("A3 an empty list means configd restarted: all is looked at, and what was missed is told", () => {
  const link = "State:/Network/Interface/bridge0/Link";
  const gone = "State:/Network/Interface/en5/Link";
  const { entries, changed } = setUp({ [link]: entry({ active: true }), [gone]: entry({ active: true }) });
  entries.set(link, entry({ active: false }));
  entries.delete(gone);
  entries.set("State:/Network/Interface/en6/Link", entry({ active: true }));
  const told = changed();
  assert.equal(told[0], "something changed (configd restarted)");
  assert.deepEqual(told.slice(1).sort(), ["bridge0 lost carrier", "en5 was removed", "en6 was added"]);
  assert.deepEqual(changed(), ["something changed (configd restarted)"]);
});

test("a key that was not asked for changes nothing", () => {
  const { changed } = setUp({});
  assert.deepEqual(changed("State:/Network/Global/DNS", "nonsense"), []);
});
