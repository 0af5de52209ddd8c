// Names without wildcards in policies and groups: each means one server's tool, whatever comes, goes or answers first.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { AuthorizationConfig, GroupConfig, PolicyConfig } from "../../../src/config/snapshot.ts";
import type { GatewayConfig } from "../../../src/gateway/serving/gateway-contract.ts";
import { assertEach } from "../../support/assert-each.ts";
import { settle } from "../../support/manual-clock.ts";
import { backendConfig } from "../backends/pool/scripted-instance.ts";
import { source } from "../catalog/sources.ts";
import {
  ask,
  client,
  ownersIn,
  policy,
  recordingServices,
  servingSet,
  user,
} from "../middleware/requests.ts";
import { type MemoryStore, memoryStore } from "../pins/tools.ts";
import { scriptedGateway } from "./gateway-rig.ts";

const DEV = user("ben", "dev");
const [CODE, CRM] = [backendConfig("code"), backendConfig("crm")];

const rules = (...policies: readonly PolicyConfig[]): AuthorizationConfig => ({
  defaultEffect: "deny",
  policies,
});
const about = (effect: PolicyConfig["effect"], ...resources: readonly string[]) =>
  policy(effect, { resources });
const ONE: Partial<GatewayConfig> = { authorization: rules(about("allow", "tool:list_issues")) };

async function begin(t: TestContext, config: Partial<GatewayConfig>, nameStore: MemoryStore = memoryStore()) {
  const b = scriptedGateway(t, { nameStore });
  await b.change({ backends: [CODE, CRM], ...config });
  return {
    ...b,
    /** The tools that the user may call, each as `SERVER/NAME`. */
    async admitted(group: string | null = null): Promise<readonly string[]> {
      await b.listed();
      const { served } = b.gateway.serving;
      const view = served.forClient({ ...client(DEV), group }).viewFor(DEV);
      const { tools } = served.catalog;
      return [...view.callable("2025-11-25").keys()].map((name) => {
        const entry = tools.get(name);
        return `${entry?.backend}/${entry?.originalName}`;
      });
    },
    lists: async (backend: string, ...tools: readonly string[]) => {
      b.instanceOf(backend).becomeReady(...tools);
      await settle();
    },
    narrowed: () =>
      b.gateway
        .view()
        .conditions.flatMap(({ code, title, hint }) =>
          code === "rule_names_one_server" ? [`${title} | ${hint}`] : [],
        ),
  };
}

test("E4 a tool's name in a policy is of the first server in the file that lists it, and admits no other server's", async (t) => {
  const first = await begin(t, ONE);
  await first.lists("code", "list_issues", "search");
  assert.deepEqual(await first.admitted(), ["code/list_issues"]);
  await first.lists("crm", "list_issues");
  assert.deepEqual(await first.admitted(), ["code/list_issues"]);

  const turned = await begin(t, { ...ONE, backends: [CRM, CODE] });
  await turned.lists("code", "list_issues");
  await turned.lists("crm", "list_issues");
  assert.deepEqual(await turned.admitted(), ["crm/list_issues"]);
});

test("E4 a server that answers first gets nothing of a server before it in the file, nor when that one lists nothing or is removed", async (t) => {
  const store = memoryStore();
  const b = await begin(t, ONE, store);
  await b.lists("crm", "list_issues");
  assert.deepEqual(await b.admitted(), []);
  assert.deepEqual(b.narrowed(), [
    "`tool:list_issues` in policy 1 means no server yet: one that comes first in the file has not listed anything | A name without wildcards means one server's. Say which, or several: `tool:crm/list_issues`.",
  ]);
  await b.lists("code", "list_issues");
  assert.deepEqual(await b.admitted(), ["code/list_issues"]);
  b.instanceOf("code").list("other");
  await settle();
  assert.deepEqual(await b.admitted(), []);
  await b.change({ ...ONE, backends: [CRM] });
  assert.deepEqual(await b.admitted(), []);
  assert.deepEqual(b.narrowed(), [
    "`tool:list_issues` in policy 1 means the one of code, which is no longer configured, and not what others call the same | A name without wildcards means one server's. Say which, or several: `tool:code/list_issues`, `tool:crm/list_issues`.",
  ]);
  await b.end();

  const again = await begin(t, { ...ONE, backends: [CRM, CODE] }, store);
  await again.lists("crm", "list_issues");
  await again.lists("code", "list_issues");
  assert.deepEqual(
    await again.admitted(),
    ["code/list_issues"],
    "the file's order has changed, the rule has not",
  );
});

test("E4 where the names are lost, the file's order decides again, and a tool has a name that it says itself", async (t) => {
  const lost = await begin(t, ONE, memoryStore({ kind: "untrusted", reason: "somebody else wrote it" }));
  await lost.lists("crm", "list_issues");
  await lost.lists("code", "list_issues");
  assert.deepEqual(await lost.admitted(), ["code/list_issues"]);
  const said = { authorization: rules(about("allow", "tool:crm/list_issues")) };
  await lost.change({ ...said, backends: [CODE, CRM] });
  assert.deepEqual(await lost.admitted(), ["crm/list_issues"]);
  assert.deepEqual(lost.narrowed(), []);
});

test("E4 a pattern of a server's tools admits that server's, and no other's that has the whole pattern in its name", async (t) => {
  const patterns = ["tool:code/list_*", "code/list_*", "tool:code/list_issue[s]"];
  const groups = patterns.map((pattern) => ({ name: pattern, tools: [pattern], backends: null }));
  const b = await begin(t, { groups });
  await b.lists("code", "list_issues", "search");
  await b.lists("crm", "code/list_issues", "list_issues");
  for (const pattern of patterns) {
    await b.change({ groups, authorization: rules(about("allow", pattern)), backends: [CODE, CRM] });
    assert.deepEqual(await b.admitted(), ["code/list_issues"], pattern);
  }
  await b.change({ groups, backends: [CODE, CRM] });
  assert.deepEqual(await b.admitted("code/list_*"), ["code/list_issues"]);
  const others = rules(about("deny", "tool:code/*"), about("allow", "tool:*"));
  await b.change({ authorization: others, backends: [CODE, CRM] });
  assert.deepEqual(await b.admitted(), ["crm/list_issues"]);
});

test("E4 a name that a tool got because of a collision is that tool's, whatever a later server calls its own", async (t) => {
  const EVIL = backendConfig("evil");
  const b = await begin(t, {
    authorization: rules(about("allow", "tool:crm_list_issues")),
    backends: [CODE, CRM, EVIL],
  });
  await b.lists("code", "list_issues");
  await b.lists("crm", "list_issues");
  await b.lists("evil", "crm_list_issues");
  assert.deepEqual(await b.admitted(), ["crm/list_issues"]);
});

test("E4 a tool's name in a group follows the same rule, among the group's own servers", async (t) => {
  const group = (name: string, tools: readonly string[], backends: GroupConfig["backends"] = null) => ({
    name,
    tools,
    backends,
  });
  const groups = [
    group("all", ["list_issues"]),
    group("crm", ["list_issues"], ["crm"]),
    group("said", ["crm/list_issues"]),
    group("wild", ["*_issues"]),
  ];
  const b = await begin(t, { groups });
  await b.lists("code", "list_issues");
  await b.lists("crm", "list_issues");
  const inGroups = await Promise.all(groups.map(({ name }) => b.admitted(name)));
  assert.deepEqual(inGroups, [
    ["code/list_issues"],
    ["crm/list_issues"],
    ["crm/list_issues"],
    ["code/list_issues", "crm/list_issues"],
  ]);
});

test("E4 a denied name is denied of every server, and a name to ask about turns what is allowed into a question, not what is denied", async () => {
  const sources = [
    source("code", { tools: ["delete"], prompts: ["p"] }),
    source("crm", { tools: ["delete"], prompts: ["p"] }),
  ];
  const told = async (...policies: readonly PolicyConfig[]): Promise<readonly string[]> => {
    const authorization = rules(...policies);
    const set = servingSet(sources, recordingServices(), {
      authorization,
      ruleOwners: ownersIn(sources, { authorization }),
    });
    const answers = [...set.catalog.tools.keys()].map(async (name) => {
      const reply = JSON.stringify(
        await ask(set, "tools/call", { name, arguments: { path: "/x" } }, client(DEV)),
      );
      return /Unknown tool/.test(reply) ? "denied" : /cannot be asked/.test(reply) ? "asked" : "allowed";
    });
    return Promise.all(answers);
  };
  const any = about("allow", "tool:*");
  assert.deepEqual(await told(about("deny", "tool:delete"), any), ["denied", "denied"]);
  assert.deepEqual(await told(about("ask", "tool:delete"), any), ["asked", "asked"]);
  assert.deepEqual(await told(about("ask", "tool:delete")), ["asked", "denied"]);
  assert.deepEqual(await told(about("ask", "tool:delete"), about("deny", "tool:crm_*"), any), [
    "asked",
    "denied",
  ]);
  assert.deepEqual(await told({ ...about("ask", "delete"), arguments: { path: ["/y"] } }, any), [
    "allowed",
    "allowed",
  ]);
  assert.deepEqual(await told({ ...about("ask", "delete"), arguments: { path: ["/x"] } }, any), [
    "asked",
    "asked",
  ]);
  assert.deepEqual(await told(about("allow", "crm/delete")), ["denied", "allowed"]);
  assert.deepEqual(await told(about("deny", "tool:crm/delete"), any), ["allowed", "denied"]);
  assert.deepEqual(await told(about("allow", "prompt:delete")), ["denied", "denied"]);
  // Before the slash, patterns mean servers: they restrict, and open nothing.
  for (const every of ["tool:*/delete", "*/del*"]) {
    assert.deepEqual(await told(about("deny", every), any), ["denied", "denied"], every);
    assert.deepEqual(await told(about("ask", every), any), ["asked", "asked"], every);
    assert.deepEqual(await told(about("allow", every)), ["denied", "denied"], every);
  }
  assert.deepEqual(await told(about("deny", "tool:cr*/delete", "prompt:*/delete"), any), [
    "allowed",
    "denied",
  ]);
});

test("E4 a renamed tool or a moved address keeps its deny, and a pattern of an address is not one of servers", async () => {
  const sources = [
    source("code", {
      tools: ["wipe"],
      toolOverrides: { wipe: { name: "tidy", description: null, arguments: null } },
    }),
    source("crm", { resources: ["file:///home/ann/.env", "tool://x"] }),
  ];
  const open = async (pattern: string): Promise<string> => {
    const authorization = { ...rules(about("deny", pattern)), defaultEffect: "allow" } as const;
    const set = servingSet(sources, recordingServices(), { authorization });
    const found = ["tidy", "file:///home/ann/.env", "tool://x"];
    const answers = found.map(async (name, at) => {
      const [method, params] =
        at === 0 ? (["tools/call", { name }] as const) : (["resources/read", { uri: name }] as const);
      return "error" in (await ask(set, method, params, client(DEV))) ? "-" : "+";
    });
    return (await Promise.all(answers)).join("");
  };
  assert.equal(await open("tool:wipe"), "-++");
  assert.equal(await open("code/wi*"), "-++");
  assert.equal(await open("tool:code_wipe"), "-++");
  assert.equal(await open("tool:c*/wipe"), "-++");
  assert.equal(await open("tool:crm/wipe"), "+++");
  assert.equal(await open("resource:*/.env"), "+-+");
  assert.equal(await open("tool://x"), "++-");
});

test("E4 a name that matches nothing is noted once the lists are read, and an address never", async (t) => {
  const names = (allow: readonly string[] | null, deny: readonly string[]) => ({ allow, deny });
  const b = await begin(t, {});
  const unmatched = () =>
    b.gateway
      .view()
      .conditions.flatMap(({ code, title }) => (code === "rule_matches_nothing" ? [title] : []));
  const code = backendConfig("code", {
    filters: { ...CODE.filters, tools: names(["se*", "sa*"], ["serch"]) },
    toolOverrides: {
      search: { name: "find", description: null, arguments: null },
      find: { name: null, description: null, arguments: null },
    },
  });
  await b.change({
    backends: [code, { ...CRM, enabled: false }],
    authorization: rules(
      about("deny", "tool:*/search", "tool:Code/search", "tool:crm/x", "x:*", "resource:y", "Code/y"),
      about("allow", "tool:*/find", "code/search", "find", "tool:run_script"),
      { ...about("deny", "tool:*@away/x"), backends: ["c*", "git*"] },
      policy("deny", { arguments: { "options.path": ["/"], pth: ["/"] } }),
      policy("deny", {
        roles: ["dve", "dv*", "d*"],
        methods: ["tools/cal", "Tools/*", "*/get", "no/such", "ping"],
      }),
    ),
    incomingAuth: {
      type: "local",
      users: [{ name: "ben", token: { kind: "environment", variable: "BEN" }, roles: ["dev"] }],
    },
    groups: [{ name: "g", tools: ["search", "f*"], backends: null }],
    optimizer: { enabled: true, keepTools: ["fin?", "search"] },
  });
  assert.match(unmatched().join(), /^[^,]*backends: git\* matches nothing,[^,]*roles: dv\* matches nothing$/);
  await b.lists("code", "search");
  assertEach(unmatched(), (title) => title.replace(/ matches nothing$/, ""), [
    "authorization.policies[0].resources: tool:Code/search",
    "authorization.policies[0].resources: Code/y",
    "authorization.policies[1].resources: tool:*/find",
    "authorization.policies[1].resources: code/search",
    "authorization.policies[2].backends: git*",
    "authorization.policies[3].arguments: options.path",
    "authorization.policies[3].arguments: pth",
    ...["roles: dv*", "methods: tools/cal", "methods: Tools/*"].map(
      (one) => `authorization.policies[4].${one}`,
    ),
    "groups.g.tools: search",
    "backends.code.filters.tools.allow: sa*",
    "backends.code.filters.tools.deny: serch",
    "backends.code.tool_overrides: find",
    "optimizer.keep_tools: search",
  ]);
  b.instanceOf("code").list("search", "serch");
  await settle();
  assert.ok(!unmatched().some((title) => title.includes("deny: serch")));
});

test("E4 an address of a server in a policy is not another server's that lists both as one", async () => {
  const sources = [source("code", { resources: ["readme"] }), source("evil", { resources: ["code/readme"] })];
  for (const pattern of ["resource:code/readme", "code/readme", "resource:code/*"]) {
    const authorization = rules(about("allow", pattern));
    const set = servingSet(sources, recordingServices(), {
      authorization,
      ruleOwners: ownersIn(sources, { authorization }),
    });
    const reads = ["readme", "code/readme"].map(async (uri) => {
      return !("error" in (await ask(set, "resources/read", { uri }, client(DEV))));
    });
    assert.deepEqual(await Promise.all(reads), [true, false], pattern);
  }
});

test("E4 an address in a policy stays with the server that has it when another one lists it", async () => {
  const authorization = rules(about("allow", "resource:notes://payroll"));
  const notes = source("notes", { templates: ["notes://{name}"] });
  const evil = source("evil", { resources: ["notes://payroll"] });
  const ruleOwners = ownersIn([notes], { authorization });
  const reads = async (...sources: Parameters<typeof ownersIn>[0]): Promise<boolean> => {
    const set = servingSet(sources, recordingServices(), { authorization, ruleOwners });
    return !("error" in (await ask(set, "resources/read", { uri: "notes://payroll" }, client(DEV))));
  };
  assert.deepEqual([await reads(notes), await reads(notes, evil)], [true, false]);
});
