// Rules over random servers: what one admits does not grow when a server, a tool or a rule is added elsewhere.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AuthorizationConfig, PolicyConfig } from "../../../src/config/snapshot.ts";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import { type CatalogSource, NOT_FRESH } from "../../../src/gateway/catalog/catalog.ts";
import { NO_OWNERS, type RuleOwners } from "../../../src/gateway/catalog/rule-names.ts";
import type { ClientHandle, Principal } from "../../../src/gateway/client-handle.ts";
import type { JsonObject } from "../../../src/gateway/json-rpc.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { boundNames } from "../../../src/gateway/serving/rule-bindings.ts";
import { createSelections } from "../../../src/gateway/serving/selection.ts";
import { fc, runsOf } from "../../support/properties.ts";
import { backendConfig } from "../backends/pool/scripted-instance.ts";
import { FIRST_WINS, source } from "../catalog/sources.ts";
import { callPort, client, policy, recordingServices, servingSet, user } from "./requests.ts";

const TOOLS = ["read", "write", "list"] as const;
const URIS = ["u:1", "u:2", "t:5"] as const;
const PROMPTS = ["p", "q"] as const;
const NEW = "d";

const offer = fc.record({
  tools: fc.subarray([...TOOLS]),
  resources: fc.subarray(["u:1", "u:2"]),
  templates: fc.subarray(["t:{id}"]),
  prompts: fc.subarray([...PROMPTS]),
});
type Offer = typeof offer extends fc.Arbitrary<infer T> ? T : never;
type Offers = Readonly<Record<string, Offer>>;

/** A pattern for servers, with the servers that it means. */
const SERVERS: Readonly<Record<string, readonly string[]>> = {
  a: ["a"],
  "[ab]": ["a", "b"],
  "c*": ["c"],
  "*": ["a", "b", "c", NEW],
};
const RESOURCES = [
  "read",
  "tool:write",
  "b/read",
  "*/write",
  "tool:*",
  "r*",
  "u:1",
  "resource:u:*",
  "p",
  "prompt:*",
  "t:*",
];
const somePolicy: fc.Arbitrary<PolicyConfig> = fc
  .record({
    effect: fc.constantFrom("allow", "allow", "ask", "deny"),
    backends: fc.option(fc.subarray(Object.keys(SERVERS), { minLength: 1, maxLength: 2 })),
    resources: fc.option(fc.subarray(RESOURCES, { minLength: 1, maxLength: 3 })),
    users: fc.option(fc.subarray(["ann", "sub:7"], { minLength: 1 })),
    roles: fc.option(fc.subarray(["dev", "ops"], { minLength: 1 }), { freq: 1 }),
    methods: fc.option(fc.subarray(["tools/call", "resources/*", "x/*"], { minLength: 1 }), { freq: 1 }),
  })
  .map(({ effect, ...parts }) => policy(effect, parts));
const principals: readonly Principal[] = [
  user("ann", "dev"),
  user("ben", "ops"),
  { kind: "user", id: "i", name: "ann", subject: "7", roles: [] },
  { ...user("ann", "dev"), id: "grant 1", limits: { backends: ["a", "c"], isReadOnly: false } },
];
const world = fc.record({
  offers: fc
    .record({ a: offer, b: offer, c: offer })
    .chain((all) =>
      fc
        .subarray(["a", "b", "c"] as const, { minLength: 1 })
        .map((names): Offers => Object.fromEntries(names.map((name) => [name, all[name]]))),
    ),
  authorization: fc.record({
    defaultEffect: fc.constantFrom("deny", "deny", "allow"),
    policies: fc.array(somePolicy, { maxLength: 4 }),
  }) as fc.Arbitrary<AuthorizationConfig>,
  strategy: fc.constantFrom("first-wins", "prefix"),
  principal: fc.constantFrom(...principals),
});
type World = typeof world extends fc.Arbitrary<infer T> ? T : never;

const fresh = { tools: NOT_FRESH, prompts: NOT_FRESH, resources: NOT_FRESH };
const sourcesOf = (offers: Offers): readonly CatalogSource[] =>
  Object.entries(offers).map(([name, parts]) => ({ ...source(name, parts), freshness: fresh }));

function ownersOf({ authorization, strategy }: World, sources: readonly CatalogSource[], known: RuleOwners) {
  const conflictResolution = { ...FIRST_WINS, strategy };
  const backends = sources.map(({ backend }) => backendConfig(backend));
  const config = { ...NO_GATEWAY, authorization, conflictResolution, backends };
  return boundNames(config, known, buildCatalog(sources, conflictResolution), sources);
}

/** Every request that reaches a server: method, server, and the server's own name of the target. */
async function reached(of: World, owners: (sources: readonly CatalogSource[]) => RuleOwners) {
  const { offers, authorization, strategy, principal } = of;
  const sources = sourcesOf(offers);
  const services = recordingServices();
  const served = servingSet(sources, services, {
    ...{ authorization, conflict: { ...FIRST_WINS, strategy }, ruleOwners: owners(sources) },
    selections: createSelections({ optimizer: { enabled: true, keepTools: [] }, groups: [], profiles: [] }),
  });
  const from: ClientHandle = {
    ...client(principal),
    capabilities: { elicitation: {} },
    request: async () => ({ result: { action: "accept", content: { proceed: true } } }),
  };
  const set = served.forClient(from);
  const names = (all: readonly string[]) => [
    ...all,
    ...Object.keys(offers).flatMap((one) => all.map((name) => `${one}_${name}`)),
  ];
  const requests: (readonly [string, JsonObject])[] = [
    ...names(TOOLS).flatMap((name) => [
      ["tools/call", { name }] as const,
      ["tools/call", { name: "call_tool", arguments: { name, arguments: {} } }] as const,
    ]),
    ...names(PROMPTS).flatMap((name) => [
      ["prompts/get", { name }] as const,
      [
        "completion/complete",
        { ref: { type: "ref/prompt", name }, argument: { name: "x", value: "" } },
      ] as const,
    ]),
    ...URIS.flatMap((uri) => [
      ...["resources/read", "resources/subscribe"].map((method) => [method, { uri }] as const),
      [
        "completion/complete",
        { ref: { type: "ref/resource", uri }, argument: { name: "x", value: "" } },
      ] as const,
    ]),
    ["x/extension", { any: 1 }],
  ];
  for (const [method, params] of requests) {
    const request = {
      method,
      params,
      handle: callPort(from),
      signal: new AbortController().signal,
      served: set,
    };
    await set.handle(set.finalRequest(request));
  }
  const told = services.calls.map(({ backend, what, params }) => ({
    backend,
    what,
    name: JSON.stringify(params),
  }));
  return { keys: new Set(told.map(({ backend, what, name }) => `${what} ${backend} ${name}`)), told };
}

const before = (given: World) => reached(given, (sources) => ownersOf(given, sources, NO_OWNERS));
/** With the names as they were bound before. */
const after = (given: World, changed: World) =>
  reached(changed, (sources) =>
    ownersOf(changed, sources, ownersOf(given, sourcesOf(given.offers), NO_OWNERS)),
  );
const grown = (one: Awaited<ReturnType<typeof before>>, other: Awaited<ReturnType<typeof before>>) =>
  other.told.filter(
    ({ backend, what, name }) => backend !== NEW && !one.keys.has(`${what} ${backend} ${name}`),
  );

test("E4 a server or a tool that is added opens nothing that was closed, and is open only by a rule that means it", async () => {
  const added = fc.record({ given: world, offer, isFirst: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(added, async ({ given, offer: offered, isFirst }) => {
      const offers = isFirst ? { [NEW]: offered, ...given.offers } : { ...given.offers, [NEW]: offered };
      const now = await after(given, { ...given, offers });
      assert.deepEqual(grown(await before(given), now), []);
      const { policies, defaultEffect } = given.authorization;
      const listed = Object.values(given.offers).flatMap((one) => Object.values(one).flat());
      /** A name without wildcards is bound to the server that listed it before. */
      const isBound = (pattern: string): boolean =>
        pattern === "b/read" ||
        (given.strategy === "first-wins" && listed.some((name) => pattern.replace(/^tool:/, "") === name));
      const isMeant = ({ effect, backends = null, resources }: PolicyConfig): boolean =>
        effect !== "deny" &&
        (backends === null || backends.some((one) => SERVERS[one]?.includes(NEW) === true)) &&
        (resources === null || !resources.every(isBound));
      const hasLimits = given.principal.limits !== undefined;
      const opens = !hasLimits && (defaultEffect === "allow" || policies.some(isMeant));
      if (!opens)
        assert.deepEqual(
          now.told.filter(({ backend }) => backend === NEW),
          [],
        );
    }),
    { numRuns: runsOf(400) },
  );
  const grows = fc.record({ given: world, offer });
  await fc.assert(
    fc.asyncProperty(grows, async ({ given, offer: offered }) => {
      const [first] = Object.keys(given.offers);
      if (first === undefined) return;
      const own = given.offers[first];
      const more = (kind: keyof Offer) => [...new Set([...(own?.[kind] ?? []), ...offered[kind]])];
      const tools = more("tools");
      const changed = { ...given, offers: { ...given.offers, [first]: { ...own, tools } as Offer } };
      const others = grown(await before(given), await after(given, changed)).filter(
        ({ backend }) => backend !== first,
      );
      assert.deepEqual(others, []);
    }),
    { numRuns: runsOf(200) },
  );
});

test("E4 a rule about another server, user or role changes nothing, and one that denies opens nothing, wherever it stands", async () => {
  const elsewhere = fc.record({
    given: world,
    at: fc.nat(4),
    effect: fc.constantFrom("allow" as const, "ask" as const, "deny" as const),
    parts: fc.constantFrom(
      { backends: [NEW] },
      { users: ["zoe", "sub:8"] },
      { roles: ["guest"] },
      { resources: ["tool:d/read"] },
      { backends: ["d*"], resources: ["*"] },
    ),
    closing: somePolicy,
  });
  await fc.assert(
    fc.asyncProperty(elsewhere, async ({ given, at, effect, parts, closing }) => {
      const withRule = (rule: PolicyConfig): World => ({
        ...given,
        authorization: {
          ...given.authorization,
          policies: given.authorization.policies.toSpliced(at, 0, rule),
        },
      });
      const was = await before(given);
      assert.deepEqual((await before(withRule(policy(effect, parts)))).keys, was.keys);
      assert.deepEqual(grown(was, await before(withRule({ ...closing, effect: "deny" }))), []);
    }),
    { numRuns: runsOf(300) },
  );
});
