import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type CatalogSource,
  type Freshness,
  freshnessOf,
  type ListFreshness,
  NOT_FRESH,
} from "../../../src/gateway/catalog/catalog.ts";
import { catalogTransitions, collisionsIn } from "../../../src/gateway/catalog/diff-catalogs.ts";
import { partOfCatalog } from "../../../src/gateway/catalog/part-of-catalog.ts";
import { resolveTarget } from "../../../src/gateway/catalog/resolve.ts";
import type { JsonObject } from "../../../src/gateway/json-rpc.ts";
import { pluck } from "../../support/pluck.ts";
import { ask, recordingServices, servingSet } from "../middleware/requests.ts";
import { away, catalogOf, type SourceParts, source } from "./sources.ts";

const catalog = catalogOf(
  source("tools", { tools: ["x"], prompts: ["p"] }),
  source("a", { resources: ["u://a/listed"], templates: ["u://a/{id}", "u://{+any}"] }),
  source("b", { resources: ["u://a/b-has-it"], templates: ["u://b/{id}"] }),
);
const backendOf = (uri: string): string | null =>
  resolveTarget(catalog, { kind: "resource", name: uri })?.backend ?? null;

test("published names are found", () => {
  assert.equal(resolveTarget(catalog, { kind: "tool", name: "x" })?.backend, "tools");
  assert.equal(resolveTarget(catalog, { kind: "tool", name: "p" }), null);
  assert.equal(resolveTarget(catalog, { kind: "prompt", name: "p" })?.backend, "tools");
});

test("G1 while an own server is down, another machine's entry of the same name takes nothing from it", () => {
  const entries = { tools: ["github_x"], prompts: ["github_p"], resources: ["u://a"] };
  const borrowed = { tools: ["x", "y"], prompts: ["p"], resources: ["u://a", "u://b"] };
  const own = away("own", { ...entries, templates: ["u://{any}"] });
  const served = catalogOf(source("all@github", borrowed), own);
  const of = (kind: "tool" | "prompt" | "resource", name: string) =>
    resolveTarget(served, { kind, name })?.backend;
  assert.deepEqual([of("tool", "github_x"), of("tool", "github_y")], ["own", "all@github"]);
  assert.equal(of("prompt", "github_p"), "own");
  assert.deepEqual([of("resource", "u://a"), of("resource", "u://b")], ["own", "all@github"]);
  assert.deepEqual(
    [...served.tools.keys()],
    ["github_y"],
    "a name that answers as another tool is not listed",
  );
  const others = catalogOf(source("all@github", borrowed), away("more@github", borrowed));
  assert.equal(resolveTarget(others, { kind: "tool", name: "github_x" })?.backend, "all@github");
});

test("C1 an entry of a backend that is away is requested from no other, whatever the other would answer", () => {
  const other = source("b", { resources: ["b://1"], templates: ["u://{+any}"] });
  const gone = away("a", { resources: ["u://1"], templates: ["u://{+any}", "t://{x}"] });
  const found = (...sources: readonly CatalogSource[]) =>
    ["u://1", "u://2", "t://1", "unlisted:1"].map((name) => {
      const { backend = null, status = null } =
        resolveTarget(catalogOf(...sources), { kind: "resource", name }) ?? {};
      return `${backend} ${status}`;
    });
  assert.deepEqual(found(other, gone), ["a away", "b listed", "a away", "null null"]);
  assert.deepEqual(found(gone), ["a away", "a away", "a away", "a away"]);
});

test("C1 an absent entry takes no name from a listed one, and is not a collision", () => {
  const kept = catalogOf(
    source("b", { tools: ["x"], resources: ["u://1"] }),
    away("a", { tools: ["x"], resources: ["u://1"] }),
  );
  assert.deepEqual([...kept.tools.keys()], ["x"]);
  assert.equal(resolveTarget(kept, { kind: "tool", name: "x" })?.backend, "b");
  assert.equal(resolveTarget(kept, { kind: "tool", name: "a_x" })?.status, "away");
  assert.equal(resolveTarget(kept, { kind: "resource", name: "u://1" })?.backend, "b");
  assert.deepEqual(collisionsIn(kept), []);
  assert.deepEqual([...kept.freshNames.keys()], ["tool x"]);
});

test("E3 of two unlisted entries the approved one has the name", () => {
  const unapproved = [{ kind: "resource", name: "u://1", change: "new" }] as const;
  const waiting = { ...source("b", {}), unapproved };
  const found = resolveTarget(catalogOf(waiting, away("a", { resources: ["u://1"] })), {
    kind: "resource",
    name: "u://1",
  });
  assert.deepEqual([found?.backend, found?.status], ["a", "away"]);
});

test("E3 an entry that waits for approval is reached through no other entry", () => {
  const open = source("a", { resources: ["u://1"] });
  const unapproved = [
    { kind: "resource", name: "w://1", change: "new" },
    { kind: "template", name: "t://{x}", change: "new" },
  ] as const;
  const waiting = { ...open, unapproved };
  const found = (name: string, ...others: readonly CatalogSource[]) =>
    resolveTarget(catalogOf(waiting, ...others), { kind: "resource", name })?.status;
  assert.deepEqual([found("w://1"), found("t://1")], ["unapproved", "unapproved"]);
  assert.equal(found("w://1", source("b", { templates: ["w://{x}"] })), "unapproved");
  assert.equal(found("w://2"), "listed");
});

test("E3 the first 200 templates that wait for approval are tried: a server may list any number", () => {
  const unapproved = Array.from(
    { length: 201 },
    (_, at) => ({ kind: "template", name: `w://${at}/{x}`, change: "new" }) as const,
  );
  const waiting = catalogOf({ ...source("a", {}), unapproved });
  const told = (name: string) => resolveTarget(waiting, { kind: "resource", name })?.backend;
  assert.deepEqual([told("w://199/1"), told("w://200/1")], ["a", undefined]);
});

test("D4 in a part of a catalog a URI of a backend outside of it is unowned, even of one that is down", () => {
  const whole = catalogOf(
    source("a", { templates: ["u://{+any}"] }),
    source("outside", { resources: ["u://outside"], templates: ["t://{x}"] }),
    away("down", { resources: ["u://down"] }),
    away("b", { resources: ["u://b"] }),
  );
  const isA = (backend: string): boolean => backend === "a";
  const part = partOfCatalog(whole, [[{ hasTool: ({ backend }) => isA(backend), hasBackend: isA }]]);
  assert.deepEqual(
    ["u://outside", "t://1", "u://down", "u://else", "unlisted:1"].map(
      (name) => resolveTarget(part, { kind: "resource", name })?.backend,
    ),
    [undefined, undefined, undefined, "a", "a"],
  );
});

test("URIs belong to the backend that listed them, before any template", () => {
  assert.equal(backendOf("u://a/listed"), "a");
  assert.equal(backendOf("u://a/b-has-it"), "b");
});

test("D5 other URIs belong to the template with the longest literal beginning, and to the first in order of equal ones", () => {
  assert.equal(backendOf("u://a/1"), "a");
  assert.equal(backendOf("u://b/1"), "b");
  assert.equal(backendOf("u://c/1"), "a");
});

const folders = catalogOf(
  source("a", { resources: ["f://docs/", "g:///"], templates: ["z://{x}"] }),
  source("hostile", {
    resources: ["h://1"],
    templates: ["{+x}", "f://docs/{+x}", "f://docs/secret{y}", "z://a{x}"],
  }),
);

for (const [uri, namedBy, owner] of [
  // Below a folder that another backend lists, neither a template nor a link counts.
  ["f://docs/secret", null, "a"],
  ["f://docs/a/b.md", "hostile", "a"],
  ["f://docs/", "hostile", "a"],
  // The root of a scheme is no folder.
  ["g:///etc", null, "hostile"],
  ["z://1", null, "a"],
  ["z://abc", null, "hostile"],
  // A mention outweighs nothing that is listed.
  ["z://1", "hostile", "a"],
  ["h://1", "a", "hostile"],
  ["k://1", "a", "a"],
  // A template that begins with an expression comes last.
  ["k://1", null, "hostile"],
] as const)
  test(`D5 ${uri}, named by ${namedBy ?? "no backend"}, is read from ${owner}`, () => {
    const mentionedBy = namedBy === null ? [] : [namedBy];
    assert.equal(resolveTarget(folders, { kind: "resource", name: uri }, mentionedBy)?.backend, owner);
  });

test("D5 a URI that filters deny has no backend, although its backend named it or lists the folder above it", () => {
  const filters = { resources: { allow: null, deny: ["*secret*"] } };
  const denying = catalogOf(
    source("a", { resources: ["f://docs/"], filters }),
    source("b", { resources: ["b://1"], templates: ["f://docs/{x}"] }),
  );
  for (const uri of ["f://docs/secret", "x://secret"])
    assert.equal(resolveTarget(denying, { kind: "resource", name: uri }, ["a"]), null, uri);
  assert.equal(resolveTarget(denying, { kind: "resource", name: "x://open" }, ["a"])?.backend, "a");
});

test("other URIs are unowned while two backends have resources", () => {
  assert.equal(backendOf("v://x"), null);
});

test("other URIs belong to the only backend that has any", () => {
  const one = catalogOf(source("t", { tools: ["x"] }), source("a", { resources: ["u:1"] }));
  assert.equal(resolveTarget(one, { kind: "resource", name: "unlisted:2" })?.backend, "a");
  assert.equal(resolveTarget(one, { kind: "resource", name: "x://y" })?.backend, "a");
  assert.equal(resolveTarget(one, { kind: "resource", name: `u:${"x".repeat(8_192)}` }), null);
  const none = catalogOf(source("t", { tools: ["x"], prompts: ["p"] }));
  assert.equal(resolveTarget(none, { kind: "resource", name: "u:1" }), null);
});

test("URIs that filters deny are unowned, although a template or a sole backend would match", () => {
  const denying = catalogOf(
    source("a", {
      resources: ["u://a", "u://secret"],
      templates: ["u://{id}", "w://{id}"],
      filters: { resources: { allow: null, deny: ["*secret*"] } },
    }),
  );
  for (const uri of ["u://secret", "u://secret2", "other:secret"])
    assert.equal(resolveTarget(denying, { kind: "resource", name: uri }), null, uri);
  assert.equal(resolveTarget(denying, { kind: "resource", name: "u://open" })?.backend, "a");
});

test("URIs that are not allowed are reached only by an allowed template", () => {
  const allowing = catalogOf(
    source("a", {
      templates: ["pub://{id}", "own://{id}"],
      filters: { resources: { allow: ["pub://{id}"], deny: [] } },
    }),
  );
  assert.equal(resolveTarget(allowing, { kind: "resource", name: "pub://1" })?.backend, "a");
  assert.equal(resolveTarget(allowing, { kind: "resource", name: "own://1" }), null);
});

test("URIs cannot evade a filter by another spelling, and pass unchanged where there is none", () => {
  const listed = { resources: ["file:///public/a"], templates: ["file:///{+path}"] };
  const filtered = (filter: { allow: string[] | null; deny: string[] }) =>
    catalogOf(source("a", { ...listed, filters: { resources: filter } }));
  const denying = filtered({ allow: null, deny: ["file:///secret*"] });
  const allowing = filtered({ allow: ["file:///public/*"], deny: [] });
  const open = catalogOf(source("a", listed));
  for (const [from, uri] of [
    [denying, "file:///public/../secret"],
    [denying, "file:///./secret"],
    [denying, "file:///x/%2e%2E/secret"],
    [denying, "file:///x%2f..%2fsecret"],
    [denying, "file:///%73ecret"],
    [denying, "FILE:///secret"],
    [denying, "file:///%ff/%73ecret/.."],
    [denying, "file://localhost/secret"],
    [denying, "file:\\\\\\secret"],
    [denying, "file:////secret"],
    [denying, "file:/secret"],
    [denying, "file:///sec\tret"],
    [allowing, "file:///public/..\t/etc/passwd"],
    [allowing, "file:///public/../etc/passwd"],
    [allowing, "file:///public/.."],
    [allowing, "file:///public/%252e%252e/x"],
  ] as const) {
    assert.equal(resolveTarget(from, { kind: "resource", name: uri }), null, uri);
    assert.equal(resolveTarget(open, { kind: "resource", name: uri })?.backend, "a", uri);
  }
  for (const uri of [
    "file:///public/b",
    "file:///public/my%20file",
    "file:///public/.hidden",
    "file:///public/a..b",
  ]) {
    assert.equal(resolveTarget(allowing, { kind: "resource", name: uri })?.backend, "a", uri);
    assert.equal(resolveTarget(denying, { kind: "resource", name: uri })?.backend, "a", uri);
  }
});

test("URIs of unbounded length are not matched against templates", () => {
  assert.equal(backendOf(`u://a/${"x".repeat(100_000)}`), null);
});

test("URIs of completions are templates as listed, or URIs", () => {
  assert.equal(resolveTarget(catalog, { kind: "template", name: "u://b/{id}" })?.backend, "b");
  assert.equal(resolveTarget(catalog, { kind: "template", name: "u://a/listed" })?.backend, "a");
  assert.equal(resolveTarget(catalog, { kind: "template", name: "v://{id}" }), null);
});

const PAGE = "ui://app/main.html";

/** A backend with one tool that has a page. */
function withApp(backend: string, tool: string, meta: JsonObject, parts: SourceParts = {}): CatalogSource {
  const made = source(backend, { ...parts, tools: [tool] });
  const [definition = {}] = made.listings.tools;
  return { ...made, listings: { ...made.listings, tools: [{ ...definition, _meta: meta }] } };
}

const page = (name: string) => ({ kind: "resource" as const, name });
const newer = { ui: { resourceUri: PAGE, visibility: ["model"] }, other: 1 };
const older = { "ui/resourceUri": PAGE };

test("D1 one backend's pages and the tools that name them pass untouched", () => {
  const one = withApp("a", "show", newer, { resources: [PAGE] });
  const catalog = catalogOf(one);
  assert.equal(catalog.tools.get("show")?.definition, one.listings.tools[0]);
  assert.equal(catalog.resources.get(PAGE)?.definition, one.listings.resources[0]);
});

test("D1 two backends with a page of the same URI: each tool names its own, and both can be read", () => {
  const sources = [
    withApp("a", "show", newer, { resources: [PAGE] }),
    withApp("b", "draw", { ...newer, ...older }, { resources: [PAGE] }),
  ];
  const catalog = catalogOf(...sources);
  const theirs = "ui://b/app/main.html";
  assert.deepEqual(catalog.tools.get("show")?.definition["_meta"], newer);
  assert.deepEqual(catalog.tools.get("draw")?.definition["_meta"], {
    ui: { resourceUri: theirs, visibility: ["model"] },
    other: 1,
    "ui/resourceUri": theirs,
  });
  assert.deepEqual([...catalog.resources.keys()], [PAGE, theirs]);
  assert.deepEqual(catalog.resources.get(theirs)?.definition, { uri: theirs, name: PAGE });
  assert.deepEqual(collisionsIn(catalog), []);
  // The same objects again: who compares lists need not look into them.
  const again = catalogOf(...sources);
  assert.equal(again.tools.get("draw")?.definition, catalog.tools.get("draw")?.definition);
  assert.equal(again.resources.get(theirs)?.definition, catalog.resources.get(theirs)?.definition);
});

test("D1 a page's other URI is an unused one, and a tool names it in the form that it used itself", () => {
  const catalog = catalogOf(
    withApp("a", "show", newer, { resources: [PAGE, "ui://b/app/main.html"] }),
    withApp("b", "draw", newer, { resources: [PAGE] }),
    withApp("c", "plot", older, { resources: [PAGE] }),
  );
  const metaOf = (tool: string): unknown => catalog.tools.get(tool)?.definition["_meta"];
  const free = "ui://b/b/app/main.html";
  assert.deepEqual(metaOf("draw"), { ...newer, ui: { ...newer.ui, resourceUri: free } });
  assert.equal(resolveTarget(catalog, page("ui://b/app/main.html"))?.backend, "a");
  assert.equal(resolveTarget(catalog, page(free))?.backend, "b");
  assert.deepEqual(metaOf("plot"), { "ui/resourceUri": "ui://c/app/main.html" });
});

test("D1 a page that only a tool names belongs to its backend, where several have resources", () => {
  const sources = [
    withApp("a", "show", older, { resources: ["u:1"] }),
    withApp("b", "draw", { ui: { resourceUri: "ui://b.html" } }, { resources: ["v:1"] }),
  ];
  const catalog = catalogOf(...sources);
  assert.equal(resolveTarget(catalog, page("ui://b.html"))?.backend, "b");
  assert.equal(resolveTarget(catalog, page(PAGE))?.backend, "a");
  assert.equal(resolveTarget(catalog, page("ui://none.html")), null);
});

test("D1 a page that a filter denies, or whose tool is withheld, is unowned", () => {
  const denied = { resources: { allow: null, deny: ["ui://*"] } };
  const withheld = { tools: { allow: [], deny: [] } };
  const catalog = catalogOf(
    withApp("a", "show", newer, { resources: ["u:1"], filters: denied }),
    withApp("b", "draw", newer, { resources: ["v:1"], filters: withheld }),
  );
  assert.equal(resolveTarget(catalog, page(PAGE)), null);
});

test("D1 a page under another URI is requested and answered under each one's own", async () => {
  const sources = [
    withApp("a", "show", newer, { resources: [PAGE] }),
    withApp("b", "draw", newer, { resources: [PAGE] }),
  ];
  const text = { uri: PAGE, text: "<p>b</p>", _meta: { ui: { csp: {} } } };
  const services = recordingServices(() => ({
    result: { contents: [text, { uri: "u:2" }], _meta: { k: 1 } },
  }));
  const served = servingSet(sources, services);
  const uri = "ui://b/app/main.html";
  const reply = await ask(served, "resources/read", { uri, _meta: { progressToken: 1 } });
  assert.deepEqual(services.calls, [
    { backend: "b", what: "resources/read", params: { uri: PAGE, _meta: { progressToken: 1 } } },
  ]);
  assert.deepEqual(reply, { result: { contents: [{ ...text, uri }, { uri: "u:2" }], _meta: { k: 1 } } });
  for (const what of ["subscribe", "unsubscribe"]) {
    await ask(served, `resources/${what}`, { uri });
    assert.deepEqual(services.calls.at(-1), { backend: "b", what, params: { uri: PAGE } });
  }
  await ask(served, "resources/read", { uri: PAGE });
  assert.equal(services.calls.at(-1)?.backend, "a");
});

// How long lists hold that are made of several servers' lists.

const holds = (ttlMs: number, cacheScope: Freshness["cacheScope"] = "public"): Freshness => ({
  ttlMs,
  cacheScope,
});
const modern = (backend: string, freshness: ListFreshness): CatalogSource => ({
  ...source(backend, { tools: [`${backend}_tool`] }),
  freshness,
});

test("D2 a page says how long it is valid; an invalid statement means not at all", () => {
  assert.deepEqual(freshnessOf({ ttlMs: 5, cacheScope: "public" }), holds(5));
  for (const ttlMs of [-1, 1.5, "5", null, undefined, Number.POSITIVE_INFINITY])
    assert.deepEqual(freshnessOf({ ttlMs, cacheScope: "shared" }), NOT_FRESH);
});

test("D2 a list of several servers is valid as long as the shortest, and is private if one is", () => {
  const tables: readonly (readonly [readonly CatalogSource[], Freshness])[] = [
    [[], NOT_FRESH],
    [[modern("a", { tools: holds(9) })], holds(9)],
    [[modern("a", { tools: holds(9) }), modern("b", { tools: holds(4) })], holds(4)],
    [[modern("a", { tools: holds(9) }), modern("b", { tools: holds(12, "private") })], holds(9, "private")],
    // One that has no tools has no say.
    [[modern("a", { tools: holds(9) }), modern("b", { tools: null })], holds(9)],
    [[modern("a", { tools: null })], NOT_FRESH],
    // A server of an older version says nothing.
    [[modern("a", { tools: holds(9) }), source("b", {})], NOT_FRESH],
  ];
  for (const [sources, expected] of tables) assert.deepEqual(catalogOf(...sources).freshness.tools, expected);
});

const before = catalogOf(source("a", { tools: ["x", "y"], prompts: ["p"] }));
const after = catalogOf(
  source("a", { tools: ["y", "z"], resources: ["u:1"], templates: ["u:{i}"] }),
  source("b", { tools: ["z"], resources: ["u:1"] }),
);

test("differences: names that were added and removed, and new collisions", () => {
  assert.deepEqual(catalogTransitions(before, after), [
    {
      name: "catalog.changed",
      tools: 3,
      resources: 2,
      prompts: 0,
      added: ["tool:z", "tool:b_z", "resource:u:1", "template:u:{i}"],
      removed: ["tool:x", "prompt:p"],
      changed: [],
    },
    { name: "catalog.collision", kind: "resource", entry: "u:1", kept: "a", hidden: "b" },
  ]);
});

test("D3 differences: a changed description, schema or backend is a change, though every name stays", () => {
  const listing = (description: string, inputSchema: object, backend = "a") => {
    const { listings, ...rest } = source(backend, { tools: ["same"] });
    return { ...rest, listings: { ...listings, tools: [{ name: "x", description, inputSchema }] } };
  };
  const built = (...sources: ReturnType<typeof listing>[]) => catalogOf(...sources);
  const first = built(listing("reads", { type: "object" }));
  const changedBy = (next: ReturnType<typeof built>) =>
    catalogTransitions(first, next).flatMap((one) => (one.name === "catalog.changed" ? [one.changed] : []));
  assert.deepEqual(changedBy(built(listing("reads", { type: "object" }))), [], "the same, listed again");
  assert.deepEqual(changedBy(built(listing("writes", { type: "object" }))), [["tool:x"]]);
  assert.deepEqual(changedBy(built(listing("reads", { type: "object", required: ["a"] }))), [["tool:x"]]);
  assert.deepEqual(changedBy(built(listing("reads", { type: "object" }, "b"))), [["tool:x"]]);
});

test("differences: a continuing collision is not reported again", () => {
  assert.deepEqual(catalogTransitions(after, after), []);
});

test("differences: a name that one backend offers repeatedly is one collision, and reported once", () => {
  const sources = [source("a", { resources: ["x"] }), source("b", { resources: ["x", "x", "x"] })];
  const doubled = catalogOf(...sources);
  const told = catalogTransitions(catalogOf(), doubled).filter(({ name }) => name === "catalog.collision");
  assert.deepEqual(told, [
    { name: "catalog.collision", kind: "resource", entry: "x", kept: "a", hidden: "b" },
  ]);
  const more = catalogOf(...sources, source("c", { prompts: ["p"] }));
  assert.deepEqual(pluck(catalogTransitions(doubled, more), "name"), ["catalog.changed"]);
});

test("differences are announced with counts, and at most 20 names of each", () => {
  const many = catalogOf(source("a", { tools: Array.from({ length: 50 }, (_, index) => `t${index}`) }));
  const [changed, ...others] = catalogTransitions(catalogOf(), many);
  assert.deepEqual(others, []);
  assert.ok(changed?.name === "catalog.changed");
  assert.equal(changed.tools, 50);
  assert.equal(changed.added.length, 20);
});

test("D3 differences: a thousand collisions are twenty events, the last of which counts the rest", () => {
  const resources = Array.from({ length: 1_000 }, (_, index) => `t${index}`);
  const both = catalogOf(source("a", { resources }), source("b", { resources }));
  const told = catalogTransitions(catalogOf(source("a", { resources })), both);
  assert.equal(told.length, 20);
  const last = told.at(-1);
  assert.ok(last?.name === "catalog.collision");
  assert.equal(last.more, 980);
  assert.ok(told.slice(0, -1).every((one) => !("more" in one)));
});
