import assert from "node:assert/strict";
import { test } from "node:test";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import {
  ANONYMOUS,
  type ClientHandle,
  machinePrincipal,
  OWNER,
  OWNER_IN_PERSON,
  type Principal,
} from "../../../src/gateway/client-handle.ts";
import { errorReply, isError, isJsonObject, type JsonObject } from "../../../src/gateway/json-rpc.ts";
import type { PrincipalLimiter } from "../../../src/gateway/limits/principal-limits.ts";
import {
  ANYBODY,
  authenticateUsers,
  NO_TOKEN,
  readLocalUsers,
  TokensUsed,
} from "../../../src/gateway/middleware/incoming-auth.ts";
import type {} from "../../../src/gateway/middleware/middleware.ts";
import { ownerOfMethod } from "../../../src/gateway/middleware/routing.ts";
import type { SpokenVersion } from "../../../src/gateway/protocol.ts";
import { createViews, type ViewRights } from "../../../src/gateway/serving/catalog-view.ts";
import {
  extensionBackendsOf,
  gatewayInitializeResult,
  tasksListedBy,
} from "../../../src/gateway/serving/initialize-result.ts";
import { pluck } from "../../support/pluck.ts";
import { away, catalogOf, FIRST_WINS, source } from "../catalog/sources.ts";
import {
  AT_MCP,
  ask,
  callPort,
  client,
  policy,
  recordingServices,
  servingSet,
  user,
} from "../middleware/requests.ts";

const sources = [source("a", { tools: ["read", "write"], prompts: ["p"] })];
const onlyRead = {
  defaultEffect: "deny",
  policies: [policy("allow", { roles: ["reader"], resources: ["tool:read"] })],
} as const;

test("the serving set identifies clients by the authentication it was built with", () => {
  const authentication = authenticateUsers(
    readLocalUsers(
      [{ name: "ann", token: { kind: "environment", variable: "T" }, roles: ["reader"] }],
      { T: "t" },
      () => {},
      new TokensUsed(),
      Date.now,
    ),
  );
  const served = servingSet(sources, recordingServices(), { authentication });
  assert.partialDeepStrictEqual(served.authenticate({ authorization: "Bearer t" }, AT_MCP), {
    ok: true,
    principal: user("ann", "reader"),
  });
  assert.deepEqual(served.authenticate({}, AT_MCP), { ok: false, reason: NO_TOKEN });
  assert.partialDeepStrictEqual(served.refresh(user("ann", "gone")), user("ann", "reader"));
  assert.equal(served.refresh(ANONYMOUS), null);
  assert.equal(served.refresh(OWNER), OWNER);
});

test("the serving set decides whom a resource's changes concern by the policies it was built with", () => {
  const files = [source("a", { resources: ["x://open", "x://secret"] })];
  const authorization = {
    defaultEffect: "deny",
    policies: [policy("allow", { roles: ["reader"], resources: ["resource:x://open*"] })],
  } as const;
  assert.equal(servingSet(files, recordingServices()).mayBeNotified(ANONYMOUS, "x://secret"), true);
  const users = [
    { name: "ann", token: { kind: "environment", variable: "T" }, roles: ["reader"] },
    { name: "ben", token: { kind: "environment", variable: "U" }, roles: ["writer"] },
  ] as const;
  const authentication = authenticateUsers(
    readLocalUsers(users, { T: "t", U: "u" }, () => {}, new TokensUsed(), Date.now),
  );
  const guarded = servingSet(files, recordingServices(), { authorization, authentication });
  const mayHear = (uri: string) =>
    [user("ann"), user("ben", "reader"), user("gone", "reader"), OWNER].map((who) =>
      guarded.mayBeNotified(who, uri),
    );
  assert.deepEqual(mayHear("x://open"), [true, false, false, true]);
  assert.deepEqual(mayHear("x://open/part"), [true, false, false, true]);
  assert.deepEqual(mayHear("x://secret"), [false, false, false, true]);
});

test("B11 the serving set reveals the location of an unlisted tool only to callers that may call it", () => {
  const absent = away("b", { tools: ["read", "other"] });
  const open = servingSet([...sources, absent], recordingServices());
  const found = (served: typeof open, ...roles: string[]) =>
    ["read", "other", "none"].map((tool) => served.unavailableBackend(user("u", ...roles), tool));
  assert.deepEqual(found(open), [null, "b", null], "what is published is not away");
  const guarded = servingSet([absent], recordingServices(), { authorization: onlyRead });
  assert.deepEqual(found(guarded, "reader"), ["b", null, null]);
  assert.deepEqual(found(guarded), [null, null, null]);
  assert.equal(guarded.unavailableBackend(OWNER, "other"), "b");
});

test("the serving set does not report a resource that filters removed", () => {
  const resources = ["x://open", "x://secret"];
  const without = (...deny: string[]) => {
    const files = source("a", { resources, filters: { resources: { allow: null, deny } } });
    return servingSet([files], recordingServices());
  };
  assert.equal(without("*").mayBeNotified(ANONYMOUS, "x://open"), false);
  const served = without("x://secret*");
  const heard = ["x://open", "x://open/part", "x://secret", "x://secret/part"].filter((uri) =>
    served.mayBeNotified(ANONYMOUS, uri),
  );
  assert.deepEqual(heard, ["x://open", "x://open/part"]);
});

test("B7 the serving set: digests differ exactly for clients for whom an edit of the policies changes the visible entries", () => {
  const before = servingSet(sources, recordingServices());
  const after = servingSet(sources, recordingServices(), { authorization: onlyRead });
  const digests = (served: typeof before, ...roles: string[]) => ({
    ...served.viewFor(user("u", ...roles)).digests,
  });
  assert.deepEqual(digests(after, "reader").resources, digests(before, "reader").resources);
  assert.notEqual(digests(after, "reader").tools, digests(before, "reader").tools);
  assert.notEqual(digests(after, "reader").tools, digests(after).tools);
  assert.deepEqual({ ...after.viewFor(OWNER).digests }, digests(before));
});

test("E1 only requests about tasks name a task, and only those that may call its tool now may follow it", () => {
  const users = ["ann", "ben"].map((name) => ({
    name,
    token: { kind: "environment" as const, variable: name },
    roles: name === "ann" ? ["reader"] : [],
  }));
  const authentication = authenticateUsers(
    readLocalUsers(users, { ann: "t", ben: "u" }, () => {}, new TokensUsed(), Date.now),
  );
  const services = recordingServices();
  const served = servingSet(sources, services, { authorization: onlyRead, authentication });
  const task = {
    backend: "a",
    tool: "read",
    originalTool: "read",
    id: "1",
    taskLocation: "here",
    mark: null,
  };
  const ann = user("ann", "reader");
  const taskId = services.taskIds.seal(task, ann);
  for (const method of ["tasks/get", "tasks/update", "tasks/cancel"])
    assert.deepEqual(served.taskOf(ann, method, { taskId }), task);
  // Otherwise the right to the task's tool would do for any other.
  assert.equal(served.taskOf(ann, "tools/call", { name: "write", taskId }), null);
  const mayFollow = [ann, user("ben", "reader"), user("gone", "reader"), OWNER].map((who) =>
    served.mayFollow(who, task),
  );
  assert.deepEqual(mayFollow, [true, false, false, true]);
  // The tool says by now that it destroys.
  const [a] = sources;
  assert.ok(a !== undefined);
  const tools = a.listings.tools.map((tool) => ({ ...tool, annotations: { destructiveHint: true } }));
  const careful = { defaultEffect: "allow", policies: [], destructive: "refuse" } as const;
  const changed = [{ ...a, listings: { ...a.listings, tools } }];
  const later = servingSet(changed, services, { authorization: careful, authentication });
  assert.equal(later.mayFollow(ann, task), false);
  const gone = changed.map((one) => ({ ...one, isUnavailable: true as const }));
  assert.equal(
    servingSet(gone, services, { authorization: careful, authentication }).mayFollow(ann, task),
    false,
  );
});

test("E1 a missing scope is named for a listed or absent entry, and not for one that waits for approval", () => {
  const unapproved = [{ kind: "tool", name: "new", change: "new" }] as const;
  const offered = [{ ...source("a", { tools: ["write"] }), unapproved }, away("b", { tools: ["copy"] })];
  const authorization = {
    defaultEffect: "deny",
    policies: [policy("allow", { roles: ["scope:write"] })],
  } as const;
  const signed = { keys: { kind: "good" }, lastKeys: null, people: [], scopesOf: () => [] } as const;
  const authentication = { ...ANYBODY, signed };
  const served = servingSet(offered, recordingServices(), { authorization, authentication });
  const missing = (name: string) => served.missingScope(user("ann"), "tools/call", { name })?.scope ?? null;
  assert.deepEqual(["write", "copy", "new", "none"].map(missing), ["write", "write", null, null]);
});

test("E1 E4 a running call is stopped by a policy for good, by the rate limit for now", () => {
  const limited = errorReply(-32_000, "too many");
  let isLimited = false;
  const limiter = { count: () => (isLimited ? limited : null) } as unknown as PrincipalLimiter;
  const served = servingSet(sources, recordingServices(), {
    authorization: onlyRead,
    limiter,
  });
  const stopped = (name: string) =>
    served.stopped({
      method: "tools/call",
      params: { name },
      handle: callPort(client(user("ann", "reader"))),
      signal: new AbortController().signal,
      served,
    });
  assert.equal(stopped("read"), null);
  assert.equal(stopped("write")?.isOver, true);
  isLimited = true;
  assert.deepEqual(stopped("read"), { reply: limited, isOver: false });
});

test("the serving set: a request is judged by the client's present rights", async () => {
  const served = servingSet(sources, recordingServices(), { authorization: onlyRead });
  const allowed = async (...roles: string[]): Promise<boolean> =>
    !isError(await ask(served, "tools/call", { name: "read" }, client(user("ann", ...roles))));
  assert.deepEqual([await allowed("reader"), await allowed()], [true, false]);
});

const inRoles = (...roles: string[]): Principal => ({ kind: "user", name: roles.join("+"), roles });
const byRole: ViewRights = {
  hidesFromOwner: false,
  rightsKey: ({ roles }) => roles.join(),
  isVisible: ({ roles }, { name }) => roles.includes(name),
};

const one = source("a", { tools: ["x", "y"], prompts: ["p"], resources: ["u:1"], templates: ["u:{i}"] });
const catalog = catalogOf(one);

test("views without policies are one object for everyone, made of the servers' own definitions", () => {
  const viewFor = createViews({ catalog, rights: null });
  const view = viewFor(ANONYMOUS);
  assert.equal(viewFor(OWNER), view);
  assert.deepEqual(view.lists, {
    tools: { tools: one.listings.tools },
    resources: { resources: one.listings.resources },
    resourceTemplates: { resourceTemplates: one.listings.resourceTemplates },
    prompts: { prompts: one.listings.prompts },
  });
});

test("views are the same object for equal rights, and another for others", () => {
  const viewFor = createViews({ catalog, rights: byRole });
  assert.equal(viewFor(inRoles("x")), viewFor(inRoles("x")));
  assert.notEqual(viewFor(inRoles("x")), viewFor(inRoles("y")));
  assert.deepEqual(viewFor(inRoles("x")).lists.tools, { tools: [one.listings.tools[0]] });
  assert.deepEqual(viewFor(inRoles()).lists.tools, { tools: [] });
});

test("views: the home's owner sees everything, unless policies hide tools from everybody", () => {
  const of = (hidesFromOwner: boolean) =>
    createViews({ catalog, rights: { ...byRole, hidesFromOwner } })(OWNER).lists.tools["tools"];
  assert.deepEqual([of(false), of(true)], [one.listings.tools, []]);
});

test("views are kept for 1,000 combinations of rights", () => {
  const viewFor = createViews({ catalog, rights: byRole });
  const first = viewFor(inRoles("x"));
  for (let count = 1; count < 1_000; count++) viewFor(inRoles(`r${count}`));
  assert.equal(viewFor(inRoles("x")), first);
  viewFor(inRoles("one more"));
  assert.notEqual(viewFor(inRoles("x")), first);
});

test("B7 views: digests are equal exactly when the visible entries are", () => {
  const of = (parts: Parameters<typeof source>[1]) =>
    createViews({ catalog: catalogOf(source("a", parts)), rights: null })(ANONYMOUS).digests;
  const base = of({ tools: ["x", "y"], resources: ["u:1"], prompts: ["p"] });
  assert.deepEqual({ ...of({ tools: ["x", "y"], resources: ["u:1"], prompts: ["p"] }) }, { ...base });
  assert.notEqual(of({ tools: ["y", "x"] }).tools, base.tools);
  assert.notEqual(of({ tools: ["x"] }).tools, base.tools);
  assert.notEqual(of({ resources: ["u:1"], templates: ["u:{i}"] }).resources, base.resources);
  assert.notEqual(of({ templates: ["u:1"] }).resources, base.resources);
  const described = of({ tools: ["x", "y"], toolOverrides: { x: { name: null, description: "new" } } });
  assert.notEqual(described.tools, base.tools);
  assert.equal(described.prompts, of({}).prompts);
});

test("views read no definition that is already known, also not for a later catalog", () => {
  let read = 0;
  const { listings, ...many } = source("a", {});
  const tools = Array.from({ length: 5_000 }, (_, at) => ({
    ...tool(`t${at}`),
    annotations: {
      get title() {
        read += 1;
        return "T";
      },
    },
  }));
  const digestOf = (): string => {
    const catalog = catalogOf({ ...many, listings: { ...listings, tools } });
    return createViews({ catalog, rights: null })(ANONYMOUS).digests.tools;
  };
  const first = digestOf();
  const before = read;
  assert.ok(before >= 5_000);
  assert.equal(digestOf(), first);
  assert.equal(read, before);
});

const tool = (name: string, more: object = {}) => ({ name, inputSchema: { type: "object" }, ...more });
const listings = [
  tool("plain"),
  tool("array", { outputSchema: { type: "array", items: { $ref: "#/$defs/x" }, $defs: { x: {} } } }),
  tool("object", { outputSchema: { type: "object" }, execution: { taskSupport: "optional" } }),
  tool("task", { execution: { taskSupport: "required" } }),
  tool("unusable", { inputSchema: { type: "object", items: { type: "string", "x-mcp-header": "R" } } }),
  tool("routed", {
    inputSchema: { type: "object", properties: { r: { type: "string", "x-mcp-header": "R" } } },
  }),
];
const empty = source("a", {});
const ofTools = catalogOf({ ...empty, listings: { ...empty.listings, tools: listings } });
const view = createViews({ catalog: ofTools, rights: null })(ANONYMOUS);

test("D1 views of tools for older clients have objects as outputs, and are made once", () => {
  const array = { type: "array", items: { $ref: "#/properties/result/$defs/x" }, $defs: { x: {} } };
  const shown = { type: "object", properties: { result: array }, required: ["result"] };
  const tools = view.lists.tools["tools"];
  assert.ok(Array.isArray(tools));
  assert.deepEqual(tools[1], { ...listings[1], outputSchema: shown });
  assert.deepEqual([tools[0], tools[2], tools[3]], [listings[0], listings[2], listings[3]]);
  const again = createViews({ catalog: ofTools, rights: null })(ANONYMOUS).lists.tools["tools"];
  assert.ok(Array.isArray(again) && again[1] === tools[1]);
});

test("D1 views of tools for those of 2026-07-28 are as the servers list them, without those that run only as a task and those they would drop", () => {
  assert.equal(view.modern, view.modern);
  const { execution: _, ...object } = { execution: null, ...listings[2] };
  assert.deepEqual(view.modern.lists.tools["tools"], [listings[0], listings[1], object, listings[5]]);
  assert.deepEqual(view.modern.lists.prompts, { ...view.lists.prompts, ttlMs: 0, cacheScope: "private" });
  assert.deepEqual(
    [...view.modern.paramHeaders],
    [["routed", [{ path: ["r"], header: "Mcp-Param-R", type: "string" }]]],
  );
});

const NO_CATALOG = { catalog: catalogOf(), passesAll: true };

const server = (
  backend: string,
  instructions: string | null,
  capabilities = {},
  protocolVersion: SpokenVersion = "2025-11-25",
) => ({ backend, instructions, capabilities, protocolVersion });

test("the gateway promises everything that any backend may offer, whichever exist", () => {
  const { capabilities, serverInfo, instructions } = gatewayInitializeResult("1.2.3", [], NO_CATALOG);
  assert.deepEqual(capabilities, {
    tools: { listChanged: true },
    resources: { subscribe: true, listChanged: true },
    prompts: { listChanged: true },
    logging: {},
    completions: {},
  });
  assert.deepEqual(serverInfo, { name: "mountaineer", title: "Mountaineer", version: "1.2.3" });
  assert.equal(instructions, undefined);
});

test("one server's instructions pass unchanged; of several each is under its backend's name", () => {
  const one = [server("a", "Use it well."), server("b", null), server("c", "")];
  assert.equal(gatewayInitializeResult("1", one, NO_CATALOG)["instructions"], "Use it well.");
  const two = [server("a", "Use it well."), server("b", "Or not.")];
  assert.equal(
    gatewayInitializeResult("1", two, NO_CATALOG)["instructions"],
    "a:\nUse it well.\n\nb:\nOr not.",
  );
});

test("D1 tasks of older versions are not promised to clients of 2026-07-28", () => {
  const servers = [server("a", null, { tasks: { requests: {} } })];
  const { capabilities } = gatewayInitializeResult("1", servers, NO_CATALOG, "2026-07-28");
  assert.equal(isJsonObject(capabilities) && "tasks" in capabilities, false);
});

test("tasks are promised when a server has them, and listed by those that can", () => {
  const servers = [
    server("a", null, { tasks: { requests: {} } }),
    server("b", null, { tasks: { list: {} } }),
    server("c", null, { tasks: true }),
  ];
  assert.deepEqual(tasksListedBy(servers), ["b"]);
  const { capabilities } = gatewayInitializeResult("1", servers, NO_CATALOG);
  assert.ok(typeof capabilities === "object" && capabilities !== null && "tasks" in capabilities);
  assert.deepEqual(capabilities.tasks, { requests: {} });
});

test("D1 extensions of all servers are declared, and the methods of one go to the first that declares it", () => {
  const ui = { "io.modelcontextprotocol/ui": {} };
  const skills = { "io.modelcontextprotocol/skills": {} };
  const of = (...extensions: object[]) => {
    const servers = extensions.map((each, index) => server(`s${index}`, null, { extensions: each }));
    const published = { ...NO_CATALOG, passesAll: false, extensions: extensionBackendsOf(servers) };
    return (gatewayInitializeResult("1", servers, published)["capabilities"] as JsonObject)["extensions"];
  };
  assert.deepEqual(of({ ...ui, ...skills }), { ...ui, ...skills });
  const other = { "example.com/other": { a: 1 } };
  assert.deepEqual(of(ui, skills), { ...ui, ...skills });
  // Tasks work only between client and server of 2026-07-28.
  assert.equal(of({ "io.modelcontextprotocol/tasks": "yes" }), undefined);
  assert.deepEqual(of(ui, other, { "example.com/other": { a: 2 } }), { ...ui, ...other });
  const owners = new Map([["example.com/notes", "one"]]);
  assert.deepEqual(
    ["notes/list", "other/get", "tools/unknown"].map((method) => ownerOfMethod(method, owners)),
    ["one", "one", null],
  );
  owners.set("example.com/other", "two");
  assert.deepEqual(
    ["notes/list", "other/get", "more/list"].map((method) => ownerOfMethod(method, owners)),
    ["one", "two", null],
  );
  const [mail, ci, ...more] = [
    server("mail", null, { extensions: { "io.modelcontextprotocol/events": {} } }),
    server("ci", null, { events: { n: 1 }, big: "x".repeat(65_536), tools: {}, sampling: {} }),
    server("cd", null, { events: { n: 2 }, other: { n: 3 }, large: "x".repeat(65_500) }),
  ];
  const servers = [mail, ci, ...more].filter((each) => each !== undefined);
  const all = extensionBackendsOf(servers);
  const { capabilities } = gatewayInitializeResult("1", servers, { ...NO_CATALOG, extensions: all });
  const { extensions, events, other: third, large, big, sampling } = capabilities as JsonObject;
  assert.deepEqual(
    [events, third, large, big, sampling],
    [{ n: 1 }, { n: 3 }, undefined, undefined, undefined],
  );
  assert.equal(extensions, undefined, "its methods go to the server with the capability");
  assert.deepEqual(
    ["events/list", "other/list", "more/list", "tools/more"].map((method) => ownerOfMethod(method, all)),
    ["ci", "cd", "mail", null],
  );
});

test("D3 instructions name tools as clients see them, and no word of a sentence is taken for a tool", () => {
  const tools = ["read_file", "read", "listFiles", "db.query", "stat"];
  const files = source("files", { tools });
  const rules = { ...FIRST_WINS, strategy: "prefix" } as const;
  const prefixed = buildCatalog([files, source("web", { tools: ["fetch_page"] })], rules);
  const told = (text: string, backend = "files", catalog = prefixed): unknown =>
    gatewayInitializeResult("1", [server(backend, text)], { catalog, passesAll: false })["instructions"];
  for (const [text, meant] of [
    [
      "Call `read` or `read_file(path)`, then read_file. Use db.query. listFiles, not my.read_file or read_file2.",
      "Call `files_read` or `files_read_file(path)`, then files_read_file. Use files_db_query_bdcc4ca1. files_listFiles, not my.read_file or read_file2.",
    ],
    [
      "You may read and stat.",
      "You may read and stat.\n\n(Names of tools here: `read` is `files_read`, `stat` is `files_stat`.)",
    ],
    ["`fetch_page` is another server's.", "`fetch_page` is another server's."],
    ["Hidden\u200b words", "Hidden words"],
  ] as const)
    assert.equal(told(text), meant);
  const asTheyAre = "Call `read`. You may read.";
  assert.equal(told(asTheyAre, "files", catalogOf(files)), asTheyAre);
});

test("D3 a server of a thousand plain names adds twenty of them to its instructions", () => {
  const tools = [..."abcdefghij"].flatMap((last) => [..."abcdefghij"].map((first) => first + last));
  const catalog = buildCatalog([source("a", { tools })], { ...FIRST_WINS, strategy: "prefix" });
  const { instructions } = gatewayInitializeResult("1", [server("a", tools.join(" "))], {
    catalog,
    passesAll: false,
  });
  assert.match(String(instructions), /`aa` is `a_aa`.*, and 80 more\.\)$/su);
  assert.equal(String(instructions).split(" is `").length - 1, 20);
});

test("D1 the extension of tasks is promised to clients of 2026-07-28, where a server of it has it", () => {
  const declares = { extensions: { "io.modelcontextprotocol/tasks": {}, "io.modelcontextprotocol/ui": {} } };
  const extensions = (
    servers: Parameters<typeof gatewayInitializeResult>[1],
    spoken: SpokenVersion,
  ): unknown => {
    const { capabilities } = gatewayInitializeResult(
      "1",
      servers,
      { ...NO_CATALOG, passesAll: false },
      spoken,
    );
    return isJsonObject(capabilities) ? capabilities["extensions"] : null;
  };
  const modern = [server("a", null), server("b", null, declares, "2026-07-28")];
  assert.deepEqual(extensions(modern, "2026-07-28"), declares.extensions);
  assert.deepEqual(extensions(modern, "2025-11-25"), { "io.modelcontextprotocol/ui": {} });
  const older = [server("a", null, declares)];
  assert.deepEqual(extensions(older, "2026-07-28"), { "io.modelcontextprotocol/ui": {} });
});

test("D5 the experimental capabilities of a sole server pass, and none of several", () => {
  const experimental = { "claude/channel": {}, "codex/sandbox-state-meta": {} };
  const of = (passesAll: boolean, ...names: string[]) => {
    const servers = names.map((name) => server(name, null, { experimental }));
    const published = { ...NO_CATALOG, passesAll };
    return (gatewayInitializeResult("1", servers, published)["capabilities"] as JsonObject)["experimental"];
  };
  assert.deepEqual([of(true, "one"), of(false, "one", "two")], [experimental, undefined]);
});

test("D4 D5 only a client with pages gets an app's own tools, and no cache keeps either list", async () => {
  const app = source("app", { tools: ["draw", "save"] });
  const tools = app.listings.tools.map((tool) =>
    tool["name"] === "save" ? { ...tool, _meta: { ui: { visibility: ["app"] } } } : tool,
  );
  const freshness = { tools: { ttlMs: 60_000, cacheScope: "public" } } as const;
  const whole = servingSet(
    [{ ...app, listings: { ...app.listings, tools }, freshness }],
    recordingServices(),
  );
  const listOf = (from: Partial<ClientHandle>) => {
    const served = whole.forClient({ ...client(), ...from });
    const { tools: shown, ...kept } = served.viewFor(from.principal ?? ANONYMOUS).modern.lists.tools;
    return [pluck(shown as JsonObject[], "name"), kept];
  };
  const pages = { extensions: { "io.modelcontextprotocol/ui": {} } };
  const never = { ttlMs: 0, cacheScope: "private" };
  assert.deepEqual(listOf({}), [["draw"], never]);
  assert.deepEqual(listOf({ capabilities: pages }), [["draw", "save"], never]);
  const others = [OWNER_IN_PERSON, machinePrincipal("m")].map((principal) => listOf({ principal }));
  for (const [names] of others) assert.deepEqual(names, ["draw", "save"]);
});
