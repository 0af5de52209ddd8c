import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import { catalogTransitions } from "../../../src/gateway/catalog/diff-catalogs.ts";
import { FIRST_WINS, source } from "./sources.ts";

describe("what became different", () => {
  const before = buildCatalog([source("a", { tools: ["x", "y"], prompts: ["p"] })], FIRST_WINS);
  const after = buildCatalog(
    [
      source("a", { tools: ["y", "z"], resources: ["u:1"], templates: ["u:{i}"] }),
      source("b", { tools: ["z"], resources: ["u:1"] }),
    ],
    FIRST_WINS,
  );

  test("names that came and went, and collisions that are new", () => {
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

  test("D3 a description, a schema or a backend that is another is a change, though every name stays", () => {
    const listing = (description: string, inputSchema: object, backend = "a") => {
      const { listings, ...rest } = source(backend, { tools: ["same"] });
      return { ...rest, listings: { ...listings, tools: [{ name: "x", description, inputSchema }] } };
    };
    const built = (...sources: ReturnType<typeof listing>[]) => buildCatalog(sources, FIRST_WINS);
    const first = built(listing("reads", { type: "object" }));
    const changedBy = (next: ReturnType<typeof built>) =>
      catalogTransitions(first, next).flatMap((one) => (one.name === "catalog.changed" ? [one.changed] : []));
    assert.deepEqual(changedBy(built(listing("reads", { type: "object" }))), [], "the same, listed again");
    assert.deepEqual(changedBy(built(listing("writes", { type: "object" }))), [["tool:x"]]);
    assert.deepEqual(changedBy(built(listing("reads", { type: "object", required: ["a"] }))), [["tool:x"]]);
    assert.deepEqual(changedBy(built(listing("reads", { type: "object" }, "b"))), [["tool:x"]]);
  });

  test("a collision that stands is not told again", () => {
    assert.deepEqual(catalogTransitions(after, after), []);
  });

  test("a name that one backend offers more often is one collision, and told once", () => {
    const sources = [source("a", { resources: ["x"] }), source("b", { resources: ["x", "x", "x"] })];
    const doubled = buildCatalog(sources, FIRST_WINS);
    const told = catalogTransitions(buildCatalog([], FIRST_WINS), doubled).filter(
      ({ name }) => name === "catalog.collision",
    );
    assert.deepEqual(told, [
      { name: "catalog.collision", kind: "resource", entry: "x", kept: "a", hidden: "b" },
    ]);
    const more = buildCatalog([...sources, source("c", { prompts: ["p"] })], FIRST_WINS);
    assert.deepEqual(
      catalogTransitions(doubled, more).map(({ name }) => name),
      ["catalog.changed"],
    );
  });

  test("is announced with counts, and at most 20 names of each", () => {
    const many = buildCatalog(
      [source("a", { tools: Array.from({ length: 50 }, (_, index) => `t${index}`) })],
      FIRST_WINS,
    );
    const [changed, ...others] = catalogTransitions(buildCatalog([], FIRST_WINS), many);
    assert.deepEqual(others, []);
    assert.ok(changed?.name === "catalog.changed");
    assert.equal(changed.tools, 50);
    assert.equal(changed.added.length, 20);
  });

  test("D3 a thousand collisions are twenty events, the last of which counts the rest", () => {
    const resources = Array.from({ length: 1_000 }, (_, index) => `t${index}`);
    const both = buildCatalog([source("a", { resources }), source("b", { resources })], FIRST_WINS);
    const told = catalogTransitions(buildCatalog([source("a", { resources })], FIRST_WINS), both);
    assert.equal(told.length, 20);
    const last = told.at(-1);
    assert.ok(last?.name === "catalog.collision");
    assert.equal(last.more, 980);
    assert.ok(told.slice(0, -1).every((one) => !("more" in one)));
  });
});
