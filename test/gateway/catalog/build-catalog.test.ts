import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConflictConfig } from "../../../src/config/snapshot.ts";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import type { Catalog, CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import { collisionsIn } from "../../../src/gateway/catalog/diff-catalogs.ts";
import { compileGlobs } from "../../../src/gateway/catalog/glob.ts";
import { type KnownNames, NO_NAMES, nameKey } from "../../../src/gateway/catalog/names.ts";
import { resolveTarget } from "../../../src/gateway/catalog/resolve.ts";
import { pluck } from "../../support/pluck.ts";
import { fc, runsOf } from "../../support/properties.ts";
import { ALL, catalogOf, FIRST_WINS, source } from "./sources.ts";

const conflict = (parts: Partial<ConflictConfig>): ConflictConfig => ({ ...FIRST_WINS, ...parts });
const owners = (
  catalog: Catalog,
  list: "tools" | "resources" | "templates" | "prompts" = "tools",
): string[] => [...catalog[list].values()].map(({ name, backend }) => `${backend}:${name}`);

test("one backend: its names and definitions pass untouched, the very objects of its lists", () => {
  const one = source("fs", {
    tools: ["read", "write"],
    resources: ["file:///a"],
    templates: ["file:///{p}"],
    prompts: ["p"],
  });
  const catalog = catalogOf(one);
  assert.equal(catalog.tools.get("read")?.definition, one.listings.tools[0]);
  assert.equal(catalog.resources.get("file:///a")?.definition, one.listings.resources[0]);
  assert.equal(catalog.templates.get("file:///{p}")?.definition, one.listings.resourceTemplates[0]);
  assert.equal(catalog.prompts.get("p")?.definition, one.listings.prompts[0]);
  assert.deepEqual([...catalog.tools.keys()], ["read", "write"]);
  assert.deepEqual(collisionsIn(catalog), []);
});

test("one backend of two tools with one name the first stays", () => {
  const catalog = catalogOf(source("a", { tools: ["x", "x", "y"] }));
  assert.deepEqual(owners(catalog), ["a:x", "a:y"]);
  assert.deepEqual(collisionsIn(catalog), [{ kind: "tool", name: "x", kept: "a", hidden: "a" }]);
});

test("one backend: names that every object inherits are names like any other", () => {
  const catalog = catalogOf(source("a", { tools: ["constructor", "__proto__"] }));
  assert.deepEqual(owners(catalog), ["a:constructor", "a:__proto__"]);
  assert.equal(catalog.tools.get("toString"), undefined);
});

test("filters allow chooses, deny wins, both over the server's own names", () => {
  const catalog = catalogOf(
    source("a", {
      tools: ["read_file", "read_secret", "write"],
      prompts: ["p"],
      filters: { tools: { allow: ["read_*"], deny: ["*secret"] }, prompts: { allow: [], deny: [] } },
      toolOverrides: { read_file: { name: "write", description: null } },
    }),
  );
  assert.deepEqual(owners(catalog), ["a:write"]);
  const filtered = catalog.entries.filter(({ status }) => status === "filtered");
  assert.deepEqual(pluck(filtered, "name"), ["read_secret", "write", "p"]);
  assert.equal(catalog.tools.get("write")?.originalName, "read_file");
});

test("filters: an empty allow list publishes nothing", () => {
  const filters = { tools: { allow: [], deny: [] }, prompts: { allow: [], deny: [] } };
  const catalog = catalogOf(source("a", { tools: ["x"], prompts: ["p"], filters }));
  assert.equal(catalog.tools.size + catalog.prompts.size, 0);
});

test("filters: the resources filter also applies to templates, by their text", () => {
  const catalog = catalogOf(
    source("a", {
      resources: ["file:///a", "db://b"],
      templates: ["file:///{p}", "db://{t}"],
      filters: { resources: { allow: null, deny: ["db:*"] } },
    }),
  );
  assert.deepEqual(owners(catalog, "resources"), ["a:file:///a"]);
  assert.deepEqual(owners(catalog, "templates"), ["a:file:///{p}"]);
});

test("overrides change only the name and the description, in a copy", () => {
  const one = source("a", { tools: ["x"], toolOverrides: { x: { name: "y", description: "better" } } });
  const [original] = one.listings.tools;
  const entry = catalogOf(one).tools.get("y");
  assert.deepEqual(entry?.definition, { ...original, name: "y", description: "better" });
  assert.equal(original?.["name"], "x");
  assert.equal(entry?.originalName, "x");
});

test("overrides: the same object gives the same copy, a different name another copy", () => {
  const one = source("a", { tools: ["x"], toolOverrides: { x: { name: "y", description: null } } });
  const first = catalogOf(one).tools.get("y")?.definition;
  assert.equal(catalogOf(one).tools.get("y")?.definition, first);
  const other = { ...one, toolOverrides: { x: { name: "z", description: null } } };
  assert.equal(catalogOf(other).tools.get("z")?.definition["name"], "z");
});

test("overrides: an edited description is published, and a removed one restores the server's own", () => {
  const described = (description: string | null, name: string | null = null): CatalogSource => ({
    ...one,
    toolOverrides: { x: { name, description } },
  });
  const one = source("a", { tools: ["x"] });
  const published = (edited: CatalogSource, name = "x"): unknown =>
    catalogOf(edited).tools.get(name)?.definition["description"];
  assert.equal(published(described("better")), "better");
  assert.equal(published(described("best")), "best");
  assert.equal(published(described("best", "y"), "y"), "best");
  assert.equal(published(described("good", "y"), "y"), "good");
  assert.equal(published(described(null, "y"), "y"), "x of a");
  assert.equal(published(described(null)), "x of a");
});

test("overrides apply to tools: a prompt, a resource or a template of that name keeps its own", () => {
  const named = source("a", {
    tools: ["x"],
    resources: ["x"],
    templates: ["x"],
    prompts: ["x"],
    toolOverrides: { x: { name: "y", description: "better" } },
  });
  const catalog = catalogOf(named);
  assert.deepEqual(owners(catalog), ["a:y"]);
  assert.equal(catalog.prompts.get("x")?.definition, named.listings.prompts[0]);
  assert.equal(catalog.resources.get("x")?.definition, named.listings.resources[0]);
  assert.equal(catalog.templates.get("x")?.definition, named.listings.resourceTemplates[0]);
});

test("overrides: a new name takes part in conflicts", () => {
  const catalog = catalogOf(
    source("a", { tools: ["x"] }),
    source("b", { tools: ["y"], toolOverrides: { y: { name: "x", description: null } } }),
  );
  assert.deepEqual(owners(catalog), ["a:x", "b:b_x"]);
  assert.equal(catalog.tools.get("b_x")?.originalName, "y");
});

test("G1 overrides: if machines' names collide through a separator inside names, one keeps the name, and this is reported", () => {
  const catalog = catalogOf(source("f@a", { tools: ["b_x", "y"] }), source("g@a_b", { tools: ["x", "z"] }));
  assert.deepEqual(owners(catalog), ["f@a:a_b_x", "f@a:a_y", "g@a_b:a_b_z"]);
  assert.equal(catalog.tools.get("a_b_x")?.originalName, "b_x");
  assert.deepEqual(collisionsIn(catalog), [{ kind: "tool", name: "a_b_x", kept: "f@a", hidden: "g@a_b" }]);
});

test("overrides: one for a tool that no server has changes nothing", () => {
  const toolOverrides = { nobody: { name: "y", description: null } };
  assert.deepEqual(owners(catalogOf(source("a", { tools: ["x"], toolOverrides }))), ["a:x"]);
});

const three = [
  source("a", { tools: ["x", "only_a"], resources: ["u:1"] }),
  source("b", { tools: ["x", "only_b"], resources: ["u:1"] }),
  source("c", { tools: ["x"], resources: ["u:1"] }),
];

test("conflicts: first-wins: the file's order decides, and the others get their backends' names; URIs stay", () => {
  const catalog = catalogOf(...three);
  assert.deepEqual(owners(catalog), ["a:x", "a:only_a", "b:b_x", "b:only_b", "c:c_x"]);
  assert.equal(catalog.tools.get("b_x")?.definition["name"], "b_x");
  assert.equal(catalog.tools.get("b_x")?.plainName, "x");
  assert.equal(catalog.tools.get("only_b")?.plainName, undefined);
  assert.deepEqual(owners(catalog, "resources"), ["a:u:1"]);
});

test("conflicts: prompts with the same name get their backends' names as tools do", () => {
  const catalog = catalogOf(source("a", { prompts: ["p"] }), source("b", { prompts: ["p", "q"] }));
  assert.deepEqual(owners(catalog, "prompts"), ["a:p", "b:b_p", "b:q"]);
  assert.equal(catalog.prompts.get("b_p")?.definition["title"], "P");
});

test("conflicts: a prefixed name that another tool has gets the prefix again", () => {
  const catalog = catalogOf(source("a", { tools: ["x", "b_x"] }), source("b", { tools: ["x"] }));
  assert.deepEqual(owners(catalog), ["a:x", "a:b_x", "b:b_b_x"]);
});

test("conflicts: error: the later in order is not published, and both are named", () => {
  const catalog = buildCatalog(three.slice(0, 2), conflict({ strategy: "error" }));
  assert.deepEqual(owners(catalog), ["a:x", "a:only_a", "b:only_b"]);
  assert.deepEqual(collisionsIn(catalog)[0], { kind: "tool", name: "x", kept: "a", hidden: "b" });
});

test("conflicts: prefix: tools and prompts get their backend's name, URIs and templates never", () => {
  const catalog = buildCatalog(
    [
      source("a", { tools: ["x"], prompts: ["p"], resources: ["u:1"], templates: ["u:{t}"] }),
      source("b", { tools: ["x"], prompts: ["p"], resources: ["u:1"], templates: ["u:{t}"] }),
    ],
    conflict({ strategy: "prefix" }),
  );
  assert.deepEqual(owners(catalog), ["a:a_x", "b:b_x"]);
  assert.deepEqual(owners(catalog, "prompts"), ["a:a_p", "b:b_p"]);
  assert.deepEqual(owners(catalog, "resources"), ["a:u:1"]);
  assert.deepEqual(owners(catalog, "templates"), ["a:u:{t}"]);
  assert.equal(catalog.tools.get("b_x")?.originalName, "x");
  assert.equal(catalog.tools.get("b_x")?.definition["name"], "b_x");
  // Policies match it, too: a policy for "x" would hold for every backend's.
  assert.equal(catalog.tools.get("b_x")?.plainName, undefined);
  assert.equal(catalog.prompts.get("b_p")?.definition["title"], "P");
  assert.equal(collisionsIn(catalog).length, 2);
});

test("conflicts: prefix: names that the separator makes equal collide, and the first wins", () => {
  const catalog = buildCatalog(
    [source("a", { tools: ["b_c"] }), source("a_b", { tools: ["c"] })],
    conflict({ strategy: "prefix" }),
  );
  assert.deepEqual(owners(catalog), ["a:a_b_c"]);
  assert.equal(collisionsIn(catalog).length, 1);
});

test("conflicts: a tool and a prompt of one name do not collide", () => {
  const catalog = catalogOf(source("a", { tools: ["x"] }), source("b", { prompts: ["x"] }));
  assert.deepEqual(collisionsIn(catalog), []);
});

const a = source("a", { tools: ["x"] });
const b = source("b", { tools: ["x"] });
const used = (catalog: Catalog): KnownNames => ({ ...NO_NAMES, owners: catalog.freshNames });

test("names that clients have used stay with their backend, wherever another backend is in the file, and while theirs is away", () => {
  const known = used(catalogOf(b));
  assert.deepEqual(owners(buildCatalog([a, b], FIRST_WINS, known)), ["a:a_x", "b:x"]);
  assert.deepEqual(owners(buildCatalog([a], FIRST_WINS, known)), ["a:a_x"]);
});

test("names that clients have used stay prefixed when the owner of the plain name is removed, which is then free for a newcomer", () => {
  const known = { ...used(catalogOf(b, a)), isConfigured: (name: string) => name !== "b" };
  assert.deepEqual(owners(buildCatalog([a], FIRST_WINS, known)), ["a:a_x"]);
  const catalog = buildCatalog([a, source("c", { tools: ["x"] })], FIRST_WINS, known);
  assert.deepEqual(owners(catalog), ["a:a_x", "c:x"]);
});

const name = fc.constantFrom("x", "y", "z", "a_x", "b_x", "secret");
const names = fc.array(name, { maxLength: 5 });
const filter = fc.record({
  allow: fc.option(fc.array(fc.constantFrom("*", "x", "?", "a_*"), { maxLength: 2 })),
  deny: fc.array(fc.constantFrom("secret", "y", "b_*"), { maxLength: 2 }),
});
const world: fc.Arbitrary<CatalogSource[]> = fc
  .uniqueArray(fc.constantFrom("a", "b", "c", "a_b"), { maxLength: 4 })
  .chain((backends) =>
    fc.tuple(
      ...backends.map((backend) =>
        fc
          .record({
            tools: names,
            resources: names,
            templates: names,
            prompts: names,
            filters: fc.record({ tools: filter, resources: filter, prompts: filter }),
            toolOverrides: fc.dictionary(
              name,
              fc.record({ name: fc.option(name), description: fc.constantFrom(null, "d") }),
            ),
          })
          .map((parts) => source(backend, parts)),
      ),
    ),
  );
const strategies: fc.Arbitrary<ConflictConfig> = fc.record({
  strategy: fc.constantFrom("first-wins", "prefix", "error"),
});
const LISTS = [
  ["tools", "tools", "tools", "name"],
  ["resources", "resources", "resources", "uri"],
  ["templates", "resourceTemplates", "resources", "uriTemplate"],
  ["prompts", "prompts", "prompts", "name"],
] as const;

test("in every world each offer that the filters permit is published once or is a collision; denied ones are neither", () => {
  fc.assert(
    fc.property(world, strategies, (sources, rules) => {
      const catalog = buildCatalog(sources, rules);
      let offered = 0;
      for (const [list, listing, filters, key] of LISTS) {
        for (const { backend, filters: own, listings } of sources) {
          const { allow, deny } = own[filters];
          const permitted = listings[listing].filter(
            (definition) =>
              (allow === null || compileGlobs(allow)(String(definition[key]))) &&
              !compileGlobs(deny)(String(definition[key])),
          );
          offered += permitted.length;
          const originals = new Set(permitted.map((definition) => definition[key]));
          for (const entry of catalog[list].values()) {
            if (entry.backend === backend) assert.ok(originals.has(entry.originalName));
          }
        }
        for (const [known, entry] of catalog[list]) {
          assert.equal(entry.name, known);
          assert.equal(entry.definition[key], known);
        }
      }
      const published = LISTS.reduce((sum, [list]) => sum + catalog[list].size, 0);
      assert.equal(published + collisionsIn(catalog).length, offered);
      for (const { kind, name: hidden, kept } of collisionsIn(catalog))
        assert.equal(catalog[`${kind}s`].get(hidden)?.backend, kept);
    }),
    { numRuns: runsOf(500) },
  );
});

test("in every world no tool is hidden by another backend's, and no used name becomes another tool's", () => {
  const worlds = fc.array(world, { minLength: 2, maxLength: 4 });
  fc.assert(
    fc.property(worlds, (all) => {
      let known = NO_NAMES;
      const names = new Map<string, string>();
      for (const sources of all) {
        const catalog = buildCatalog(sources, FIRST_WINS, known);
        for (const { kind, kept, hidden } of collisionsIn(catalog)) {
          if (kind === "tool" || kind === "prompt") assert.equal(kept, hidden);
        }
        for (const { kind, name, backend, plainName = name } of [
          ...catalog.tools.values(),
          ...catalog.prompts.values(),
        ]) {
          const whose = `${kind} ${backend} ${plainName}`;
          assert.equal(names.get(whose) ?? name, name);
          names.set(whose, name);
          assert.ok(kind === "tool" || kind === "prompt");
          const had = known.owners.get(nameKey(kind, name));
          if (had !== undefined) assert.deepEqual([had.backend, had.plainName], [backend, plainName]);
        }
        known = { ...known, owners: new Map([...known.owners, ...catalog.freshNames]) };
      }
    }),
    { numRuns: runsOf(500) },
  );
});

test("in every world the same sources give the same catalog, listed in the file's order", () => {
  fc.assert(
    fc.property(world, strategies, (sources, rules) => {
      const catalog = buildCatalog(sources, rules);
      const again = buildCatalog(structuredClone(sources), rules);
      for (const [list] of LISTS) {
        assert.deepEqual([...again[list].values()], [...catalog[list].values()]);
        const places = [...catalog[list].values()].map(({ backend }) =>
          sources.findIndex((one) => one.backend === backend),
        );
        assert.deepEqual(
          places,
          places.toSorted((a, b) => a - b),
        );
      }
      assert.deepEqual(collisionsIn(again), collisionsIn(catalog));
    }),
  );
});

test("B7 in every world the listed entries do not depend on absent backends", () => {
  fc.assert(
    fc.property(world, strategies, fc.subarray(["a", "b", "c"]), (sources, rules, away) => {
      const there = sources.filter(({ backend }) => !away.includes(backend));
      const all = sources.map((one) =>
        there.includes(one) ? one : { ...one, isUnavailable: true as const },
      );
      const [alone, beside] = [buildCatalog(there, rules), buildCatalog(all, rules)];
      for (const [list] of LISTS) {
        assert.deepEqual([...beside[list].values()], [...alone[list].values()]);
        for (const { kind, name, backend } of alone[list].values())
          assert.equal(resolveTarget(beside, { kind, name })?.backend, backend);
      }
      assert.deepEqual(collisionsIn(beside), collisionsIn(alone));
      assert.deepEqual([...beside.freshNames], [...alone.freshNames]);
      for (const { kind, name, status, reasons } of beside.entries) {
        const isLost = reasons.some((reason) => reason.status === "filtered" || reason.status === "collided");
        if (status === "away" && !isLost) assert.equal(resolveTarget(beside, { kind, name })?.status, "away");
      }
    }),
    { numRuns: runsOf(500) },
  );
});

test("B7 in every world prefix: no name changes because another backend is added or removed", () => {
  fc.assert(
    fc.property(world, (sources) => {
      const rules = conflict({ strategy: "prefix" });
      // Names that the separator makes equal: what a backend publishes then depends on the others.
      fc.pre(collisionsIn(buildCatalog(sources, rules)).every(({ kind }) => kind !== "tool"));
      const together = buildCatalog(sources, rules);
      for (const one of sources) {
        const alone = buildCatalog([one], rules);
        const own = [...together.tools.values()].filter(({ backend }) => backend === one.backend);
        assert.deepEqual(own, [...alone.tools.values()]);
      }
    }),
  );
});

test("in every world 100,000 tools avoid quadratic work, which would take minutes", () => {
  const many = Array.from({ length: 10 }, (_, place) =>
    source(`b${place}`, {
      tools: Array.from({ length: 10_000 }, (_each, index) => `tool_${place}_${index}`),
      filters: { tools: { allow: ["tool_*"], deny: ["*secret*"] }, resources: ALL, prompts: ALL },
    }),
  );
  const startedAt = performance.now();
  const catalog = catalogOf(...many);
  const tookMs = performance.now() - startedAt;
  assert.equal(catalog.tools.size, 100_000);
  assert.ok(tookMs < 30_000, `${tookMs} ms`);
});
