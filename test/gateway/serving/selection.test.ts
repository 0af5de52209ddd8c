import assert from "node:assert/strict";
import { test } from "node:test";
import type { GroupConfig, ProfileConfig } from "../../../src/config/snapshot.ts";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import type { CatalogEntry, CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import { NO_NAMES } from "../../../src/gateway/catalog/names.ts";
import { partOfCatalog } from "../../../src/gateway/catalog/part-of-catalog.ts";
import {
  ANONYMOUS,
  type ClientHandle,
  OWNER_IN_PERSON,
  type Principal,
} from "../../../src/gateway/client-handle.ts";
import { isError, type JsonObject } from "../../../src/gateway/json-rpc.ts";
import { createSelections } from "../../../src/gateway/serving/selection.ts";
import { assertEach } from "../../support/assert-each.ts";
import { pluck } from "../../support/pluck.ts";
import { FIRST_WINS, source } from "../catalog/sources.ts";
import {
  ask,
  callPort,
  client,
  ownersIn,
  recordingServices,
  servingSet,
  user,
} from "../middleware/requests.ts";

const OFF = { enabled: false, keepTools: [] };
const WORK: GroupConfig = { name: "work", tools: ["read_*", "create_issue"], backends: null };
const HOME: GroupConfig = { name: "home", tools: null, backends: ["notes"] };
const SOURCES = [
  source("files", { tools: ["read_file", "write_file"], resources: ["file://a"], prompts: ["tidy"] }),
  source("github", { tools: ["create_issue", "merge"], prompts: ["review"] }),
  source("notes", { tools: ["read_note"], resources: ["note://a"], prompts: ["diary"] }),
];

function selectionsOf(
  sources: readonly CatalogSource[],
  groups: readonly GroupConfig[],
  profiles: readonly ProfileConfig[] = [],
) {
  return createSelections({ optimizer: OFF, groups, profiles }, ownersIn(sources, { groups }));
}

function served(groups: readonly GroupConfig[], profiles: readonly ProfileConfig[] = []) {
  return servingSet(SOURCES, recordingServices(), {
    selections: selectionsOf(SOURCES, groups, profiles),
  });
}

function from(group: string | null, principal: Principal = ANONYMOUS, name = "some-client"): ClientHandle {
  return { ...client(principal), group, clientInfo: { name } };
}

function names(set: ReturnType<typeof served>, who: ClientHandle): readonly string[] {
  const { lists } = set.forClient(who).viewFor(who.principal);
  return [lists.tools["tools"], lists.resources["resources"], lists.prompts["prompts"]].flatMap((list) =>
    (list as readonly JsonObject[]).map((entry) => String(entry["name"])),
  );
}

function profile(given: Partial<ProfileConfig>): ProfileConfig {
  return { users: null, clients: null, groups: null, optimizer: null, ...given };
}

test("D4 groups: a group has its tools, and the resources and prompts of the backends that it names", () => {
  const set = served([WORK, HOME]);
  assert.deepEqual(names(set, from("work")), ["read_file", "create_issue", "read_note"]);
  const both: GroupConfig = { name: "both", tools: ["read_*"], backends: ["files"] };
  assert.deepEqual(names(served([both]), from("both")), ["read_file", "file://a", "tidy"]);
  assert.deepEqual(names(set, from("home")), ["read_note", "note://a", "diary"]);
  assert.equal(names(set, from(null)).length, 10);
  assert.deepEqual(names(set, from("gone")), [], "one that is not configured any more has nothing");
});

test("D4 groups: an entry outside of it is unknown there, as if it did not exist", async () => {
  const set = served([HOME]);
  const who = from("home");
  const inGroup = set.forClient(who);
  const outside = await ask(inGroup, "tools/call", { name: "read_file" }, who);
  assert.equal(isError(outside) && outside.error.message, "Unknown tool: read_file");
  assert.ok(!isError(await ask(inGroup, "tools/call", { name: "read_note" }, who)));
  assert.ok(isError(await ask(inGroup, "prompts/get", { name: "tidy" }, who)));
  assert.ok(
    isError(await ask(served([WORK]).forClient(from("gone")), "resources/read", { uri: "file://a" }, who)),
  );
  assertEach(["files", "notes"], (backend) => inGroup.viewFor(ANONYMOUS).sees(backend), [false, true]);
});

test("D4 groups: entries outside of a group that are switched off, or wait for approval, are not reported there", () => {
  const sources = ["files", "notes"].map((backend) => ({
    ...source(backend, { tools: [backend] }),
    unapproved: [{ kind: "resource", name: `u://${backend}`, change: "new" }] as const,
  }));
  const whole = buildCatalog(sources, FIRST_WINS, { ...NO_NAMES, isOff: () => true });
  const isNotes = (backend: string): boolean => backend === "notes";
  const part = { hasTool: (tool: CatalogEntry) => isNotes(tool.backend), hasBackend: isNotes };
  const { unlisted } = partOfCatalog(whole, [[part]]);
  assert.deepEqual([...unlisted.keys()], ["tool:notes", "resource:u://notes"]);
});

test("D4 groups: tasks of only its backends are listed", async () => {
  const services = recordingServices(() => ({ result: { tasks: [] } }), ["files", "notes"]);
  const selections = createSelections({ optimizer: OFF, groups: [HOME], profiles: [] });
  const who = from("home");
  await ask(servingSet(SOURCES, services, { selections }).forClient(who), "tasks/list", {}, who);
  assert.deepEqual(pluck(services.calls, "backend"), ["notes"]);
});

test("D4 E2 groups: a group of only tools reads no resource or prompt, whatever else its clients may", async () => {
  const sources = [
    source("files", {
      tools: ["read_file"],
      resources: ["file://a"],
      templates: ["file://b/{name}"],
      prompts: ["tidy"],
    }),
    source("notes", { tools: ["read_note"], resources: ["note://a"] }),
  ];
  const few: GroupConfig = { name: "few", tools: ["read_file"], backends: null };
  const groups = [few, HOME];
  const services = recordingServices();
  const asked = async (all: typeof sources, who: ClientHandle, method: string, params: JsonObject) => {
    const profiles = [profile({ users: ["ann"], groups: ["few", "home"] })];
    const selections = selectionsOf(sources, groups, profiles);
    const set = servingSet(all, services, { selections });
    return !isError(await ask(set.forClient(who), method, params, who));
  };
  const both = from(null, user("ann"));
  for (const all of [sources, sources.slice(0, 1)]) {
    for (const who of [from("few"), both]) {
      for (const uri of ["file://a", "file://b/c"])
        assert.equal(await asked(all, who, "resources/read", { uri }), false, uri);
      assert.equal(await asked(all, who, "prompts/get", { name: "tidy" }), false);
    }
    assert.equal(await asked(all, from("few"), "resources/read", { uri: "file://unlisted" }), false);
    assert.equal(await asked(all, from("few"), "some/extension", {}), false);
  }
  assert.equal(await asked(sources, both, "resources/read", { uri: "note://a" }), true);
  assert.deepEqual(pluck(services.calls, "backend", "what"), [["notes", "resources/read"]]);
});

test("D4 D1 groups: the page of a tool belongs to its group, listed by its server or not, and no other page does", async () => {
  const app = (backend: string, tool: string, uri: string, resources: readonly string[]) => {
    const made = source(backend, { tools: [tool, `${tool}_more`], resources });
    const [first = {}, ...others] = made.listings.tools;
    const shown = { ...first, _meta: { ui: { resourceUri: uri } } };
    return { ...made, listings: { ...made.listings, tools: [shown, ...others] } };
  };
  const sources = [
    app("a", "draw", "ui://one", ["ui://one", "ui://two", "a://x"]),
    app("b", "draw_b", "ui://one", ["b://x"]),
  ];
  const groups: GroupConfig[] = [
    { name: "apps", tools: ["draw", "draw_b"], backends: null },
    { name: "plain", tools: ["*_more"], backends: null },
  ];
  const selections = selectionsOf(sources, groups);
  const set = servingSet(sources, recordingServices(), { selections });
  const read = async (group: string, uri: string): Promise<boolean> => {
    const who = from(group);
    return !isError(await ask(set.forClient(who), "resources/read", { uri }, who));
  };
  assert.deepEqual(names(set, from("apps")), ["draw", "draw_b", "ui://one"]);
  assert.deepEqual([await read("apps", "ui://one"), await read("apps", "ui://b/one")], [true, true]);
  assert.deepEqual([await read("apps", "ui://two"), await read("apps", "a://x")], [false, false]);
  assert.deepEqual([await read("plain", "ui://one"), await read("plain", "ui://b/one")], [false, false]);
});

test("D1 D4 a page's call by its own server's name arrives there, or is refused where it may mean another server's", async () => {
  const app = (backend: string, isAway = false): CatalogSource => {
    const made = source(backend, { tools: ["show", "save"] });
    const [show = {}, save = {}] = made.listings.tools;
    const tools = [
      { ...show, _meta: { ui: { resourceUri: "ui://main" } } },
      { ...save, _meta: { ui: { visibility: ["app"] } } },
    ];
    return { ...made, ...(isAway && { isUnavailable: true }), listings: { ...made.listings, tools } };
  };
  const asked = async (
    strategy: "first-wins" | "prefix",
    group: string | null,
    name: string,
    isAway = false,
  ) => {
    const sources = [app("a", isAway), app("b"), source("c", { tools: ["other"] })];
    const groups: GroupConfig[] = [{ name: "b", tools: null, backends: ["b"] }];
    const services = recordingServices();
    const set = servingSet(sources, services, {
      selections: selectionsOf(sources, groups),
      conflict: { strategy },
    });
    const who = { ...from(group), capabilities: { extensions: { "io.modelcontextprotocol/ui": {} } } };
    const served = set.forClient(who);
    const { signal } = new AbortController();
    const request = { method: "tools/call", params: { name }, handle: callPort(who), signal, served };
    const reply = await served.handle(served.finalRequest(request));
    const [call] = services.calls;
    return call === undefined ? JSON.stringify(reply) : `${call.backend} ${String(call.params?.["name"])}`;
  };
  const refusal = /Several servers have a tool save.*group with only that server/;
  assert.match(await asked("first-wins", null, "save"), refusal);
  assert.match(await asked("prefix", null, "save"), refusal);
  assert.match(await asked("prefix", null, "save", true), refusal);
  assert.equal(await asked("first-wins", null, "b_save"), "b save");
  assert.equal(await asked("first-wins", null, "show"), "a show");
  assert.equal(await asked("first-wins", "b", "save"), "b save");
  assert.equal(await asked("first-wins", "b", "show"), "b show");
  assert.equal(await asked("prefix", "b", "show"), "b show");
  assert.match(await asked("prefix", null, "other"), /Unknown tool/);
});

test("D4 E2 groups: a group is notified only of updates that can be read in it, its tools' pages included", () => {
  const drawing = source("files", { tools: ["draw"], resources: ["file://a", "ui://one", "ui://two"] });
  const [draw = {}] = drawing.listings.tools;
  const shown = { ...draw, _meta: { ui: { resourceUri: "ui://one" } } };
  const sources = [
    { ...drawing, listings: { ...drawing.listings, tools: [shown] } },
    source("notes", { tools: ["read_note"], resources: ["note://a"] }),
  ];
  const groups: GroupConfig[] = [{ name: "drawing", tools: ["draw"], backends: null }, HOME];
  const profiles = [profile({ users: ["ann"], groups: ["drawing", "home"] })];
  const selections = selectionsOf(sources, groups, profiles);
  const set = servingSet(sources, recordingServices(), { selections });
  const uris = ["file://a", "ui://two", "ui://one", "note://a"];
  const told = (who: ClientHandle): readonly string[] =>
    uris.filter((uri) => set.forClient(who).mayBeNotified(who.principal, uri));
  assert.deepEqual(told(from("drawing")), ["ui://one"]);
  assert.deepEqual(told(from(null, user("ann"))), ["ui://one", "note://a"]);
  assert.deepEqual(told(from(null)), uris);
  assert.deepEqual(told(from("gone")), []);
});

test("D4 groups: a change elsewhere does not change its lists", () => {
  const selections = createSelections({ optimizer: OFF, groups: [HOME], profiles: [] });
  const digests = (sources: typeof SOURCES) =>
    servingSet(sources, recordingServices(), { selections }).forClient(from("home")).viewFor(ANONYMOUS)
      .digests;
  const [, ...others] = SOURCES;
  const before = digests(SOURCES);
  assert.deepEqual(pluck([digests(others)], "tools", "resources", "prompts"), [
    [before.tools, before.resources, before.prompts],
  ]);
});

test("D4 groups: clients of one kind are served by one set, others by another", () => {
  const set = served([WORK]);
  assert.equal(set.forClient(from("work")), set.forClient(from("work", user("ann"))));
  assert.equal(set.forClient(from(null)), set);
  assert.notEqual(set.forClient(from("work")), set);
});

const ci = profile({ users: ["ci-*"], groups: ["home"] });
const claude = profile({ clients: ["claude-*"], optimizer: true });

test("D4 profiles: the first that matches a token's name or a client's own decides", () => {
  const set = served([WORK, HOME], [ci, claude]);
  assert.deepEqual(names(set, from(null, user("ci-7"))), ["read_note", "note://a", "diary"]);
  assert.equal(names(set, from(null, user("ann"))).length, 10);
  const { of } = createSelections({ optimizer: OFF, groups: [HOME], profiles: [ci, claude] });
  assert.equal(of(from(null, user("ann"), "claude-code"))?.isOptimized, true);
  assert.equal(of(from(null, user("ci-7"), "claude-code"))?.isOptimized, false);
  assert.equal(of(from(null, user("ann"))), null);
  const signed: Principal = { ...user("Anna"), subject: "ci-robot" };
  assert.deepEqual(of(from(null, signed))?.parts.length, 1);
});

test("D4 profiles: at a group's address a profile leaves the entries in both", () => {
  const both = profile({ groups: ["work"] });
  const set = served([WORK, HOME], [both]);
  assert.deepEqual(names(set, from("home")), ["read_note"]);
  const notes: GroupConfig = { name: "notes", tools: ["*_note"], backends: ["notes", "files"] };
  const narrowed = served([notes, HOME], [profile({ groups: ["notes"] })]);
  assert.deepEqual(names(narrowed, from("home")), ["read_note", "note://a", "diary"]);
  assert.deepEqual(names(served([HOME], [profile({ groups: [] })]), from(null)), []);
});

test("D4 profiles: it turns the optimizer off for one client, and a person on the command line sees everything", () => {
  const off = profile({ clients: ["cursor"], optimizer: false });
  const { of } = createSelections({ optimizer: { ...OFF, enabled: true }, groups: [], profiles: [off] });
  assert.deepEqual([of(from(null, ANONYMOUS, "cursor")), of(from(null))?.isOptimized], [null, true]);
  assert.equal(of(from(null, OWNER_IN_PERSON)), null);
});
