// Two servers with tools of one name: whose it is, and what the other's is called, whatever comes and goes.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { AuthorizationConfig, BackendConfig } from "../../../src/config/snapshot.ts";
import { nameKey } from "../../../src/gateway/catalog/names.ts";
import { ANONYMOUS } from "../../../src/gateway/client-port.ts";
import { compilePolicies } from "../../../src/gateway/middleware/policies.ts";
import type { Gateway } from "../../../src/gateway/serving/gateway.ts";
import type { GatewayConfig } from "../../../src/gateway/serving/gateway-contract.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { KeptNames } from "../../../src/gateway/serving/kept-names.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { createManualClock, type ManualClock, settle } from "../../support/manual-clock.ts";
import { passTimeUntilSettled } from "../../support/pass-time.ts";
import { backendConfig, type ScriptedInstance } from "../backends/pool/scripted-instance.ts";
import { type MemoryStore, memoryStore } from "../pins/tools.ts";
import { scriptedGateway } from "./gateway-rig.ts";

const NEVER = new AbortController().signal;
const [A, B] = [backendConfig("a"), backendConfig("b")];

interface Begun {
  readonly gateway: Gateway;
  readonly clock: ManualClock;
  instanceOf(backend: string): ScriptedInstance;
  /** As a client lists them. */
  list(): Promise<readonly string[]>;
  configure(config: Partial<GatewayConfig>): Promise<void>;
  end(): Promise<void>;
}

async function begin(t: TestContext, nameStore: MemoryStore, ...backends: BackendConfig[]): Promise<Begun> {
  const { gateway, clock, script } = scriptedGateway({ nameStore });
  let ended: Promise<void> | null = null;
  const end = (): Promise<void> => {
    ended ??= passTimeUntilSettled(clock, gateway[Symbol.asyncDispose](), 1_000);
    return ended;
  };
  t.after(end);
  await gateway.start({ ...NO_GATEWAY, backends });
  await settle();
  return {
    gateway,
    clock,
    end,
    instanceOf(backend) {
      const found = script.alive.findLast(({ options }) => options.backend === backend);
      assert.ok(found !== undefined);
      return found;
    },
    async list() {
      await settle();
      const reply = await gateway.ask("tools/list", undefined, NEVER);
      assert.ok("result" in reply);
      const { tools } = reply.result as { readonly tools: readonly { readonly name: string }[] };
      return tools.map(({ name }) => name);
    },
    async configure(config) {
      const prepared = await gateway.prepare({ ...NO_GATEWAY, ...config });
      prepared.commit();
      void prepared.retire();
      await settle();
    },
  };
}

test("B7 a newcomer's tool that meets a name in use gets its server's name, wherever it stands, also after a restart", async (t) => {
  const store = memoryStore();
  const first = await begin(t, store, B);
  first.instanceOf("b").becomeReady("x", "own");
  assert.deepEqual(await first.list(), ["x", "own"]);
  await first.configure({ backends: [A, B] });
  first.instanceOf("a").becomeReady("x");
  assert.deepEqual(await first.list(), ["a_x", "x", "own"]);
  await first.end();

  const again = await begin(t, store, A, B);
  again.instanceOf("a").becomeReady("x");
  assert.deepEqual(await again.list(), ["a_x"]);
  again.instanceOf("b").becomeReady("x", "own");
  assert.deepEqual(await again.list(), ["a_x", "x", "own"]);
});

test("B7 no name goes to another server while its own is down, and a call of it is not sent there", async (t) => {
  const b = await begin(t, memoryStore(), A, B);
  b.instanceOf("a").becomeReady("x");
  b.instanceOf("b").becomeReady("x");
  assert.deepEqual(await b.list(), ["x", "b_x"]);
  const other = b.instanceOf("b");
  b.instanceOf("a").endWith("it crashed");
  await b.clock.advance(1_000);
  b.instanceOf("a").endWith("it crashed");
  assert.deepEqual(await b.list(), ["b_x"]);
  void b.gateway.ask("tools/call", { name: "x" }, NEVER);
  await settle();
  assert.deepEqual(other.calls, []);
  void b.gateway.ask("tools/call", { name: "b_x" }, NEVER);
  await settle();
  assert.deepEqual(
    other.calls.map(({ params }) => params?.["name"]),
    ["x"],
  );
  other.answer();
});

test("until a client has the names, the file's order decides: who starts faster gains nothing", async (t) => {
  const b = await begin(t, memoryStore(), A, B);
  b.instanceOf("b").becomeReady("x");
  await settle();
  b.instanceOf("a").becomeReady("x");
  assert.deepEqual(await b.list(), ["x", "b_x"]);
});

test("names that cannot be kept are kept later, and those that cannot be read now are read later", async (t) => {
  const store = memoryStore();
  store.fails = "no space left";
  const { gateway, clock, script } = scriptedGateway({ nameStore: store });
  t.after(() => passTimeUntilSettled(clock, gateway[Symbol.asyncDispose](), 1_000));
  await gateway.start({ ...NO_GATEWAY, backends: [B] });
  await settle();
  script.last.becomeReady("x");
  await settle();
  await gateway.ask("tools/list", undefined, NEVER);
  await settle();
  assert.equal(store.writes, 0);
  store.fails = null;
  await clock.advance(60_000);
  assert.equal(store.writes, 1);

  const { kept } = store;
  const locked = memoryStore({ kind: "unanswered", reason: "it is locked" });
  const later = scriptedGateway({ nameStore: locked });
  t.after(() => passTimeUntilSettled(later.clock, later.gateway[Symbol.asyncDispose](), 1_000));
  await later.gateway.start({ ...NO_GATEWAY, backends: [A, B] });
  await settle();
  for (const instance of later.script.alive) instance.becomeReady("x");
  await settle();
  await later.gateway.ask("tools/list", undefined, NEVER);
  locked.kept = kept;
  await later.clock.advance(60_000);
  assert.deepEqual(
    later.gateway.entries().tools.map(({ name }) => name),
    ["a_x", "x"],
  );
});

test("E2 policies know a tool by its name with its server's before it and by the one without", async (t) => {
  const b = await begin(t, memoryStore(), A, B);
  b.instanceOf("a").becomeReady("x", "y");
  b.instanceOf("b").becomeReady("x", "y");
  assert.deepEqual(await b.list(), ["x", "y", "b_x", "b_y"]);
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

test("a server of very many names makes no other one's forgotten, and those of former ones go first", async () => {
  const clock = createManualClock();
  const names = new KeptNames({ clock, logger: silentLogger, onChanged() {} });
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
