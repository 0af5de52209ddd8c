import assert from "node:assert/strict";
import { test } from "node:test";
import type { CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import type { ClientHandle } from "../../../src/gateway/client-handle.ts";
import { errorReply, isError, type JsonObject, RESOURCE_NOT_FOUND } from "../../../src/gateway/json-rpc.ts";
import { hintsOf } from "../../../src/gateway/middleware/tool-hints.ts";
import { pluck } from "../../support/pluck.ts";
import { FIRST_WINS, source } from "../catalog/sources.ts";
import { ask, client, recordingServices, serving, servingSet } from "./requests.ts";

const sources = [
  source("a", {
    tools: ["read", "write"],
    toolOverrides: { write: { name: "put", description: null } },
    prompts: ["p"],
    resources: ["u:1"],
    templates: ["t:{id}"],
  }),
  source("b", { tools: ["other"], prompts: ["q"], resources: ["v:1"] }),
];

const served = servingSet(sources, recordingServices());

test("lists are taken from the set that the request began with", async () => {
  const { lists } = served.viewFor(client().principal);
  for (const [method, list] of [
    ["tools/list", lists.tools],
    ["resources/list", lists.resources],
    ["resources/templates/list", lists.resourceTemplates],
    ["prompts/list", lists.prompts],
  ] as const) {
    const reply = await ask(served, method);
    assert.equal(!isError(reply) && reply.result, list, method);
  }
});

test("D2 lists tell clients of 2026-07-28 how long they are valid, while no server's are missing", async () => {
  const tools = { ttlMs: 60_000, cacheScope: "public" } as const;
  const [first] = sources;
  assert.ok(first !== undefined);
  const modern: ClientHandle = { ...client(), protocolVersion: "2026-07-28" };
  const withheldFor = async (isWhole: boolean, left = 60_000): Promise<unknown> => {
    const services = { ...recordingServices(), hasAllLists: () => isWhole, remainingMs: () => left };
    const reply = await ask(
      servingSet([{ ...first, freshness: { tools } }], services),
      "tools/list",
      {},
      modern,
    );
    return isError(reply) ? reply : [reply.result["ttlMs"], reply.result["cacheScope"]];
  };
  assert.deepEqual(await withheldFor(true), [60_000, "public"]);
  assert.deepEqual(await withheldFor(true, 1_234.5), [1_234, "public"], "what is left of it");
  assert.deepEqual(await withheldFor(true, -3), [1, "public"], "0 would mean that the server does not say");
  assert.deepEqual(await withheldFor(false), [undefined, "private"]);
});

test("lists have one page: a cursor is never ours", async () => {
  assert.deepEqual(await ask(served, "tools/list", { cursor: "" }), errorReply(-32602, "Invalid cursor"));
  assert.ok(!isError(await ask(served, "tools/list", { _meta: { progressToken: 1 } })));
});

test("calls go to the owner of the name, with their params as the very object", async () => {
  const { services, served } = serving(sources);
  const params = { name: "other", arguments: { x: 1 }, _meta: { progressToken: "t" }, unknown: [1] };
  await ask(served, "tools/call", params);
  assert.equal(services.calls[0]?.backend, "b");
  assert.equal(services.calls[0]?.params, params);
});

test("calls have the server's own name where clients know another, and everything else unchanged", async () => {
  const services = recordingServices();
  const served = servingSet(sources, services, { conflict: { ...FIRST_WINS, strategy: "prefix" } });
  await ask(served, "tools/call", { name: "a_put", arguments: { x: 1 }, _meta: { k: 1 } });
  await ask(served, "prompts/get", { name: "b_q", arguments: { y: "2" } });
  await ask(served, "completion/complete", {
    ref: { type: "ref/prompt", name: "b_q", title: "kept" },
    argument: { name: "n", value: "v" },
  });
  assert.deepEqual(services.calls, [
    { backend: "a", what: "tools/call", params: { name: "write", arguments: { x: 1 }, _meta: { k: 1 } } },
    { backend: "b", what: "prompts/get", params: { name: "q", arguments: { y: "2" } } },
    {
      backend: "b",
      what: "completion/complete",
      params: {
        ref: { type: "ref/prompt", name: "q", title: "kept" },
        argument: { name: "n", value: "v" },
      },
    },
  ]);
});

test("G1 calls: one that waited never continues with a tool of another machine that has the same name by chance", async () => {
  const other = source("f@a", { tools: ["b_x"] });
  for (const [now, answered] of [
    [other, "unknown"],
    [source("h@a_b", { tools: ["x"] }), "moved"],
  ] as const) {
    const services = {
      ...recordingServices((backend, { renew }) => {
        const renewed = backend === "g@a_b" ? renew?.(false) : undefined;
        return renewed?.answer ?? { result: { content: ["moved"] } };
      }),
      catalog: () => servingSet([now], recordingServices()).catalog,
    };
    const meant = servingSet([source("g@a_b", { tools: ["x"] })], services);
    const reply = await ask(meant, "tools/call", { name: "a_b_x" });
    assert.match(JSON.stringify(reply), new RegExp(answered, "i"));
    assert.ok(services.calls.every(({ backend }) => backend !== "f@a"));
  }
});

test("B2 an entry that a woken server has dropped or changed is not called", async () => {
  const before = source("a", { tools: ["same", "gone", "other"], resources: ["a:same", "a:gone"] });
  const [same] = before.listings.tools;
  assert.ok(same !== undefined);
  const after: CatalogSource = {
    ...source("a", { resources: ["a:same"] }),
    unapproved: [{ kind: "resource", name: "a:gone", change: "changed" }],
  };
  const tools = [same, { ...same, name: "other", description: "Another one" }];
  let isBlocking = true;
  const next = { ...after, listings: { ...after.listings, tools } };
  const asked = async (hasStarted: boolean): Promise<readonly string[]> => {
    const reached: string[] = [];
    const services = {
      ...recordingServices(async (_, { method, renew, params }) => {
        const { answer } = renew?.(hasStarted) ?? { answer: null };
        if (answer !== null) return answer;
        reached.push(`${method} ${params?.["name"] ?? params?.["uri"]}`);
        return { result: {} };
      }),
      catalog: () => servingSet([next], recordingServices()).catalog,
      blocksChanges: () => isBlocking,
    };
    const meant = servingSet([before], services);
    for (const name of ["same", "gone", "other"]) await ask(meant, "tools/call", { name });
    for (const uri of ["a:same", "a:gone"]) await ask(meant, "resources/read", { uri });
    return reached;
  };
  assert.deepEqual(await asked(true), ["tools/call same", "resources/read a:same"]);
  const inProse = ["tools/call same", "tools/call other", "resources/read a:same"];
  assert.deepEqual(await asked(false), inProse);
  // Without `block`, other words for the same arguments refuse no call.
  isBlocking = false;
  assert.deepEqual(await asked(true), inProse);
  tools[1] = { ...same, name: "other", annotations: { destructiveHint: true } };
  assert.deepEqual(await asked(true), ["tools/call same", "resources/read a:same"]);
});

test("calls: a server's answer is returned as the very object, as are errors", async () => {
  for (const answer of [
    { result: { isError: true } },
    errorReply(-32042, "go there", { elicitations: [] }),
  ]) {
    const services = recordingServices(() => answer);
    assert.equal(await ask(servingSet(sources, services), "tools/call", { name: "read" }), answer);
  }
});

test("calls: a request keeps the set it began with", async () => {
  const services = recordingServices();
  const old = servingSet(sources, services);
  const next = servingSet([source("c", { tools: ["read"] })], services);
  await ask(old, "tools/call", { name: "read" });
  await ask(next, "tools/call", { name: "read" });
  assert.deepEqual(pluck(services.calls, "backend"), ["a", "c"]);
});

test("calls: unknown names are reported as unknown", async () => {
  const served = servingSet(sources, recordingServices());
  for (const name of ["no", "write", "toString"])
    assert.deepEqual(await ask(served, "tools/call", { name }), errorReply(-32602, `Unknown tool: ${name}`));
  const prompt = await ask(served, "prompts/get", { name: "no" });
  assert.deepEqual(prompt, errorReply(-32602, "Unknown prompt: no"));
  const resource = await ask(served, "resources/read", { uri: "no:1" });
  assert.deepEqual(resource, errorReply(RESOURCE_NOT_FOUND, "Resource not found", { uri: "no:1" }));
  const long = await ask(served, "tools/call", { name: `a\nb${"x".repeat(100_000)}` });
  assert.equal(isError(long) && long.error.message, "Unknown tool: a");
});

test("calls: params without a required member are refused", async () => {
  const { services, served } = serving(sources);
  for (const [method, params] of [
    ["tools/call", undefined],
    ["tools/call", { name: 1 }],
    ["prompts/get", {}],
    ["resources/read", { uri: null }],
    ["resources/subscribe", {}],
    ["completion/complete", { ref: { type: "ref/other", name: "p" } }],
    ["completion/complete", { ref: "p" }],
    ["completion/complete", {}],
  ] as const) {
    const reply = await ask(served, method, params);
    assert.equal(isError(reply) && reply.error.code, -32602, method);
  }
  assert.deepEqual(services.calls, []);
});

test("resources are read, watched and released where their URI belongs", async () => {
  const { services, served } = serving(sources);
  await ask(served, "resources/read", { uri: "v:1" });
  await ask(served, "resources/read", { uri: "t:7" });
  await ask(served, "resources/subscribe", { uri: "v:1" });
  await ask(served, "resources/unsubscribe", { uri: "u:1" });
  await ask(served, "completion/complete", { ref: { type: "ref/resource", uri: "t:{id}" }, argument: {} });
  assert.deepEqual(
    services.calls.map(({ backend, what }) => `${backend} ${what}`),
    ["b resources/read", "a resources/read", "b subscribe", "a unsubscribe", "a completion/complete"],
  );
});

test("the rest: a log level is checked and passed on", async () => {
  const { services, served } = serving(sources);
  assert.deepEqual(await ask(served, "logging/setLevel", { level: "warning" }), { result: {} });
  for (const params of [{ level: "loud" }, { level: 1 }, undefined]) {
    const reply = await ask(served, "logging/setLevel", params);
    assert.equal(isError(reply) && reply.error.code, -32602);
  }
  assert.deepEqual(services.levels, ["warning"]);
});

test("the rest: unknown methods go to the only backend, else nowhere", async () => {
  const services = recordingServices();
  const one = servingSet([source("a", {})], services);
  const params = { any: 1 };
  assert.ok(!isError(await ask(one, "vendor/thing", params)));
  assert.equal(services.calls[0]?.params, params);
  const unknown = errorReply(-32601, "Method not found: vendor/thing");
  assert.deepEqual(await ask(servingSet(sources, services), "vendor/thing", params), unknown);
  assert.deepEqual(await ask(servingSet([], services), "vendor/thing", params), unknown);
  const ownOnes = ["server/discover", "subscriptions/listen"];
  for (const method of [
    "initialize",
    "sampling/createMessage",
    "elicitation/create",
    "roots/list",
    ...ownOnes,
  ])
    assert.deepEqual(await ask(one, method), errorReply(-32601, `Method not found: ${method}`));
});

test("the rest: a call looks its tool up, goes through no list, and waits only for its backend", async () => {
  const services = recordingServices();
  const reply = Promise.resolve({ result: {} });
  const bare = { ...services, pool: { ...services.pool, call: () => reply } };
  const served = servingSet(sources, bare);
  const goThrough = (): never => assert.fail("a list is gone through");
  for (const list of [served.catalog.tools, served.catalog.resources, served.catalog.prompts]) {
    for (const way of ["keys", "values", "entries", "forEach", Symbol.iterator])
      Object.defineProperty(list, way, { value: goThrough });
  }
  assert.throws(() => [...served.catalog.tools], /gone through/);
  let turns = 0;
  setImmediate(() => void turns++);
  for (let round = 0; round < 1_000; round++)
    assert.ok(!isError(await ask(served, "tools/call", { name: "read", arguments: {} })));
  assert.equal(turns, 0);
});

const CASES: readonly (readonly [annotations: unknown, destructive: boolean, harmlessUnsaid: boolean])[] = [
  [undefined, true, false],
  [{}, true, false],
  [{ title: "Delete" }, true, false],
  ["none", true, false],
  [{ readOnlyHint: false }, true, false],
  [{ readOnlyHint: true }, false, false],
  [{ readOnlyHint: true, destructiveHint: true }, false, false],
  [{ destructiveHint: false }, false, false],
  [{ destructiveHint: true }, true, true],
  [{ destructiveHint: "yes" }, true, false],
];

test("E2 a tool is destructive by the protocol's defaults, or as the configuration reads silence", () => {
  for (const [annotations, destructive, harmlessUnsaid] of CASES) {
    const tool: JsonObject = { name: "t", annotations };
    assert.equal(hintsOf(tool, "destructive").destructive, destructive, JSON.stringify(annotations));
    assert.equal(hintsOf(tool, "harmless").destructive, harmlessUnsaid, JSON.stringify(annotations));
  }
});

test("E2 each hint and its negation are opposite", () => {
  for (const [annotations] of CASES) {
    const hints = hintsOf({ name: "t", annotations }, "destructive");
    for (const hint of ["read_only", "destructive", "idempotent", "open_world"] as const)
      assert.notEqual(hints[hint], hints[`not_${hint}`]);
  }
  const hints = hintsOf({ annotations: { idempotentHint: true, openWorldHint: false } }, "harmless");
  const { read_only: readOnly, destructive, idempotent, open_world: openWorld } = hints;
  assert.deepEqual(
    { readOnly, destructive, idempotent, openWorld },
    { readOnly: false, destructive: false, idempotent: true, openWorld: false },
  );
});
