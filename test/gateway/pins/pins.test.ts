import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { PinMode } from "../../../src/config/snapshot.ts";
import type { CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import { isJsonObject, type JsonObject } from "../../../src/gateway/json-rpc.ts";
import { entryDigest, entryText, memberChanges } from "../../../src/gateway/pins/pinned-entry.ts";
import { Pins, shortDiff, shownName } from "../../../src/gateway/pins/pins.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { parseExactly } from "../../../src/runtime/text/exact-json.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { fc } from "../../support/properties.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { source } from "../catalog/sources.ts";
import { listing, type MemoryStore, memoryStore, startPins, tool } from "./tools.ts";

async function bench(t: TestContext, store: MemoryStore = memoryStore(), mode: PinMode = "block") {
  const started = await startPins(mode, store);
  const { pins, rules, announced } = started;
  t.after(() => pins.storedBook[Symbol.asyncDispose]());
  return {
    ...started,
    names: () => announced.map(({ name }) => name),
    admit: (...sources: readonly CatalogSource[]) => pins.admit(sources, rules),
    unpublished: (...tools: readonly JsonObject[]) =>
      pins
        .admit([{ ...listing("files", tools), isUnavailable: true }], rules)
        .flatMap(({ listings }) => listings.tools.map(({ name }) => name)),
    admitted: (...tools: readonly JsonObject[]) =>
      pins
        .admit([listing("files", tools)], rules)
        .flatMap(({ listings }) => listings.tools.map(({ name }) => name)),
    approveAll: () => pins.approve(pins.pending, true),
  };
}

const CHANGED = tool("a", { description: "Does a, and more." });

test("E3 `block` withholds a changed and a new tool until they are approved", async (t) => {
  const b = await bench(t);
  assert.deepEqual(b.admitted(tool("a"), tool("b")), ["a", "b"]);
  assert.deepEqual(b.admitted(CHANGED, tool("b"), tool("c")), ["b"]);
  assert.deepEqual(b.names(), ["catalog.tools_pinned", "catalog.tool_changed", "catalog.tool_new"]);
  assert.deepEqual(b.announced[1], {
    name: "catalog.tool_changed",
    backend: "files",
    kind: "tool",
    tool: "a",
    members: ["description"],
    diff: ["- description: Does a.", "+ description: Does a, and more."],
    withheld: true,
    more: 0,
  });
  const isNew = b.announced[2];
  assert.deepEqual(
    isNew?.name === "catalog.tool_new" && isNew.members,
    [],
    "of a new one no member has changed",
  );
  // Its server is down: what others may serve in its stead was approved, too.
  assert.deepEqual(b.unpublished(tool("a"), tool("b")), ["a", "b"]);
  assert.deepEqual(b.unpublished(CHANGED, tool("b"), tool("c")), ["b"]);
  const [first, second] = b.pins.pending;
  assert.ok(first !== undefined && second !== undefined);
  b.pins.approve([first], false);
  assert.deepEqual(b.admitted(CHANGED, tool("b"), tool("c")), ["a", "b"]);
  b.pins.approve([second], false);
  assert.deepEqual(b.admitted(CHANGED, tool("b"), tool("c")), ["a", "b", "c"]);
  assert.deepEqual(b.unpublished(CHANGED, tool("b"), tool("c")), ["a", "b", "c"]);
  assert.deepEqual(b.admitted(tool("a")), ["a"], "what was approved earlier is known");
});

test("E3 of the texts that were approved the last four are known when they return", async (t) => {
  const b = await bench(t);
  const texts = ["A", "B", "C", "D", "E"].map((description) => tool("a", { description }));
  const [first, second] = texts;
  for (const one of texts) {
    b.admitted(one);
    b.approveAll();
  }
  assert.deepEqual(b.admitted(second ?? {}), ["a"]);
  assert.deepEqual(b.admitted(first ?? {}), []);
});

test("E3 an entry that changes again and again keeps both texts, and is announced once", async (t) => {
  const b = await bench(t, memoryStore(), "tell");
  const ordered = (description: string) => b.admitted(tool("a", { description }));
  for (const text of ["cat, ls", "ls, cat", "cat, wc", "ls, cat", "wc, ls"]) ordered(text);
  const [one] = b.pins.pending;
  assert.match(one?.earlier ?? "", /"ls, cat"/);
  assert.equal(one?.definition["description"], "wc, ls");
  assert.deepEqual(b.names(), ["catalog.tools_pinned", "catalog.tool_changed"]);
  ordered("cat, ls");
  assert.deepEqual(b.pins.pending, []);
});

test("E3 `tell` withholds nothing, `off` remembers nothing", async (t) => {
  const b = await bench(t, memoryStore(), "tell");
  b.admitted(tool("a"));
  assert.deepEqual(b.admitted(CHANGED, tool("n")), ["a", "n"]);
  assert.deepEqual(b.names(), ["catalog.tools_pinned", "catalog.tool_changed", "catalog.tools_added"]);
  assert.equal(b.announced[1]?.name === "catalog.tool_changed" && b.announced[1].withheld, false);
  assert.equal(b.pins.state.pending.length, 1);
  b.admit(listing("loose", [tool("a")]));
  b.admit(listing("loose", [CHANGED]));
  assert.deepEqual(b.pins.pending, []);
  assert.equal(b.announced.length, 3);
});

test("E3 an edit from `tell` to `block` withholds what has changed, though its list is the same as before", async (t) => {
  const b = await bench(t, memoryStore(), "tell");
  b.admitted(tool("a"));
  const source = listing("files", [CHANGED]);
  const served = (pin: PinMode): number[] =>
    b.pins.admit([source], { ...b.rules, trust: { pin } }).map(({ listings }) => listings.tools.length);
  assert.deepEqual([served("tell"), served("block"), served("tell")], [[1], [0], [1]]);
});

test("E3 an entry first seen while its server is away is reported and pinned when that returns", async (t) => {
  const b = await bench(t, memoryStore(), "tell");
  b.admitted(tool("a"));
  const same = listing("files", [CHANGED]);
  b.admit({ ...same, isUnavailable: true });
  assert.deepEqual(b.names(), ["catalog.tools_pinned"]);
  b.admit(same);
  assert.deepEqual(b.names(), ["catalog.tools_pinned", "catalog.tool_changed"]);
});

test("E3 a list is checked once, and unchanged sources stay the same objects", async (t) => {
  const b = await bench(t, memoryStore(), "tell");
  const [one, other] = [listing("files", [tool("a")]), listing("web", [tool("b")])];
  const first = b.admit(one, other);
  assert.deepEqual([first[0], first[1]], [one, other]);
  assert.equal(b.admit(one, other), first);
  let reads = 0;
  const watched = [
    new Proxy(tool("a"), {
      get(target, key) {
        reads += 1;
        return Reflect.get(target, key);
      },
    }),
  ];
  const source = listing("files", watched);
  b.admit(source, other);
  const before = reads;
  b.admit(source, other);
  b.admit(source, listing("web", [tool("b")]));
  assert.ok(before > 0);
  assert.equal(reads, before);
});

test("E3 pins outlive the process, and a change made between two runs is reported", async (t) => {
  const first = await bench(t);
  first.admitted(tool("a"));
  await settle();
  const second = await bench(t, first.store);
  assert.deepEqual(second.admitted(CHANGED), []);
  await settle();
  const third = await bench(t, first.store);
  assert.deepEqual(third.admitted(CHANGED), []);
  assert.deepEqual(third.names(), [], "what was told is not told again");
  third.approveAll();
  await settle();
  const fourth = await bench(t, first.store);
  assert.deepEqual(fourth.admitted(CHANGED), ["a"]);
});

for (const kept of [
  { kind: "untrusted", reason: "its seal is not right" },
  { kind: "stored", value: { version: 2 } },
] as const)
  test(`E3 pins that are ${kept.kind} and unusable approve nothing: a backend seen later does not count as new either`, async (t) => {
    const b = await bench(t, memoryStore(kept));
    assert.notEqual(b.pins.state.lost, null);
    assert.deepEqual(b.admitted(tool("a")), []);
    await settle();
    const again = await bench(t, b.store);
    assert.notEqual(again.pins.state.lost, null);
    assert.deepEqual(again.admitted(tool("a")), []);
    const [web] = again.admit(listing("web", [tool("w")]));
    assert.deepEqual(web?.listings.tools, []);
    again.admitted(tool("a"));
    again.pins.approve(again.pins.pending, false);
    assert.deepEqual(again.admitted(tool("a")), ["a"]);
    assert.notEqual(again.pins.state.lost, null, "one tool was approved, and not that the others are lost");
    again.approveAll();
    assert.equal(again.pins.state.lost, null);
  });

test("E3 a keyring that does not answer yet: nothing is approved or overwritten, and it is read again", async (t) => {
  const before = await bench(t);
  before.admitted(tool("a"));
  await settle();
  const { kept } = before.store;
  const b = await bench(t, memoryStore({ kind: "unanswered", reason: "locked" }));
  assert.deepEqual(b.admitted(tool("a")), []);
  assert.equal(b.pins.state.lost, "locked");
  assert.equal(b.approveAll().approved.length, 0);
  await settle();
  assert.equal(b.store.writes, 0);
  b.store.kept = kept;
  await b.clock.advance(60_000);
  await settle();
  assert.equal(b.changes(), 1);
  assert.equal(b.pins.state.lost, null);
  assert.deepEqual(b.admitted(tool("a")), ["a"]);
  assert.deepEqual(b.admitted(CHANGED), []);
  await settle();
  b.store.kept = { kind: "unanswered", reason: "locked again" };
  await b.pins.storedBook.reload();
  assert.equal(b.pins.state.lost, "locked again");
  assert.deepEqual(b.admitted(tool("a")), ["a"], "what was read before holds meanwhile");
});

test("E3 a backend that lists nothing at first is as new as one that was never seen", async (t) => {
  const b = await bench(t);
  assert.deepEqual(b.admitted(), []);
  assert.deepEqual(b.admitted(tool("a")), ["a"]);
  assert.deepEqual(b.admitted(), []);
  assert.deepEqual(b.admitted(CHANGED), []);
  assert.deepEqual(b.names(), ["catalog.tools_pinned", "catalog.tools_gone", "catalog.tool_changed"]);
});

test("E3 G1 a machine with only imported backends remembers their pins", async (t) => {
  const store = memoryStore();
  const admittedBy = async (listed: JsonObject): Promise<number> => {
    const clock = createManualClock();
    const pins = new Pins({ store, clock, logger: noopLogger, announce() {}, onChanged() {} });
    t.after(() => pins.storedBook[Symbol.asyncDispose]());
    const rules = { trust: { pin: "block" as const }, backends: [], importsBackends: true };
    await pins.load(rules);
    const [source] = pins.admit([listing("files@desktop", [listed])], rules);
    await settle();
    return source?.listings.tools.length ?? 0;
  };
  assert.equal(await admittedBy(tool("a")), 1);
  assert.equal(await admittedBy(CHANGED), 0, "after a restart it is a changed one, not a new one");
});

test("E3 where nothing is pinned, nothing is read", async (t) => {
  const store = memoryStore();
  store.read = () => assert.fail("the store is read");
  const b = await bench(t, store, "off");
  assert.deepEqual(b.admitted(tool("a")), ["a"]);
  assert.deepEqual(b.admitted(CHANGED), ["a"]);
});

test("E3 approval covers only the version that was seen: a newer one is skipped", async (t) => {
  const b = await bench(t);
  b.admitted(tool("a"));
  b.admitted(CHANGED);
  const seen = [...b.pins.pending, { backend: "nowhere", name: "x", digest: "d" }];
  assert.deepEqual(b.admitted(tool("a", { description: "Worse." })), []);
  await settle();
  const { writes } = b.store;
  const { approved, left } = b.pins.approve(seen, false);
  await settle();
  assert.deepEqual([approved.length, left.length, b.store.writes], [0, 2, writes]);
  assert.deepEqual(b.admitted(tool("a", { description: "Worse." })), []);
});

test("E3 a store that fails is a condition, and is retried until it is written", async (t) => {
  const b = await bench(t);
  b.store.fails = "no space left";
  b.admitted(tool("a"));
  await settle();
  assert.equal(b.pins.state.unsavedBecause, "no space left");
  b.store.fails = null;
  await b.clock.advance(60_000);
  await settle();
  assert.equal(b.pins.state.unsavedBecause, null);
  assert.equal(b.store.writes, 1);
});

test("E3 a keyring that stays silent and a disk that stays full are reported once each, and not tried again at the end", async () => {
  const [clock, logger] = [createManualClock(), createRecordingLogger()];
  const store = memoryStore({ kind: "unanswered", reason: "locked" });
  const minute = async (): Promise<void> => {
    await clock.advance(60_000);
    await settle();
  };
  let [changes, told] = [0, 0];
  const onChanged = (): void => void changes++;
  const pins = new Pins({ store, clock, logger, announce: () => void told++, onChanged });
  const rules = { trust: { pin: "block" as const }, backends: [{ name: "files", pin: null }] };
  await pins.load(rules);
  await minute();
  await minute();
  assert.deepEqual(pluck(logger.lines, "level"), ["warn"]);
  store.kept = { kind: "none" };
  await minute();
  const list = async (...tools: readonly JsonObject[]): Promise<void> => {
    pins.admit([listing("files", tools)], rules);
    await settle();
  };
  // Another process has the home: it writes, and tells.
  Object.assign(store, { isOurs: false });
  await list(tool("a"));
  assert.deepEqual([store.writes, told], [0, 0]);
  Object.assign(store, { isOurs: true });
  await pins.storedBook.flush();
  assert.equal(store.writes, 1);
  store.fails = "no space left";
  await list(CHANGED);
  await minute();
  assert.deepEqual(pluck(logger.lines, "level"), ["warn", "error"]);
  const read = Promise.withResolvers<{ readonly kind: "none" }>();
  store.read = () => read.promise;
  const reading = pins.storedBook.reload();
  const written = Promise.withResolvers<void>();
  store.write = () => written.promise.then(() => Promise.reject(new Error("too late")));
  await list(tool("b"));
  const ending = pins.storedBook[Symbol.asyncDispose]();
  written.resolve();
  read.resolve({ kind: "none" });
  await Promise.all([reading, ending]);
  assert.deepEqual([changes, clock.pendingTimers], [1, 0]);
});

test("D5 what servers change is written once a minute, a first listing at once, and all of it at the end", async () => {
  const [clock, store] = [createManualClock(), memoryStore({ kind: "none" })];
  const pins = new Pins({ store, clock, logger: noopLogger, announce() {}, onChanged() {} });
  const rules = { trust: { pin: "block" as const }, backends: [] };
  await pins.load(rules);
  const list = async (name: string, at: number): Promise<void> => {
    pins.admit([listing(name, [tool("a", { title: `at ${at}` })])], rules);
    await clock.advance(5_000);
    await settle();
  };
  for (let at = 0; at < 23; at++) await list("files", at);
  assert.equal(store.writes, 2);
  await list("other", 0);
  assert.equal(store.writes, 3);
  await list("other", 1);
  await pins.storedBook[Symbol.asyncDispose]();
  assert.deepEqual([store.writes, clock.pendingTimers], [4, 0]);
});

test("E3 a server that changes everything is reported in twenty events", async (t) => {
  const b = await bench(t, memoryStore(), "tell");
  const tools = Array.from({ length: 100 }, (_, at) => `t${at}`);
  b.admitted(...tools.map((name) => tool(name)));
  b.admitted(...tools.map((name) => tool(name, { title: "other" })));
  assert.equal(b.announced.length, 21);
  const last = b.announced.at(-1);
  assert.ok(last?.name === "catalog.tool_changed");
  assert.equal(last.more, 80);
  assert.equal(b.pins.pending.length, 100);
  b.approveAll();
  b.admitted();
  for (const one of b.announced.slice(21))
    assert.equal("tools" in one && Array.isArray(one.tools) && one.tools.length, 20, one.name);
  assert.deepEqual(b.names().slice(21), ["catalog.tools_approved", "catalog.tools_gone"]);
});

test("E3 for a server with more tools than can be stored, the report says whether they are withheld", async (t) => {
  const many = Array.from({ length: 5_001 }, (_, at) => tool(`t${at}`));
  for (const mode of ["block", "tell"] as const) {
    const b = await bench(t, memoryStore(), mode);
    // One of them is what the server says of itself.
    assert.equal(b.admitted(...many).length, mode === "block" ? 4_999 : 5_001);
    assert.deepEqual([...b.pins.state.beyond.values()], [{ count: 2, isWithheld: mode === "block" }]);
  }
});

test("E3 tools that filters remove are ignored", async (t) => {
  const b = await bench(t);
  const filtered = (tools: readonly JsonObject[]): CatalogSource => {
    const whole = listing("files", tools);
    return { ...whole, filters: { ...whole.filters, tools: { allow: null, deny: ["secret"] } } };
  };
  b.admit(filtered([tool("a"), tool("secret")]));
  const source = filtered([tool("a"), tool("secret", { title: "other" })]);
  b.admit(source);
  assert.deepEqual(b.pins.pending, []);
  b.admit({ ...source, filters: listing("files", []).filters });
  assert.deepEqual(pluck(b.pins.pending, "name"), ["secret"], "until an edit lets them through");
});

/** The same value with the keys of every object in another order. */
function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, part]) => [key, shuffled(part)]),
  );
}

function parsed(text: string): JsonObject {
  const value = parseExactly(text);
  assert.ok(isJsonObject(value));
  return value;
}

test("E3 a tool has one digest, however its keys are ordered at whatever depth", () => {
  const schema = fc.jsonValue({ maxDepth: 4 }).map((extra) => ({ type: "object", extra, a: { z: 1, b: 2 } }));
  fc.assert(
    fc.property(schema, (inputSchema) => {
      const one = tool("read", { inputSchema, annotations: { readOnlyHint: true, title: "Read" } });
      const other = shuffled(one);
      assert.ok(isJsonObject(other));
      assert.equal(entryDigest(other), entryDigest(one));
      assert.deepEqual(memberChanges(entryText(one), other), []);
    }),
  );
});

test("E3 a change of any member, known or not, changes the digest, and is the only one reported", () => {
  const before = tool("read", { title: "Read", outputSchema: { type: "object" }, annotations: {} });
  const members = ["name", "title", "description", "inputSchema", "outputSchema", "annotations"];
  for (const member of [...members, "_meta", "icons", "execution", "x-acme"]) {
    const value = /Schema$|^annotations$/.test(member) ? { type: "object", x: 1 } : "other";
    const after = { ...before, [member]: value };
    assert.notEqual(entryDigest(after), entryDigest(before));
    const changes = memberChanges(entryText(before), after);
    assertEach(changes, (change) => change.member, [member]);
  }
});

test("E3 for a server that lists nothing yet, its last listed tools are recalled, and nothing else", async (t) => {
  const b = await bench(t);
  const listed = source("files", { tools: ["a", "gone"], prompts: ["p"], resources: ["r"] });
  const { tools } = listed.listings;
  const posing = tool("posing", { frontmatter: {} });
  b.admit({ ...listed, listings: { ...listed.listings, tools: [...tools, posing] } });
  b.admit({ ...listed, listings: { ...listed.listings, tools: [...tools.slice(0, 1), posing] } });
  const recalled = b.pins.recalled([listed, listing("never seen", [])]);
  assertEach(recalled[0]?.listings.tools ?? [], ({ name }) => name, ["a", "posing"]);
  assert.equal(recalled.length, 1);
});

test("D5 a tool is the same in the lists of either version of MCP", () => {
  const modern = tool("read", { title: "Read" });
  assert.equal(entryDigest({ ...modern, execution: { taskSupport: "forbidden" } }), entryDigest(modern));
  assert.notEqual(entryDigest({ ...modern, execution: { taskSupport: "optional" } }), entryDigest(modern));
});

test("E3 numbers count with all their digits, and odd keys like any other", () => {
  const withDefault = (text: string): JsonObject =>
    parsed(`{"name":"a","inputSchema":{"type":"object","default":${text}}}`);
  assert.notEqual(
    entryDigest(withDefault("12345678901234567890")),
    entryDigest(withDefault("12345678901234567891")),
  );
  assert.match(entryText(withDefault("12345678901234567890")), /"default":12345678901234567890/);
  assert.notEqual(entryDigest(withDefault('{"__proto__":1}')), entryDigest(withDefault('{"__proto__":2}')));
  assert.notEqual(entryDigest(withDefault("{}")), entryDigest(withDefault('{"__proto__":1}')));
});

test("E3 the short form shows the difference with some context, and no terminal control characters", () => {
  const before = tool("read", { description: `${"Reads a file. ".repeat(40)}At most 5 MB.` });
  const after = tool("read", {
    description: `${"Reads a file. ".repeat(40)}At most 9 MB.\u001b[31m`,
    title: "New\u202e",
  });
  assert.deepEqual(shortDiff(memberChanges(entryText(before), after)), [
    "+ title: New\\u{202e}",
    "- description: …a file. Reads a file. At most 5 MB.",
    "+ description: …a file. Reads a file. At most 9 MB.\\x1b[31m",
  ]);
  const [from, to] = ["r".repeat(40), `W${"r".repeat(40)}`];
  assert.deepEqual(shortDiff([{ member: "description", before: from, after: to }]), [
    `- description: ${"r".repeat(30)}…`,
    `+ description: W${"r".repeat(30)}…`,
  ]);
  const long = tool("read", { description: "x".repeat(100_000) });
  for (const line of shortDiff(memberChanges(entryText(before), long))) assert.ok(line.length < 500);
  assert.equal(shownName("a\u200bb"), "a\\u{200b}b");
  assert.equal(shownName("x".repeat(5_000)).length, 101);
});
