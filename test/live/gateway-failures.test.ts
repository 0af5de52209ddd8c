import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { type GatewayRig, nodeBackend, type Section, startGatewayRig } from "../mcp/gateway-rig.ts";
import { connectLight, type LightClient } from "../mcp/light-client.ts";
import { ANSWERS_MS, eventually } from "../support/eventually.ts";

const A = nodeBackend(LIGHT_SERVER);
const light = (env: Record<string, string>): Section => nodeBackend(LIGHT_SERVER, [], { env });
const NOT_THERE = join(import.meta.dirname, "no-such-server");

async function scene(t: TestContext): Promise<{ readonly rig: GatewayRig; readonly client: LightClient }> {
  const rig = await startGatewayRig(t, { backends: { a: A } });
  await rig.untilReady("a");
  const client = await connectLight(rig.url);
  t.after(() => client[Symbol.asyncDispose]());
  await client.listen();
  return { rig, client };
}

test("B6 a file that is wrong touches nothing, and says where; the mend is taken", async (t) => {
  const { rig, client } = await scene(t);
  const { pid } = await rig.backend("a");
  const running = client.call("sleep", { ms: 800, text: "through it all" });
  await rig.save({
    backends: { b: A },
    more: { conflict_resolution: { strategy: "loudest" } },
  });
  const daemon = await rig.daemon();
  const error = await eventually(async () => (await daemon.sync(AbortSignal.timeout(ANSWERS_MS))).last_error);
  assert.match(error.reason, /conflict_resolution\.strategy/);
  assert.match(error.reason, /config\.toml:\d+:\d+/);
  assert.equal(await running, "through it all");
  const { backends = [] } = await rig.status();
  assert.deepEqual(
    backends.map((backend) => [backend.name, backend.pid, backend.phase]),
    [["a", pid, "Ready"]],
  );
  assert.equal(client.notices.length, 0);
  await rig.edit({ backends: { a: A }, more: { conflict_resolution: { strategy: "error" } } });
  await eventually(async () => (await daemon.sync(AbortSignal.timeout(ANSWERS_MS))).last_error === null);
  assert.equal((await rig.backend("a")).pid, pid);
});

test("B6 a backend that cannot start holds up nobody, and its condition says what to do", async (t) => {
  const { rig, client } = await scene(t);
  const broken = {
    missing: { command: NOT_THERE },
    exits: { command: process.execPath, args: ["-e", "console.error('no licence'); process.exit(7)"] },
    unset: light({ KEY: "${MOUNTAINEER_TEST_UNSET}" }),
  };
  await rig.edit({ backends: { ...broken, a: A, b: light({ LIGHT_PREFIX: "b_" }) } });
  await rig.untilReady("a", "b");
  assert.equal(await client.call("b_echo", { text: "beside" }), "beside");
  for (const [name, words] of [
    ["missing", /no-such-server/],
    ["exits", /7/],
    ["unset", /MOUNTAINEER_TEST_UNSET/],
  ] as const) {
    const backend = await rig.untilBackend(name, ({ phase }) => phase === "Failed");
    assert.match(String(backend.reason), words);
    const [condition] = backend.conditions;
    assert.ok(condition !== undefined, `${name} has no condition`);
    assert.match(`${condition.title} ${condition.hint}`, words);
    assert.ok((condition.hint ?? "").length > 10, `${name}: ${condition.hint}`);
  }
  const daemon = await rig.daemon();
  const { lines } = await daemon.gateway.logs("exits", AbortSignal.timeout(ANSWERS_MS));
  assert.ok(lines.some((line) => line.includes("no licence")));
  // Nor does it hold up the next edit.
  await rig.edit({ backends: { ...broken, exits: light({ LIGHT_PREFIX: "c_" }), a: A } });
  await rig.untilReady("exits");
  assert.equal(await client.call("c_echo", { text: "mended" }), "mended");
});
