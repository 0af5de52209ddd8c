// Calls for tools that a backend is remembered to have, while it has listed none since the gateway began.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { AuthorizationConfig, BackendConfig } from "../../../src/config/snapshot.ts";
import type { RequiredData } from "../../../src/gateway/backends/policy/required-data.ts";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import { NO_NAMES, nameKey } from "../../../src/gateway/catalog/names.ts";
import { ANONYMOUS } from "../../../src/gateway/client-handle.ts";
import { compilePolicies } from "../../../src/gateway/middleware/policies.ts";
import { NameRegistry } from "../../../src/gateway/serving/name-registry.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { backendConfig } from "../backends/pool/scripted-instance.ts";
import { FIRST_WINS, source } from "../catalog/sources.ts";
import { ask, client, recordingServices, servingSet, user } from "../middleware/requests.ts";
import { type MemoryStore, memoryStore } from "../pins/tools.ts";
import { scriptedGateway } from "./gateway-rig.ts";

const AWAY: RequiredData = { kind: "away", requirement: "CORE", reason: "it is not mounted", sinceMs: 1_000 };

async function beginRemembered(
  t: TestContext,
  store: MemoryStore,
  config = backendConfig("a"),
  data: RequiredData = AWAY,
) {
  let seen = data;
  const listeners: (() => void)[] = [];
  const b = scriptedGateway(t, {
    pinStore: store,
    data: { status: () => seen, onChange: (listener) => void listeners.push(listener) },
  });
  await b.start(config);
  return {
    ...b,
    async call(tool = "one") {
      let came: string | null = null;
      void b.ask("tools/call", { name: tool }).then((reply) => {
        came = "error" in reply ? reply.error.message : "answered";
      });
      await settle();
      return () => came;
    },
    async comes() {
      seen = { kind: "there", mounts: "1" };
      for (const listener of listeners) listener();
      await settle();
    },
  };
}

/** What was kept when its backend `a` had listed `one`. */
async function remembered(t: TestContext): Promise<MemoryStore> {
  const store = memoryStore();
  await (await beginRemembered(t, store)).ready("one");
  assert.equal(store.kept.kind, "stored");
  return store;
}

async function answer({
  script,
}: Pick<Awaited<ReturnType<typeof beginRemembered>>, "script">): Promise<void> {
  script.last.answer();
  await settle();
}

test("B11 a call for a tool that a starting backend had before waits for its first list, and goes there", async (t) => {
  const b = await beginRemembered(t, await remembered(t));
  const [known, unknown] = [await b.call(), await b.call("none")];
  assert.deepEqual([known(), unknown()], [null, "Unknown tool: none"]);
  await b.ready("one", "none");
  await answer(b);
  assert.equal(known(), "answered");
});

test("B11 such a call is answered as usual when the tool has gone, and by its backend when that fails or is slow", async (t) => {
  const gone = await beginRemembered(t, await remembered(t));
  const one = await gone.call();
  await gone.ready("other");
  assert.equal(one(), "Unknown tool: one");

  const failing = await beginRemembered(t, await remembered(t));
  const two = await failing.call();
  await failing.crash();
  assert.match(two() ?? "", /^server a is unavailable: it crashed; it is tried again in \d+ s$/u);

  const slow = await beginRemembered(t, await remembered(t));
  const three = await slow.call();
  await slow.clock.advance(4_999);
  assert.equal(three(), null);
  await slow.clock.advance(1);
  assert.equal(three(), "server a is unavailable: it is being started");
});

test("B7 a call for a tool of a backend that crashed is answered with that and the time of the next try; removed, it has no tools", async (t) => {
  const b = await beginRemembered(t, memoryStore());
  await b.ready("one");
  await b.crash();
  const waiting = await b.call();
  assert.equal(waiting(), null);
  await b.clock.advance(1_000);
  await b.crash();
  assert.match(waiting() ?? "", /^server a is unavailable: it crashed;/u);
  assert.match(
    (await b.call())() ?? "",
    /^server a is unavailable: it crashed; it is tried again in \d+ s$/u,
  );
  assert.equal((await b.call("none"))(), "Unknown tool: none");
  await b.change({ backends: [backendConfig("b")] });
  assert.equal((await b.call())(), "Unknown tool: one");
});

test("B11 a call waits no longer than calls of its backend may take", async (t) => {
  const { timeouts } = backendConfig("a");
  const hurried = backendConfig("a", { timeouts: { ...timeouts, callMs: 1_000 } });
  const b = await beginRemembered(t, await remembered(t), hurried);
  const call = await b.call();
  await b.clock.advance(1_000);
  assert.equal(call(), "server a is unavailable: it is being started");
});

test("C1 one whose backend waits for its share also waits, and then the error names the share", async (t) => {
  const onShare = backendConfig("a", { requires: [{ share: "CORE", folder: null }] });
  const b = await beginRemembered(t, await remembered(t), onShare);
  const [first, second] = [await b.call(), await b.call()];
  assert.equal(first(), null);
  await b.comes();
  await b.ready("one");
  await answer(b);
  assert.deepEqual([first(), second()], ["answered", "answered"]);

  const away = await beginRemembered(t, await remembered(t), onShare);
  const late = await away.call();
  await away.clock.advance(5_000);
  assert.match(late() ?? "", /^server a .*: share CORE is away: it is not mounted$/u);
  const later = await away.call();
  assert.match(later() ?? "", /^server a cannot work: share CORE is away: it is not mounted$/u);
});

test("B11 a backend that is removed, or of which nothing is remembered, has no tools", async (t) => {
  const removed = await beginRemembered(t, await remembered(t));
  const call = await removed.call();
  await removed.change({ backends: [backendConfig("b")] });
  assert.equal(call(), "Unknown tool: one");
  const fresh = await beginRemembered(t, memoryStore());
  assert.equal((await fresh.call())(), "Unknown tool: one");
});

// Two servers with tools of one name: whose it is, and what the other's is called, whatever comes and goes.

const [A, B] = [backendConfig("a"), backendConfig("b")];

async function beginNamed(t: TestContext, nameStore: MemoryStore, ...backends: BackendConfig[]) {
  const b = scriptedGateway(t, { nameStore });
  await b.start(...backends);
  return b;
}

test("B7 a newcomer's tool whose name is in use gets its server's name, wherever it is in the file, even after a restart", async (t) => {
  const store = memoryStore();
  const first = await beginNamed(t, store, B);
  first.instanceOf("b").becomeReady("x", "own");
  assert.deepEqual(await first.listed(), ["x", "own"]);
  await first.change({ backends: [A, B] });
  first.instanceOf("a").becomeReady("x");
  assert.deepEqual(await first.listed(), ["a_x", "x", "own"]);
  await first.end();

  const again = await beginNamed(t, store, A, B);
  again.instanceOf("a").becomeReady("x");
  assert.deepEqual(await again.listed(), ["a_x"]);
  again.instanceOf("b").becomeReady("x", "own");
  assert.deepEqual(await again.listed(), ["a_x", "x", "own"]);
});

test("B7 no name goes to another server while its own is down, and a call of it is not sent there", async (t) => {
  const b = await beginNamed(t, memoryStore(), A, B);
  b.instanceOf("a").becomeReady("x");
  b.instanceOf("b").becomeReady("x");
  assert.deepEqual(await b.listed(), ["x", "b_x"]);
  const other = b.instanceOf("b");
  b.instanceOf("a").endWith("it crashed");
  await b.clock.advance(1_000);
  b.instanceOf("a").endWith("it crashed");
  assert.deepEqual(await b.listed(), ["b_x"]);
  void b.ask("tools/call", { name: "x" });
  await settle();
  assert.deepEqual(other.calls, []);
  void b.ask("tools/call", { name: "b_x" });
  await settle();
  assertEach(other.calls, ({ params }) => params?.["name"], ["x"]);
  other.answer();
});

test("until a client has the names, the file's order decides: starting faster gains nothing", async (t) => {
  const b = await beginNamed(t, memoryStore(), A, B);
  b.instanceOf("b").becomeReady("x");
  await settle();
  b.instanceOf("a").becomeReady("x");
  assert.deepEqual(await b.listed(), ["x", "b_x"]);
});

test("names that cannot be saved are saved later, and those that cannot be read now are read later", async (t) => {
  const store = memoryStore();
  store.fails = "no space left";
  const b = await beginNamed(t, store, B);
  await b.ready("x");
  await b.listed();
  await settle();
  assert.equal(store.writes, 0);
  store.fails = null;
  await b.clock.advance(60_000);
  assert.equal(store.writes, 1);

  const { kept } = store;
  const locked = memoryStore({ kind: "unanswered", reason: "it is locked" });
  const later = await beginNamed(t, locked, A, B);
  for (const instance of later.script.alive) instance.becomeReady("x");
  await later.listed();
  locked.kept = kept;
  await later.clock.advance(60_000);
  assert.deepEqual(later.names(), ["a_x", "x"]);
});

test("E2 policies know a tool by its name with its server's prefix and by the one without", async (t) => {
  const b = await beginNamed(t, memoryStore(), A, B);
  b.instanceOf("a").becomeReady("x", "y");
  b.instanceOf("b").becomeReady("x", "y");
  assert.deepEqual(await b.listed(), ["x", "y", "b_x", "b_y"]);
  const denying = (resources: readonly string[]): AuthorizationConfig => ({
    defaultEffect: "allow",
    policies: [{ effect: "deny", roles: null, resources, methods: null }],
  });
  const visible = (...resources: readonly string[]): readonly string[] => {
    const policies = compilePolicies(denying(resources));
    const { tools } = b.gateway.entries();
    return tools.filter((tool) => policies.isVisible(ANONYMOUS, tool)).map(({ name }) => name);
  };
  assert.deepEqual(visible("tool:x"), ["y", "b_y"]);
  assert.deepEqual(visible("tool:b_x"), ["x", "y", "b_y"]);
  assert.deepEqual(visible("b_*"), ["x", "y"]);
});

test("a server of very many names makes no other one's forgotten, and those of former ones are dropped first", async () => {
  const clock = createManualClock();
  const names = new NameRegistry({ clock, logger: noopLogger, onChanged() {} });
  const of = (backend: string, count: number) =>
    new Map(
      Array.from({ length: count }, (_, at) => {
        const plainName = `${backend}${at}`;
        return [nameKey("tool", plainName), { kind: "tool", backend, plainName } as const] as const;
      }),
    );
  const kept = (backend: string): number =>
    [...names.owners.values()].filter((owner) => owner.backend === backend).length;
  names.use(of("former", 4_000), () => true);
  names.use(of("small", 10), () => true);
  names.use(of("big", 30_000), (backend) => backend !== "former");
  assert.deepEqual([kept("former"), kept("small"), kept("big")], [0, 10, 5_000]);
});

// Tools that a person has switched off.

const OFF = /^The tool x is switched off on this machine\. .*: mountaineer tools enable x$/u;

async function beginSwitched(
  t: TestContext,
  nameStore: MemoryStore = memoryStore(),
  ...tools: readonly string[]
) {
  const b = scriptedGateway(t, { nameStore });
  await b.start(backendConfig("a"));
  await b.ready(...tools);
  const call = async (name: string): Promise<string> => {
    const reply = await b.ask("tools/call", { name });
    if ("error" in reply) return reply.error.message;
    const [block] = reply.result["content"] as readonly { readonly text: string }[];
    return reply.result["isError"] === true ? (block?.text ?? "") : "answered";
  };
  return { ...b, call, turn: (names: readonly string[], on: boolean) => b.gateway.switchTools(names, on) };
}

test("one is in no list, and refused with the reason, until it is switched on; a restart changes nothing of it", async (t) => {
  const store = memoryStore();
  const first = await beginSwitched(t, store, "x", "y");
  assert.deepEqual(await first.turn(["x"], false), { switched: ["x"] });
  assert.deepEqual(first.names(), ["y"]);
  assert.match(await first.call("x"), OFF);
  assert.deepEqual(first.script.last.calls, []);
  assert.deepEqual(await first.turn(["x"], false), { switched: [] });
  await first.end();

  const again = await beginSwitched(t, store, "x", "y");
  assert.deepEqual(again.names(), ["y"]);
  assert.deepEqual(pluck(again.gateway.serving.catalog.entries, "name", "status"), [
    ["x", "off"],
    ["y", "listed"],
  ]);
  assert.deepEqual(await again.turn(["x"], true), { switched: ["x"] });
  assert.deepEqual(again.names(), ["x", "y"]);
});

test("an unknown name changes nothing, not even of those next to it", async (t) => {
  const { turn, names } = await beginSwitched(t, memoryStore(), "x");
  assert.deepEqual(await turn(["x", "z"], false), { unknown: "z" });
  assert.deepEqual(names(), ["x"]);
});

test("one stays off under another name, and its name stays unowned", async (t) => {
  const { turn, ready, change, listed, names } = await beginSwitched(t, memoryStore(), "x");
  await turn(["x"], false);
  await listed();
  const toolOverrides = { x: { name: "other", description: null, arguments: null } };
  await change({ backends: [backendConfig("a", { toolOverrides }), backendConfig("b")] });
  await ready("x", "other");
  assert.deepEqual(names(), ["b_x", "b_other"]);
});

test("a call that waits for its server learns it when that returns", async (t) => {
  const { turn, ready, crash, clock, call } = await beginSwitched(t, memoryStore(), "x");
  await crash();
  const waiting = call("x");
  await settle();
  await turn(["x"], false);
  await clock.advance(1_000);
  await ready("x");
  assert.match(await waiting, OFF);
});

test("a change that cannot be saved is reported, and lasts as long as this process", async (t) => {
  const store = memoryStore();
  const { turn, names } = await beginSwitched(t, store, "x");
  store.fails = "no space left";
  await assert.rejects(turn(["x"], false), /cannot be saved: no space left/);
  assert.deepEqual(names(), []);
  const locked = await beginSwitched(t, memoryStore({ kind: "unanswered", reason: "it is locked" }), "x");
  await assert.rejects(locked.turn(["x"], false), /the keyring gives no answer/);
  assert.deepEqual(locked.names(), ["x"]);
});

test("an unreadable list of switched-off entries is reported, until it can be read", async (t) => {
  const kept = { kind: "stored", value: { version: 1, names: [], off: ['["a","x"]'] } } as const;
  const store = memoryStore({ kind: "unanswered", reason: "it is locked" });
  const { gateway, clock, names } = await beginSwitched(t, store, "x");
  const told = (of = gateway) =>
    of.view().conditions.flatMap(({ code, title }) => (code === "names_lost" ? [title] : []));
  assert.match(told()[0] ?? "", /it is locked$/);
  store.kept = kept;
  await clock.advance(60_000);
  assert.deepEqual([told(), names()], [[], []]);
  const forged = await beginSwitched(t, memoryStore({ kind: "untrusted", reason: "somebody else wrote it" }));
  assert.match(told(forged.gateway)[0] ?? "", /somebody else wrote it$/);
});

test("E2 an entry that the file lists as off stays off while it cannot be verified, whatever wrote it", async (t) => {
  const claimed = { version: 1, names: [], off: ['["a","x"]'] };
  const store = memoryStore({ kind: "unanswered", reason: "it is locked", claimed });
  const locked = await beginSwitched(t, store, "x", "y");
  assert.deepEqual(locked.names(), ["y"]);
  assert.match(await locked.call("x"), OFF);
  store.kept = { kind: "stored", value: { ...claimed, off: [] } };
  await locked.clock.advance(60_000);
  assert.deepEqual(locked.names(), ["x", "y"], "what is verified counts alone");

  const forged = await beginSwitched(
    t,
    memoryStore({ kind: "untrusted", reason: "somebody else wrote it", claimed }),
    "x",
    "y",
  );
  assert.deepEqual(forged.names(), ["y"]);
  assert.deepEqual(await forged.turn(["x"], true), { switched: ["x"] });
  assert.deepEqual(forged.names(), ["x", "y"]);
});

test("E2 a caller without the right to one learns nothing of it", async () => {
  const sources = [source("a", { tools: ["x"] })];
  const known = { ...NO_NAMES, isOff: () => true };
  const catalog = buildCatalog(sources, FIRST_WINS, known);
  const told = async (resources: readonly string[]): Promise<string> => {
    const policies = [{ effect: "deny", roles: null, resources, methods: null }] as const;
    const authorization = { defaultEffect: "allow", policies } as const;
    const served = servingSet(sources, recordingServices(), { authorization, catalog });
    return JSON.stringify(await ask(served, "tools/call", { name: "x" }, client(user("ann"))));
  };
  assert.match(await told(["tool:x"]), /Unknown tool: x/);
  assert.match(await told(["tool:y"]), /The tool x is switched off/);
});
