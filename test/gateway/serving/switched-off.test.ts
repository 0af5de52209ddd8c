// Tools that a person has switched off.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import { NO_NAMES } from "../../../src/gateway/catalog/names.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { settle } from "../../support/manual-clock.ts";
import { passTimeUntilSettled } from "../../support/pass-time.ts";
import { backendConfig } from "../backends/pool/scripted-instance.ts";
import { FIRST_WINS, source } from "../catalog/sources.ts";
import { ask, client, recordingServices, servingSet, user } from "../middleware/requests.ts";
import { type MemoryStore, memoryStore } from "../pins/tools.ts";
import { scriptedGateway } from "./gateway-rig.ts";

const NEVER = new AbortController().signal;
const OFF = /^The tool x is switched off on this machine\. .*: mountaineer tools enable x$/u;

async function begin(t: TestContext, nameStore: MemoryStore = memoryStore()) {
  const { gateway, clock, script } = scriptedGateway({ nameStore });
  let ended: Promise<void> | null = null;
  const end = (): Promise<void> => {
    ended ??= passTimeUntilSettled(clock, gateway[Symbol.asyncDispose](), 1_000);
    return ended;
  };
  t.after(end);
  await gateway.start({ ...NO_GATEWAY, backends: [backendConfig("a")] });
  await settle();
  const named = (): readonly string[] => gateway.entries().tools.map(({ name }) => name);
  const call = async (name: string): Promise<string> => {
    const reply = await gateway.ask("tools/call", { name }, NEVER);
    if ("error" in reply) return reply.error.message;
    const [block] = reply.result["content"] as readonly { readonly text: string }[];
    return reply.result["isError"] === true ? (block?.text ?? "") : "answered";
  };
  return { gateway, clock, script, end, named, call };
}

test("one is in no list, and refused with the reason, until it is switched on; a restart changes nothing of it", async (t) => {
  const store = memoryStore();
  const first = await begin(t, store);
  first.script.last.becomeReady("x", "y");
  await settle();
  assert.deepEqual(await first.gateway.switchTools(["x"], false), { switched: ["x"] });
  assert.deepEqual(first.named(), ["y"]);
  assert.match(await first.call("x"), OFF);
  assert.deepEqual(first.script.last.calls, []);
  assert.deepEqual(await first.gateway.switchTools(["x"], false), { switched: [] });
  await first.end();

  const again = await begin(t, store);
  again.script.last.becomeReady("x", "y");
  await settle();
  assert.deepEqual(again.named(), ["y"]);
  assert.deepEqual(
    again.gateway.published().withheld.map(({ name, reason }) => [name, reason]),
    [["x", "off"]],
  );
  assert.deepEqual(await again.gateway.switchTools(["x"], true), { switched: ["x"] });
  assert.deepEqual(again.named(), ["x", "y"]);
});

test("a name that there is not changes nothing, not even of those beside it", async (t) => {
  const { gateway, script, named } = await begin(t);
  script.last.becomeReady("x");
  await settle();
  assert.deepEqual(await gateway.switchTools(["x", "z"], false), { unknown: "z" });
  assert.deepEqual(named(), ["x"]);
});

test("one stays off under another name, and its name is nobody else's meanwhile", async (t) => {
  const { gateway, script, named } = await begin(t);
  script.last.becomeReady("x");
  await settle();
  await gateway.switchTools(["x"], false);
  await gateway.ask("tools/list", undefined, NEVER);
  const toolOverrides = { x: { name: "other", description: null } };
  const prepared = await gateway.prepare({
    ...NO_GATEWAY,
    backends: [backendConfig("a", { toolOverrides }), backendConfig("b")],
  });
  prepared.commit();
  await settle();
  script.last.becomeReady("x", "other");
  await settle();
  assert.deepEqual(named(), ["b_x", "b_other"]);
});

test("a call that waits for its server learns it when that is back", async (t) => {
  const { gateway, clock, script, call } = await begin(t);
  script.last.becomeReady("x");
  await settle();
  script.last.endWith("it crashed");
  await settle();
  const waiting = call("x");
  await settle();
  await gateway.switchTools(["x"], false);
  await clock.advance(1_000);
  script.last.becomeReady("x");
  await settle();
  assert.match(await waiting, OFF);
});

test("what cannot be kept is told, and holds as long as this process", async (t) => {
  const store = memoryStore();
  const { gateway, script, named } = await begin(t, store);
  script.last.becomeReady("x");
  await settle();
  store.fails = "no space left";
  await assert.rejects(gateway.switchTools(["x"], false), /cannot be kept: no space left/);
  assert.deepEqual(named(), []);
  const locked = await begin(t, memoryStore({ kind: "unanswered", reason: "it is locked" }));
  locked.script.last.becomeReady("x");
  await settle();
  await assert.rejects(locked.gateway.switchTools(["x"], false), /the keyring gives no answer/);
  assert.deepEqual(locked.named(), ["x"]);
});

test("that it is not known what is switched off is told, until it can be read", async (t) => {
  const kept = { kind: "kept", value: { version: 1, names: [], off: ['["a","x"]'] } } as const;
  const store = memoryStore({ kind: "unanswered", reason: "it is locked" });
  const { gateway, clock, script, named } = await begin(t, store);
  script.last.becomeReady("x");
  await settle();
  const told = (of = gateway) =>
    of.view().conditions.flatMap(({ code, title }) => (code === "names_lost" ? [title] : []));
  assert.match(told()[0] ?? "", /it is locked$/);
  store.kept = kept;
  await clock.advance(60_000);
  assert.deepEqual([told(), named()], [[], []]);
  const forged = await begin(t, memoryStore({ kind: "untrusted", reason: "somebody else wrote it" }));
  assert.match(told(forged.gateway)[0] ?? "", /somebody else wrote it$/);
});

test("E2 what the file says is off stays off while it cannot be verified, whoever wrote it", async (t) => {
  const claimed = { version: 1, names: [], off: ['["a","x"]'] };
  const store = memoryStore({ kind: "unanswered", reason: "it is locked", claimed });
  const locked = await begin(t, store);
  locked.script.last.becomeReady("x", "y");
  await settle();
  assert.deepEqual(locked.named(), ["y"]);
  assert.match(await locked.call("x"), OFF);
  store.kept = { kind: "kept", value: { ...claimed, off: [] } };
  await locked.clock.advance(60_000);
  assert.deepEqual(locked.named(), ["x", "y"], "what is verified counts alone");

  const forged = await begin(
    t,
    memoryStore({ kind: "untrusted", reason: "somebody else wrote it", claimed }),
  );
  forged.script.last.becomeReady("x", "y");
  await settle();
  assert.deepEqual(forged.named(), ["y"]);
  assert.deepEqual(await forged.gateway.switchTools(["x"], true), { switched: ["x"] });
  assert.deepEqual(forged.named(), ["x", "y"]);
});

test("E2 whoever may not call one learns nothing of it", async () => {
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
