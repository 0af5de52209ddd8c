import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { type GatewayRig, nodeBackend, type Section, startGatewayRig } from "../mcp/gateway-rig.ts";
import { connectLight, type LightClient } from "../mcp/light-client.ts";
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
