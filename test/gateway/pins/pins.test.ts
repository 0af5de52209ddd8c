import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { PinMode } from "../../../src/config/snapshot.ts";
import type { CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import type { GatewayTransition } from "../../../src/gateway/gateway-transitions.ts";
import type { JsonObject } from "../../../src/gateway/json-rpc.ts";
import { Pins } from "../../../src/gateway/pins/pins.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { listing, type MemoryStore, memoryStore, tool } from "./tools.ts";

async function bench(t: TestContext, store: MemoryStore = memoryStore(), mode: PinMode = "block") {
  const clock = createManualClock();
  const told: GatewayTransition[] = [];
  const announce = (transition: GatewayTransition): void => void told.push(transition);
  let changes = 0;
  const onChanged = (): void => void changes++;
  const pins = new Pins({ store, clock, logger: silentLogger, announce, onChanged });
  const backends = [
    { name: "files", pin: null },
    { name: "loose", pin: "off" as const },
  ];
  const rules = { trust: { pin: mode }, backends };
  await pins.load(rules);
  t.after(() => pins.kept[Symbol.asyncDispose]());
  return {
    pins,
    rules,
    changes: () => changes,
    clock,
    store,
    told,
    names: () => told.map(({ name }) => name),
    admit: (...sources: readonly CatalogSource[]) => pins.admit(sources, rules),
    unpublished: (...tools: readonly JsonObject[]) =>
      pins
        .approvedOf([listing("files", tools)], rules)
        .flatMap(({ listings }) => listings.tools.map(({ name }) => name)),
    admitted: (...tools: readonly JsonObject[]) =>
      pins
        .admit([listing("files", tools)], rules)
        .flatMap(({ listings }) => listings.tools.map(({ name }) => name)),
    approveAll: () => pins.approve(pins.pending, true),
  };
}

const CHANGED = tool("a", { description: "Does a, and more." });

describe("the pins of the running gateway", () => {
  test("E3 `block` withholds a changed and a new tool until they are approved", async (t) => {
    const b = await bench(t);
    assert.deepEqual(b.admitted(tool("a"), tool("b")), ["a", "b"]);
    assert.deepEqual(b.admitted(CHANGED, tool("b"), tool("c")), ["b"]);
    assert.deepEqual(b.names(), ["catalog.tools_pinned", "catalog.tool_changed", "catalog.tool_new"]);
    assert.deepEqual(b.told[1], {
      name: "catalog.tool_changed",
      backend: "files",
      kind: "tool",
      tool: "a",
      members: ["description"],
      diff: ["- description: Does a.", "+ description: Does a, and more."],
      withheld: true,
      more: 0,
    });
    // Its server is down: what others may serve in its stead was approved, too.
    assert.deepEqual(b.unpublished(CHANGED, tool("b"), tool("c")), ["b"]);
    const [first, second] = b.pins.pending;
    assert.ok(first !== undefined && second !== undefined);
    b.pins.approve([first], false);
    assert.deepEqual(b.admitted(CHANGED, tool("b"), tool("c")), ["a", "b"]);
    b.pins.approve([second], false);
    assert.deepEqual(b.admitted(CHANGED, tool("b"), tool("c")), ["a", "b", "c"]);
    assert.deepEqual(b.admitted(tool("a")), ["a"], "what was approved earlier is known");
  });

  test("E3 what is withheld is in no list of a backend that is not published either", async (t) => {
    const b = await bench(t);
    b.admitted(tool("a"), tool("b"));
    b.admitted(CHANGED, tool("b"), tool("c"));
    const namesOf = (...tools: readonly JsonObject[]): unknown =>
      b.pins
        .approvedOf([listing("files", tools)], b.rules)
        .flatMap(({ listings }) => listings.tools.map(({ name }) => name));
    assert.deepEqual(namesOf(CHANGED, tool("b"), tool("c")), ["b"]);
    assert.deepEqual(namesOf(tool("a"), tool("b")), ["a", "b"]);
    b.approveAll();
    assert.deepEqual(namesOf(CHANGED, tool("b"), tool("c")), ["a", "b", "c"]);
  });

  test("E3 `tell` withholds nothing, `off` remembers nothing", async (t) => {
    const b = await bench(t, memoryStore(), "tell");
    b.admitted(tool("a"));
    assert.deepEqual(b.admitted(CHANGED, tool("n")), ["a", "n"]);
    assert.deepEqual(b.names(), ["catalog.tools_pinned", "catalog.tool_changed", "catalog.tools_added"]);
    assert.equal(b.pins.state.pending.length, 1);
    b.admit(listing("loose", [tool("a")]));
    b.admit(listing("loose", [CHANGED]));
    assert.deepEqual(b.pins.pending, []);
    assert.equal(b.told.length, 3);
  });

  test("E3 a list is looked at once, and unchanged sources stay the same objects", async (t) => {
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

  test("E3 pins outlive the process, and a change made meanwhile is told", async (t) => {
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
    { kind: "kept", value: { version: 2 } },
  ] as const) {
    test(`E3 pins that are ${kept.kind} and unusable approve nothing: a backend seen later is no new one either`, async (t) => {
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
      again.approveAll();
      assert.deepEqual(again.admitted(tool("a")), ["a"]);
      assert.equal(again.pins.state.lost, null);
    });
  }

  test("E3 a keyring that gives no answer yet: nothing is approved or overwritten, and it is read again", async (t) => {
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
  });

  test("E3 a backend that lists nothing at first is as new as one that was never seen", async (t) => {
    const b = await bench(t);
    assert.deepEqual(b.admitted(), []);
    assert.deepEqual(b.admitted(tool("a")), ["a"]);
    assert.deepEqual(b.admitted(), []);
    assert.deepEqual(b.admitted(CHANGED), []);
    assert.deepEqual(b.names(), ["catalog.tools_pinned", "catalog.tools_gone", "catalog.tool_changed"]);
  });

  test("E3 G1 a machine without backends of its own remembers what it borrows", async (t) => {
    const store = memoryStore();
    const admittedBy = async (listed: JsonObject): Promise<number> => {
      const clock = createManualClock();
      const pins = new Pins({ store, clock, logger: silentLogger, announce() {}, onChanged() {} });
      t.after(() => pins.kept[Symbol.asyncDispose]());
      const rules = { trust: { pin: "block" as const }, backends: [], borrows: true };
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

  test("E3 what is approved is what was seen: another version by now is left", async (t) => {
    const b = await bench(t);
    b.admitted(tool("a"));
    b.admitted(CHANGED);
    const seen = [...b.pins.pending, { backend: "nowhere", name: "x", digest: "d" }];
    assert.deepEqual(b.admitted(tool("a", { description: "Worse." })), []);
    const { approved, left } = b.pins.approve(seen, false);
    assert.deepEqual([approved.length, left.length], [0, 2]);
    assert.deepEqual(b.admitted(tool("a", { description: "Worse." })), []);
  });

  test("E3 a store that fails is a condition, tried again until it is written", async (t) => {
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

  test("E3 a server that changes everything is told in twenty events", async (t) => {
    const b = await bench(t, memoryStore(), "tell");
    const tools = Array.from({ length: 100 }, (_, at) => `t${at}`);
    b.admitted(...tools.map((name) => tool(name)));
    b.admitted(...tools.map((name) => tool(name, { title: "other" })));
    assert.equal(b.told.length, 21);
    const last = b.told.at(-1);
    assert.ok(last?.name === "catalog.tool_changed");
    assert.equal(last.more, 80);
    assert.equal(b.pins.pending.length, 100);
  });

  test("E3 tools that filters keep back are no concern", async (t) => {
    const b = await bench(t);
    const filtered = (tools: readonly JsonObject[]): CatalogSource => {
      const whole = listing("files", tools);
      return { ...whole, filters: { ...whole.filters, tools: { allow: null, deny: ["secret"] } } };
    };
    b.admit(filtered([tool("a"), tool("secret")]));
    b.admit(filtered([tool("a"), tool("secret", { title: "other" })]));
    assert.deepEqual(b.pins.pending, []);
  });
});
