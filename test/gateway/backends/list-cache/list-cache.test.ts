// What servers listed last: kept under ids that reveal no connection key, within bounds, and read again.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ListCache,
  type ListStore,
  type ServerLists,
} from "../../../../src/gateway/backends/list-cache/list-cache.ts";
import { NO_LISTINGS } from "../../../../src/gateway/catalog/catalog.ts";
import type { StoredPins } from "../../../../src/gateway/pins/pin-store.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { parseExactly } from "../../../../src/runtime/text/exact-json.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";

const KEY = "0123456789abcdef";

function lists(change: Partial<ServerLists> = {}, ...tools: object[]): ServerLists {
  return {
    initialized: {
      protocolVersion: "2025-11-25",
      capabilities: { tools: {} },
      serverInfo: { name: "files", version: "2" },
      instructions: "Read first.",
    },
    listings: { ...NO_LISTINGS, tools: tools.map((tool) => ({ ...tool })) },
    freshness: {},
    askedAtMs: 1_000,
    ...change,
  };
}

function startRemembering(stored: { kept: StoredPins; secret: string | null; writes?: number }) {
  const clock = createManualClock();
  const store: ListStore = {
    read: async () => stored.kept,
    async write(value) {
      stored.writes = (stored.writes ?? 0) + 1;
      stored.kept = { kind: "stored", value: JSON.parse(JSON.stringify(value)) };
    },
    secret: async () => stored.secret,
  };
  const remembered = new ListCache({ clock, logger: noopLogger, listStore: store });
  return { remembered, clock };
}

async function kept(): Promise<{ kept: StoredPins; secret: string | null }> {
  const stored = { kept: { kind: "none" } as StoredPins, secret: "s1" };
  const { remembered } = startRemembering(stored);
  await remembered.load();
  remembered.record("a", KEY, lists({}, { name: "one", n: 1 }));
  await remembered.storedBook.flush();
  return stored;
}

test("B2 the next start finds a server's last lists, to the last digit, and stores no connection key", async () => {
  const stored = { kept: { kind: "none" } as StoredPins, secret: "s1" };
  const first = startRemembering(stored);
  await first.remembered.load();
  const tool = parseExactly('{"name":"one","most":12345678901234567890,"rate":1.10}') as object;
  first.remembered.record("a", KEY, lists({}, tool));
  await first.clock.advance(2_000);
  await first.remembered.storedBook.flush();
  assert.doesNotMatch(JSON.stringify(stored.kept), new RegExp(KEY));
  const { remembered } = startRemembering(stored);
  await remembered.load();
  const found = remembered.find("a", KEY);
  assert.equal(JSON.stringify(found), JSON.stringify(lists({}, tool)));
  assert.equal(remembered.find("a", "another"), null);
  assert.equal(remembered.find("b", KEY), null);
});

test("D5 lists that differ each time are written once a minute, and all of them at the end", async () => {
  const stored = { kept: { kind: "none" } as StoredPins, secret: "s1", writes: 0 };
  const { remembered, clock } = startRemembering(stored);
  await remembered.load();
  for (let at = 0; at < 24; at++) {
    remembered.record("a", KEY, lists({}, { name: "one", at }));
    await clock.advance(5_000);
  }
  await settle();
  assert.equal(stored.writes, 2);
  await remembered.storedBook.flush();
  assert.deepEqual([stored.writes, clock.pendingTimers], [3, 0]);
});

test("B2 without the key, or with a file that another program wrote, nothing is remembered and nothing fails", async () => {
  const locked = startRemembering({ ...(await kept()), secret: null }).remembered;
  await locked.load();
  assert.equal(locked.find("a", KEY), null);
  for (const found of [
    { kind: "untrusted", reason: "changed", claimed: null },
    { kind: "unanswered", reason: "locked" },
    { kind: "stored", value: { version: 1, backends: [["a", [["x", "y"]]]] } },
    { kind: "stored", value: { version: 9 } },
  ] as const) {
    const { remembered } = startRemembering({ kept: found, secret: "s1" });
    await remembered.load();
    assert.equal(remembered.find("a", KEY), null);
  }
});

test("B2 a list beyond the bounds is not stored, and leaves no older one in its place", async () => {
  const stored = await kept();
  const { remembered } = startRemembering(stored);
  await remembered.load();
  remembered.record("a", KEY, lists({}, { name: "one", description: "x".repeat(3 * 1024 * 1024) }));
  assert.equal(remembered.find("a", KEY), null);
  await remembered.storedBook.flush();
  assert.deepEqual((stored.kept as { value?: unknown }).value, { version: 1, backends: [] });
});

test("B2 removed backends are forgotten, and of one backend the last eight connections are kept", async () => {
  const stored = await kept();
  const { remembered } = startRemembering(stored);
  await remembered.load();
  for (let at = 0; at < 9; at++) remembered.record("b", `key ${at}`, lists({}, { name: `tool ${at}` }));
  remembered.configure(["b"]);
  await remembered.storedBook.flush();
  const next = startRemembering(stored).remembered;
  await next.load();
  assert.equal(next.find("a", KEY), null);
  assertEach([0, 1, 8], (at) => next.find("b", `key ${at}`) !== null, [false, true, true]);
});

test("E3 Python's hash seed follows from the home's key and the backend, and from no path", async () => {
  const seeds = async (secret: string | null, ...backends: string[]) => {
    const { remembered } = startRemembering({ kept: { kind: "none" }, secret });
    await remembered.load();
    return backends.map((backend) => remembered.hashSeed(backend));
  };
  const [a, b] = await seeds("s1", "a", "b");
  assert.deepEqual(await seeds("s1", "a", "b"), [a, b]);
  assert.notEqual(a, b);
  assert.notDeepEqual(await seeds("s2", "a"), [a]);
  assert.deepEqual(await seeds(null, "a"), [null]);
  assert.ok(typeof a === "number" && a >= 0 && a < 2 ** 32);
});
