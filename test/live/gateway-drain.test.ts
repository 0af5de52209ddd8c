import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { type GatewayRig, nodeBackend, type Section, startGatewayRig } from "../mcp/gateway-rig.ts";
import { connectLight, type LightClient, LightError } from "../mcp/light-client.ts";
import { eventually } from "../support/eventually.ts";

const light = (env: Record<string, string> = {}, more: Section = {}): Section =>
  nodeBackend(LIGHT_SERVER, [], { env, ...more });
const B = light({ LIGHT_PREFIX: "b_" });

interface Scene {
  readonly rig: GatewayRig;
  readonly client: LightClient;
}

async function scene(t: TestContext, a: Section, server: Section = {}): Promise<Scene> {
  const rig = await startGatewayRig(t, { backends: { a, b: B }, server });
  await rig.untilReady("a", "b");
  const client = await connectLight(rig.url);
  t.after(() => client[Symbol.asyncDispose]());
  await client.listen();
  return { rig, client };
}

interface RunningCall {
  readonly answer: Promise<string>;
  /** Resolves with the answer: until this is called there is none. */
  finish(): Promise<string>;
}

/** A call of backend `a` that is under way there. */
async function begin({ rig, client }: Scene): Promise<RunningCall> {
  const until = path.join(rig.folder, "finish");
  const answer = client.call("sleep", { until, text: "finished" });
  // Whoever looks at it later hears of it.
  answer.catch(() => {});
  await rig.untilBackend("a", ({ in_flight }) => in_flight > 0);
  return {
    answer,
    async finish() {
      await writeFile(until, "");
      return answer;
    },
  };
}

const isDocumentedEnd = (what: RegExp) => (error: unknown) =>
  error instanceof LightError && error.code === -32000 && what.test(error.message);

test("B7 a call on a removed backend finishes, though its names are gone at once; then its process is gone, too", async (t) => {
  const scenery = await scene(t, light());
  const { rig, client } = scenery;
  const { pid } = await rig.backend("a");
  const running = await begin(scenery);
  await rig.edit({ backends: { b: B } });
  const names = await client.tools();
  assert.ok(
    names.every((name) => name.startsWith("b_")),
    names.join(),
  );
  await assert.rejects(client.call("echo", { text: "x" }), /-32602: Unknown tool: echo/);
  assert.ok((await rig.processes()).includes(pid ?? 0));
  assert.equal(await running.finish(), "finished");
  await eventually(async () => !(await rig.processes()).includes(pid ?? 0));
  // The daemon itself hears of the end a moment after the system has.
  await eventually(async () => (await rig.status()).backends?.length === 1);
});

test("B7 a call on a changed backend finishes on the old instance while the new one serves", async (t) => {
  const scenery = await scene(t, light());
  const { rig, client } = scenery;
  const { pid } = await rig.backend("a");
  const running = await begin(scenery);
  await rig.edit({ backends: { a: light({ GENERATION: "2" }), b: B } });
  await rig.untilBackend("a", (backend) => backend.pid !== pid && backend.phase === "Ready");
  assert.equal(await client.call("env", { name: "GENERATION" }), '"2"');
  assert.equal((await rig.backend("a")).draining, 1);
  assert.equal(await running.finish(), "finished");
  await rig.untilBackend("a", ({ draining, instances }) => draining === 0 && instances === 1);
  assert.equal(client.notices.length, 0, "no list is another");
});

for (const [what, words] of [
  ["removed", /backend a was removed from the configuration; .* drain_timeout \(0\.5 s\)/],
  ["disabled", /backend a was disabled in the configuration; .* drain_timeout \(0\.5 s\)/],
  ["replaced", /backend a was replaced by a change of the configuration; .* drain_timeout \(0\.5 s\)/],
] as const) {
  test(`B7 past drain_timeout a call on a ${what} backend ends with -32000, which says so`, async (t) => {
    const server = { drain_timeout: 0.5 };
    const scenery = await scene(t, light(), server);
    const { answer } = await begin(scenery);
    const next = {
      removed: {},
      disabled: { a: light({}, { enabled: false }) },
      replaced: { a: light({ GENERATION: "2" }) },
    }[what];
    await scenery.rig.edit({ backends: { ...next, b: B }, server });
    await assert.rejects(answer, isDocumentedEnd(words));
    assert.equal(await scenery.client.call("b_echo", { text: "on" }), "on");
  });
}

test("B7 under stop-first calls wait for the new instance and are answered by it, under whatever name it has them", async (t) => {
  const override = (prefix: string): Section => ({
    replace: "stop-first",
    tool_overrides: { [`${prefix}pid`]: { name: "who" }, [`${prefix}sleep`]: { name: "sleep" } },
  });
  const a = light({ LIGHT_PREFIX: "a_" }, override("a_"));
  const { rig, client } = await scene(t, a);
  const old = await client.call("who");
  const running = await begin({ rig, client });
  const next = light({ LIGHT_PREFIX: "c_", LIGHT_INIT_MS: "300" }, override("c_"));
  await rig.edit({ backends: { a: next, b: B } });
  await rig.untilBackend("a", ({ phase }) => phase !== "Ready");
  const waiting = Promise.all(Array.from({ length: 10 }, () => client.call("who")));
  assert.equal(await running.finish(), "finished");
  const answers = await waiting;
  assert.equal(new Set(answers).size, 1);
  assert.notEqual(answers[0], old);
  await rig.untilReady("a");
  assert.equal((await rig.backend("a")).pid, Number(answers[0]));
});

test("B7 a disabled backend leaves and comes back, and its calls finish", async (t) => {
  const scenery = await scene(t, light());
  const { rig, client } = scenery;
  const running = await begin(scenery);
  await rig.edit({ backends: { a: light({}, { enabled: false }), b: B } });
  assert.ok(!(await client.tools()).includes("echo"));
  const off = await rig.backend("a");
  assert.deepEqual([off.enabled, off.phase, off.reason], [false, "ShuttingDown", "it is disabled"]);
  assert.equal(await running.finish(), "finished");
  await rig.untilBackend("a", ({ phase, instances }) => phase === "Pending" && instances === 0);
  await rig.edit({ backends: { a: light(), b: B } });
  await rig.untilReady("a");
  assert.equal(await client.call("echo", { text: "again" }), "again");
  const told = () => client.notices.filter(({ method }) => /tools/.test(String(method))).length;
  await eventually(() => told() >= 2);
  assert.equal(told(), 2);
});

test("B7 a backend removed and put back while a call drains is served anew, and the call finishes", async (t) => {
  const scenery = await scene(t, light());
  const { rig, client } = scenery;
  const running = await begin(scenery);
  await rig.edit({ backends: { b: B } });
  await rig.edit({ backends: { a: light(), b: B } });
  await rig.untilReady("a");
  assert.equal(await client.call("echo", { text: "back" }), "back");
  assert.equal(await running.finish(), "finished");
});
