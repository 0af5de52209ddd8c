// A server whose lists are malformed, beside one that is sound: what is listed of both is what strict clients take
// (test/gateway/catalog/entry-checks.test.ts).
import assert from "node:assert/strict";
import { test } from "node:test";
import { LIGHT_SERVER, MALFORMED_SERVER } from "./fixture-programs.ts";
import { nodeBackend, startGatewayRig } from "./gateway-rig.ts";
import type { Json } from "./light-client.ts";

/** Of the fixture's entries, two for each shape: those that are withheld are not among them. */
function namesOf(list: string, shapes: number, withheld: readonly number[]): string[] {
  const all = Array.from({ length: 2 * shapes }, (_, index) => index);
  return all.filter((index) => !withheld.includes(index)).map((index) => `${list}_${index}`);
}

test("D3 one server's malformed entries affect no client otherwise: each is repaired, or withheld by name", async (t) => {
  const rig = await startGatewayRig(t, {
    backends: {
      well: nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_PREFIX: "well_" } }),
      bad: nodeBackend(MALFORMED_SERVER),
    },
  });
  await rig.untilReady("well");
  const bad = await rig.untilBackend("bad", ({ phase }) => phase === "Degraded");
  await using client = await rig.connect();
  const names = await client.tools();
  assert.deepEqual(
    names.filter((name) => name.startsWith("tools_")),
    namesOf("tools", 20, [22]),
  );
  assert.ok(names.includes("well_echo"));
  const list = async (method: string, of: string): Promise<readonly Json[]> =>
    (await client.request(method))[of] as readonly Json[];
  const resources = await list("resources/list", "resources");
  assert.equal(resources.filter(({ uri }) => /resources_/.test(String(uri))).length, 2 * 15);
  assert.equal((await list("resources/templates/list", "resourceTemplates")).length, 2 * 11);
  const prompts = (await list("prompts/list", "prompts")).map(({ name }) => String(name));
  assert.deepEqual(
    prompts.filter((name) => name.startsWith("prompts_")),
    namesOf("prompts", 12, [20, 22]),
  );
  assert.equal(await client.call("tools_16"), "tools_16");
  const [condition, ...others] = bad.conditions;
  assert.deepEqual(others, []);
  assert.equal(condition?.code, "entries_withheld");
  assert.equal(
    condition?.title,
    'server bad: tool "tools_22" is withheld: inputSchema.type is "string", not "object" (and 2 more, which the log names)',
  );
  const { stdout, code } = await rig.home.cli(["status"]);
  assert.equal(code, 0);
  assert.match(stdout, /tools_22/u);
});
