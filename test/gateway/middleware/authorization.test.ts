import assert from "node:assert/strict";
import { test } from "node:test";
import type { AuthorizationConfig, PolicyConfig } from "../../../src/config/snapshot.ts";
import { ANONYMOUS, OWNER, type Principal } from "../../../src/gateway/client-handle.ts";
import { isError, isJsonObject, type JsonObject } from "../../../src/gateway/json-rpc.ts";
import { compilePolicies } from "../../../src/gateway/middleware/policies.ts";
import { compileArguments } from "../../../src/gateway/middleware/policy-arguments.ts";
import { parseExactly } from "../../../src/runtime/text/exact-json.ts";
import { fc } from "../../support/properties.ts";
import { away, source } from "../catalog/sources.ts";
import { ask, client, policy, recordingServices, servingSet, user } from "./requests.ts";

const rules = (
  defaultEffect: AuthorizationConfig["defaultEffect"],
  ...policies: PolicyConfig[]
): AuthorizationConfig => ({ defaultEffect, policies });
const sources = [
  source("a", {
    tools: ["read", "write"],
    prompts: ["p"],
    resources: ["u:open", "u:secret"],
    templates: ["u:{id}"],
  }),
];

test("E3 an entry that waits for approval is refused with the reason, but only to a caller that may use it afterwards", async () => {
  const [whole] = sources;
  assert.ok(whole !== undefined);
  const { listings } = whole;
  const unapproved = [
    { kind: "prompt", name: "p", change: "new" },
    { kind: "resource", name: "u:open", change: "changed" },
  ] as const;
  const left = { ...whole, listings: { ...listings, prompts: [], resources: [] }, unapproved };
  const authorization = rules(
    "deny",
    policy("allow", { roles: ["admin"] }),
    policy("allow", { resources: ["tool:*"] }),
  );
  const served = servingSet([left], recordingServices(), { authorization });
  const messageFor = async (principal: Principal, method: string, params: JsonObject): Promise<string> => {
    const reply = await ask(served, method, params, client(principal));
    assert.ok(isError(reply));
    return reply.error.message;
  };
  for (const [method, params, plain] of [
    ["prompts/get", { name: "p" }, "Unknown prompt: p"],
    ["resources/read", { uri: "u:open" }, "Resource not found"],
  ] as const) {
    const told = await messageFor(user("ann", "admin"), method, params);
    assert.equal(
      told,
      `${plain}. Server a offers it, but it is new or was changed, and waits for approval (mountaineer tools diff)`,
    );
    assert.equal(await messageFor(user("eve"), method, params), plain);
  }
});

test("policies: the first match decides, else the default", () => {
  const { isAllowed } = compilePolicies(
    rules(
      "deny",
      policy("deny", { resources: ["tool:write"] }),
      policy("allow", { resources: ["tool:*"] }),
      policy("allow", { roles: ["admin"] }),
    ),
  );
  const may = (principal: Principal, kind: "tool" | "prompt", name: string): boolean =>
    isAllowed(principal, { kind, name }, "tools/call");
  assert.equal(may(ANONYMOUS, "tool", "read"), true);
  assert.equal(may(ANONYMOUS, "tool", "write"), false);
  assert.equal(may(user("ann", "admin"), "tool", "write"), false);
  assert.equal(may(user("ann", "admin"), "prompt", "p"), true);
  assert.equal(may(ANONYMOUS, "prompt", "p"), false);
  assert.equal(may(OWNER, "tool", "write"), true);
});

test("policies: roles are patterns, methods are patterns, and a request without a resource matches none", () => {
  const { isAllowed } = compilePolicies(
    rules("deny", policy("allow", { roles: ["team-*"], methods: ["tools/*"], resources: ["*"] })),
  );
  const target = { kind: "tool", name: "x" } as const;
  assert.equal(isAllowed(user("ann", "team-a"), target, "tools/call"), true);
  assert.equal(isAllowed(user("ann", "teams"), target, "tools/call"), false);
  assert.equal(isAllowed(user("ann"), target, "tools/call"), false);
  assert.equal(isAllowed(user("ann", "team-a"), target, "prompts/get"), false);
  assert.equal(isAllowed(user("ann", "team-a"), null, "tools/other"), false);
});

test("policies: bare names match any kind; one that names a kind is not taken for a name", () => {
  const allowed = (glob: string, kind: "tool" | "prompt" | "resource" | "template", name: string): boolean =>
    compilePolicies(rules("deny", policy("allow", { resources: [glob] }))).isAllowed(
      ANONYMOUS,
      { kind, name },
      "any",
    );
  assert.ok(allowed("read", "tool", "read"));
  assert.ok(allowed("read", "prompt", "read"));
  assert.ok(allowed("file:*", "resource", "file:///x"));
  assert.ok(allowed("resource:file:*", "template", "file:///{x}"));
  assert.ok(!allowed("tool:read", "prompt", "read"));
  assert.ok(!allowed("tool:x", "prompt", "tool:x"));
  assert.ok(!allowed("template:*", "template", "u:{x}"));
});

test("E2 policies: a decision about one method does not apply to another", () => {
  const { decide } = compilePolicies(
    rules("deny", policy("allow", { methods: ["prompts/get"], resources: ["p"] })),
  );
  const listed = { kind: "prompt", name: "p", definition: {} } as const;
  const ann = user("ann");
  for (const target of [listed, { ...listed }]) {
    assert.equal(decide(ann, target, "prompts/get").otherwise, "allow");
    assert.equal(decide(ann, target, "completion/complete").otherwise, "deny");
  }
});

test("E2 policies: a former name still applies where a tool has a new one next to it", () => {
  const { isAllowed } = compilePolicies(rules("allow", policy("deny", { resources: ["tool:read"] })));
  const target = { kind: "tool", name: "b_read", plainName: "read" } as const;
  assert.equal(isAllowed(ANONYMOUS, target, "tools/call"), false);
});

test("E2 policies: among a URI's spellings the strictest effect of a policy counts, and no default", () => {
  const effect = (uri: string, ...policies: PolicyConfig[]) =>
    compilePolicies(rules("deny", ...policies)).effectUnlisted(
      ANONYMOUS,
      { kind: "resource", name: uri },
      "resources/read",
    ).effect;
  const about = (given: PolicyConfig["effect"], ...resources: string[]) => policy(given, { resources });
  const [written, plain] = ["file:///my%20file", "file:///my file"];
  assert.equal(effect(written, about("allow", written)), "allow");
  assert.equal(effect(written, about("allow", written), about("ask", plain)), "ask");
  assert.equal(effect(written, about("deny", written), about("ask", plain)), "deny");
});

const services = recordingServices();
const guarded = servingSet(sources, services, {
  authorization: rules(
    "deny",
    policy("deny", { resources: ["*secret*", "tool:write"] }),
    policy("allow", { resources: ["tool:*", "resource:*"] }),
    policy("allow", { methods: ["custom/open"] }),
  ),
});
const unguarded = servingSet([source("a", { tools: ["read"], resources: ["u:open"] })], services, {
  backends: ["a", "b"],
});

test("a forbidden entry is answered exactly as a nonexistent one", async () => {
  const nowhere = servingSet([source("a", {}), source("b", {})], services);
  for (const [method, params] of [
    ["tools/call", { name: "write" }],
    ["prompts/get", { name: "p" }],
    ["resources/read", { uri: "u:secret" }],
    ["resources/subscribe", { uri: "u:secret" }],
    ["resources/unsubscribe", { uri: "u:secret" }],
    ["completion/complete", { ref: { type: "ref/prompt", name: "p" }, argument: {} }],
    ["completion/complete", { ref: { type: "ref/resource", uri: "u:secret" }, argument: {} }],
    ["custom/method", {}],
  ] as const) {
    const before = services.calls.length;
    const denied = await ask(guarded, method, params);
    assert.ok(isError(denied), method);
    assert.deepEqual(denied, await ask(nowhere, method, params), method);
    assert.equal(services.calls.length, before);
  }
});

test("D3 a policy for a tool's whole name applies under the shorter published one", async () => {
  const whole = `delete_${"every_".repeat(10)}thing`;
  const sources = [source("files", { tools: [whole, "read"] })];
  for (const glob of [whole, `tool:${whole}`, "*_thing"]) {
    const set = servingSet(sources, services, {
      authorization: rules("allow", policy("deny", { resources: [glob] })),
    });
    const [published = ""] = [...set.catalog.tools.keys()];
    assert.notEqual(published, whole);
    const before = services.calls.length;
    assert.ok(isError(await ask(set, "tools/call", { name: published })), glob);
    assert.equal(services.calls.length, before);
    const listed = await ask(set, "tools/list");
    assert.ok(!isError(listed) && !JSON.stringify(listed).includes(published), glob);
  }
});

test("allowed requests pass, including those for a sole backend's own methods", async () => {
  for (const [method, params] of [
    ["tools/call", { name: "read" }],
    ["resources/read", { uri: "u:open" }],
    ["resources/read", { uri: "u:by-template" }],
    ["custom/open", {}],
    ["tools/list", undefined],
    ["ping", undefined],
    ["logging/setLevel", { level: "info" }],
  ] as const)
    assert.ok(!isError(await ask(guarded, method, params)), method);
});

test("a URI in another spelling evades no policy", async () => {
  const files = servingSet(
    [source("f", { resources: ["file:///public/../listed"], templates: ["file:///{+path}"] })],
    services,
    {
      authorization: rules(
        "deny",
        policy("deny", { resources: ["resource:file:///public/secret*"] }),
        policy("allow", { resources: ["resource:file:///public/*"] }),
      ),
    },
  );
  const may = async (uri: string): Promise<boolean> => !isError(await ask(files, "resources/read", { uri }));
  for (const uri of ["file:///public/a", "file:///public/my%20file", "file:///public/../listed"])
    assert.equal(await may(uri), true, uri);
  for (const uri of [
    "file:///public/../etc/passwd",
    "file:///public/%2e%2e/etc/passwd",
    "file:///public/%73ecret",
    "file:///public//secret",
    "file:///public/.\t./etc/passwd",
    "file:///public/se\ncret",
    "file:///etc/passwd",
    "FILE:///public/a",
  ])
    assert.equal(await may(uri), false, uri);
  const uri = "file:///public/../etc/passwd";
  assert.ok(!isError(await ask(files, "resources/read", { uri }, client(OWNER))));
});

test("a template that a server lists is completed as written, and is not a resource to read", async () => {
  const uri = "file:///public/../{name}";
  const authorization = rules("deny", policy("allow", { resources: ["resource:file:///public/*"] }));
  const served = servingSet([source("f", { templates: [uri] })], services, { authorization });
  const params = { ref: { type: "ref/resource", uri }, argument: { name: "name", value: "" } };
  assert.ok(!isError(await ask(served, "completion/complete", params)));
  assert.ok(isError(await ask(served, "resources/read", { uri })));
});

test("E2 while a backend is away, no one is asked for consent to a call that fails anyway", async () => {
  const served = servingSet([away("a", { tools: ["write"] })], recordingServices(), {
    authorization: rules("allow", policy("ask")),
  });
  const reply = await ask(served, "tools/call", { name: "write" });
  assert.doesNotMatch(JSON.stringify(reply), /consent|ask|agree/i);
});

test("the owner passes regardless of the policies", async () => {
  const owner = client(OWNER);
  assert.ok(!isError(await ask(guarded, "tools/call", { name: "write" }, owner)));
  assert.deepEqual(guarded.viewFor(OWNER).lists, servingSet(sources, services).viewFor(OWNER).lists);
});

test("without policies no one is asked", async () => {
  assert.ok(!isError(await ask(unguarded, "tools/call", { name: "read" })));
});

test("lists show exactly the entries that calls allow, under any policies", async () => {
  const name = fc.constantFrom("read", "write", "p", "u:open", "u:secret");
  const glob = fc.oneof(
    name,
    fc.constantFrom("*", "tool:*", "tool:read", "prompt:*", "resource:*", "*secret", "u:*", "r*"),
  );
  const anyPolicy: fc.Arbitrary<PolicyConfig> = fc.record({
    effect: fc.constantFrom("allow", "deny"),
    roles: fc.option(fc.array(fc.constantFrom("a", "b", "anonymous", "*"), { maxLength: 2 })),
    resources: fc.option(fc.array(glob, { maxLength: 3 })),
    methods: fc.option(fc.array(fc.constantFrom("tools/call", "resources/*", "prompts/get", "*/list"))),
  });
  const anyRules = fc.record({
    defaultEffect: fc.constantFrom("allow" as const, "deny" as const),
    policies: fc.array(anyPolicy, { maxLength: 4 }),
  });
  const anybody = fc.constantFrom(ANONYMOUS, OWNER, user("ann", "a"), user("bob", "b", "a"), user("carl"));
  await fc.assert(
    fc.asyncProperty(anyRules, anybody, async (authorization, principal) => {
      const served = servingSet(sources, recordingServices(), { authorization });
      const from = client(principal);
      const listed = async (method: string, list: string, key: string): Promise<unknown[]> => {
        const reply = await ask(served, method, undefined, from);
        assert.ok(!isError(reply));
        const entries = reply.result[list];
        assert.ok(Array.isArray(entries));
        return entries.map((entry) => entry[key]);
      };
      const callable = async (method: string, key: string, names: readonly string[]): Promise<string[]> => {
        const found: string[] = [];
        for (const each of names) {
          if (!isError(await ask(served, method, { [key]: each }, from))) found.push(each);
        }
        return found;
      };
      assert.deepEqual(
        await listed("tools/list", "tools", "name"),
        await callable("tools/call", "name", ["read", "write"]),
      );
      assert.deepEqual(
        await listed("prompts/list", "prompts", "name"),
        await callable("prompts/get", "name", ["p"]),
      );
      assert.deepEqual(
        await listed("resources/list", "resources", "uri"),
        await callable("resources/read", "uri", ["u:open", "u:secret"]),
      );
    }),
    { numRuns: 300 },
  );
});

test("lists are the same object for callers that the policies do not distinguish", () => {
  const served = servingSet(sources, recordingServices(), { authorization: rules("allow") });
  assert.equal(served.viewFor(user("ann", "a", "b")), served.viewFor(user("bob", "b", "a", "b")));
  const { rightsKey } = compilePolicies(rules("deny"));
  assert.notEqual(rightsKey({ ...OWNER, roles: [] }), rightsKey(user("ann")));
});

const inSrv = { path: ["/srv/*"] };
const allows = (patterns: Record<string, string[]>, given: unknown): boolean =>
  compileArguments(patterns, true)(given);
const forbids = (patterns: Record<string, string[]>, given: unknown): boolean =>
  compileArguments(patterns, false)(given);

const VALUES: readonly (readonly [value: unknown, allowed: boolean, forbidden: boolean])[] = [
  ["/srv/a", true, true],
  ["/srv/deep/a b.txt", true, true],
  ["/etc/passwd", false, false],
  ["/srv", false, false],
  ["/srv/../etc/passwd", false, true],
  ["/srv/%2e%2e/etc/passwd", false, true],
  ["/srv/.\u0000./x", false, true],
  ["//srv//a", false, true],
  ["/srv//a", true, true],
  ["/%73rv/a", false, true],
  [["/srv/a", "/srv/b"], true, true],
  [["/srv/a", "/etc/b"], false, true],
  [["/etc/a"], false, false],
  [[], false, false],
  [{ deep: "/srv/a" }, false, true],
  [null, false, false],
  [undefined, false, false],
  [5, false, false],
  [`/srv/${"x".repeat(20_000)}`, false, true],
  [Array.from({ length: 2_000 }, () => "/srv/a"), true, true],
];
for (const [value, allowed, forbidden] of VALUES) {
  const shown = JSON.stringify(value)?.slice(0, 40) ?? "nothing";
  test(`E2 patterns over arguments: ${shown}: allowing matches ${allowed}, forbidding matches ${forbidden}`, () => {
    assert.equal(allows(inSrv, { path: value }), allowed);
    assert.equal(forbids(inSrv, { path: value }), forbidden);
  });
}

test("E4 what policies check in one call has one budget over all of them, and beyond it the call is refused with the number", async () => {
  const policies = ["/etc/*", "*/.ssh/*"].map((glob) =>
    policy("deny", { resources: ["tool:read"], arguments: { paths: [glob] } }),
  );
  const set = servingSet([source("f", { tools: ["read"] })], services, {
    authorization: rules("allow", ...policies),
  });
  const told = async (paths: readonly string[]): Promise<string | null> => {
    const reply = await ask(set, "tools/call", { name: "read", arguments: { paths } });
    return isError(reply) ? `${reply.error.code} ${reply.error.message}` : null;
  };
  const many = (count: number, text: string) => Array.from({ length: count }, (_, at) => `${text}${at}`);
  assert.equal(await told(many(10_000, "a/")), null);
  assert.equal(await told(many(10_001, "a/")), "-32029 not run: it has more than 10000 texts to check");
  for (const text of ["/%61b".repeat(3_200), "%2541".repeat(3_200), "x".repeat(16_000), "\\".repeat(16_000)])
    assert.equal(
      await told(many(1_000, text)),
      "-32029 not run: its texts have more than 50000 parts of paths to check",
      text.slice(0, 10),
    );
});

test("E2 patterns over arguments: without a slash a pattern matches the text itself: dots and lines mean nothing", () => {
  assert.ok(allows({ query: ["SELECT *"] }, { query: "SELECT a\nFROM t" }));
  assert.ok(allows({ branch: ["main", "fix-*"] }, { branch: "fix-1" }));
  assert.ok(!allows({ branch: ["main", "fix-*"] }, { branch: "other" }));
  assert.ok(allows({ anything: ["*"] }, { anything: { deep: ["/../", null] } }));
  assert.ok(!allows({ anything: ["*"] }, {}));
});

test("E2 patterns over arguments: numbers, flags and digits beyond a double are compared as written", () => {
  assert.ok(allows({ n: ["5", "true", "null"] }, { n: 5 }));
  assert.ok(allows({ n: ["5", "true", "null"] }, { n: true }));
  const given = parseExactly('{"n":12345678901234567890}');
  assert.ok(isJsonObject(given));
  assert.ok(allows({ n: ["12345678901234567890"] }, given));
  assert.ok(!allows({ n: ["12345678901234567891"] }, given));
});

test("E2 patterns over arguments: all named arguments must match; a dotted name leads within, unless an argument has it", () => {
  const both = { path: ["/srv/*"], mode: ["r"] };
  assert.ok(allows(both, { path: "/srv/a", mode: "r", other: 1 }));
  assert.ok(!allows(both, { path: "/srv/a" }));
  assert.ok(allows({ "options.mode": ["r"] }, { options: { mode: "r" } }));
  assert.ok(!allows({ "options.mode": ["r"] }, { options: { mode: "r" }, "options.mode": "w" }));
  for (const given of [
    undefined,
    null,
    [],
    "text",
    { options: "x" },
    Object.create({ options: { mode: "r" } }),
  ])
    assert.ok(!allows({ "options.mode": ["r"] }, given));
  assert.ok(!allows({ constructor: ["*"] }, {}));
});

test("E2 patterns over arguments: forbidding sees a value wherever the server may read it: under both names, and in lists", () => {
  const deep = { "options.path": ["/etc/*"] };
  assert.ok(forbids(deep, { "options.path": "/srv/a", options: { path: "/etc/passwd" } }));
  assert.ok(forbids(deep, { "options.path": "/etc/passwd", options: { path: "/srv/a" } }));
  assert.ok(forbids(deep, { options: [{ path: "/srv/a" }, { path: "/etc/passwd" }] }));
  assert.ok(!forbids(deep, { options: [{ path: "/srv/a" }, [], null, "/etc/passwd"] }));
  for (const given of ["text", 5, [{ path: "/etc/passwd" }]]) assert.ok(forbids({ path: ["/etc/*"] }, given));
  for (const given of [undefined, null, {}]) assert.ok(!forbids({ path: ["/etc/*"] }, given));
  const within = { "options.path": ["/srv/*"] };
  assert.ok(allows(within, { "options.path": "/srv/a", options: { path: "/srv/b" } }));
  assert.ok(!allows(within, { "options.path": "/srv/a", options: { path: "/etc/passwd" } }));
  assert.ok(!allows(within, { options: [{ path: "/srv/a" }, {}] }), "one that has none might take any");
  const nested = { path: Array.from({ length: 20_000 }).reduce<unknown>((inner) => [inner], "/srv/a") };
  assert.ok(
    forbids({ path: ["/etc/*"] }, nested) && !allows({ path: ["*"] }, nested),
    "too deep to be looked at",
  );
});

test("E2 patterns over arguments: for every value, if allowing covers it, forbidding the same covers it as well", () => {
  const segment = fc.constantFrom("srv", "..", ".", "a", "%2e", "", "\\", "~", "etc");
  const path = fc.array(segment, { maxLength: 6 }).map((parts) => `/${parts.join("/")}`);
  const value = fc.oneof(path, fc.array(path, { maxLength: 3 }), fc.jsonValue({ maxDepth: 2 }));
  fc.assert(
    fc.property(value, (one) => {
      const given: JsonObject = { path: one };
      if (allows(inSrv, given)) {
        assert.ok(forbids(inSrv, given));
        for (const text of [one].flat()) assert.doesNotMatch(String(text), /\/\.\.(\/|$)/u);
      }
    }),
  );
});
