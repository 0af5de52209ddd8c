// Which servers are asked for their lists before a request is served.
import assert from "node:assert/strict";
import { test } from "node:test";
import { nameKey } from "../../../src/gateway/catalog/names.ts";
import { dueLists } from "../../../src/gateway/serving/list-reads.ts";
import { settle } from "../../support/manual-clock.ts";
import { backendConfig, listingsOf } from "../backends/pool/scripted-instance.ts";
import { source } from "../catalog/sources.ts";
import { client, policy, recordingServices, servingSet } from "../middleware/requests.ts";
import { scriptedGateway } from "./gateway-rig.ts";

const BACKENDS = ["a", "a_b", "c", "d@m", "e@m"];
const MOVED = { kind: "tool", backend: "c", plainName: "moved" } as const;

/** What is asked of each backend: `list`, `name`, `notice` or, if it is not asked, `-`. Null: nothing is read. */
function asked(
  method: string,
  params: object,
  { finds = false, denied = ["nobody"] }: { finds?: boolean; denied?: readonly string[] } = {},
): string | null {
  const set = servingSet(
    BACKENDS.map((name) => source(name, { tools: [`of_${name}`] })),
    recordingServices(),
    { authorization: { defaultEffect: "allow", policies: [policy("deny", { backends: denied })] } },
  );
  let found: string | null = null;
  const pool = {
    async readDueLists(kinds: readonly string[], purposeOf: (backend: string) => string | null = () => "") {
      found = [kinds, ...BACKENDS.map((name) => purposeOf(name) ?? "-")].join(" ");
    },
  };
  const served = { ...set, introduction: finds ? "find" : null };
  const names = new Map([[nameKey("tool", "moved"), MOVED]]);
  const parts = { pool, served, names, backends: BACKENDS };
  void dueLists(parts, client(), { method, params: { ...params } });
  return found;
}

test("D5 a list request reads its lists, and a name that no list has those that may have it", () => {
  for (const [method, params, expected, how] of [
    ["tools/list", {}, "tools list list list list list"],
    ["resources/templates/list", {}, "resources list list list list list"],
    ["skills/list", {}, "resources list list list list list"],
    ["tools/call", { name: "find_tool" }, "tools list list list list list", { finds: true }],
    ["tools/call", { name: "call_tool" }, null, { finds: true }],
    ["tools/call", { name: "run_script" }, null, { finds: true }],
    ["tools/call", { name: "of_c" }, null],
    ["tools/call", { name: "new" }, "tools name name name name name"],
    ["tools/call", { name: "moved" }, "tools notice notice name notice notice"],
    ["tools/call", { name: "a_new" }, "tools name notice notice notice notice"],
    ["prompts/get", { name: "a_b_new" }, "prompts notice name notice notice notice"],
    ["tools/call", { name: "m_new" }, "tools notice notice notice name name"],
    ["resources/read", { uri: "a_new://x" }, "resources name name name name name"],
    ["completion/complete", { ref: { type: "ref/prompt", name: "new" } }, "prompts name name name name name"],
    ["tools/call", { name: "moved" }, "tools name name - name name", { denied: ["c"] }],
    ["tools/call", { name: "x".repeat(10_000) }, null],
    ["ping", {}, null],
  ] as const)
    assert.equal(asked(method, params, how), expected, JSON.stringify([method, params]));
});

test("E6 a call that waited for the list with its tool has the arguments that are set", async (t) => {
  const b = scriptedGateway(t);
  const set = { name: null, description: null, arguments: { repo: "acme/site" } };
  await b.start(backendConfig("a", { toolOverrides: { new: set } }));
  await b.ready("old");
  const { last } = b.script;
  const read = Promise.withResolvers<void>();
  last.reading = read.promise;
  void b.ask("tools/call", { name: "new" });
  const inputSchema = { type: "object", properties: { repo: { type: "string" } } };
  last.listings = { ...listingsOf(), tools: [{ name: "new", inputSchema }] };
  last.options.onListings();
  await settle();
  read.resolve();
  await settle();
  assert.deepEqual(last.calls[0]?.params, { name: "new", arguments: { repo: "acme/site" } });
});
