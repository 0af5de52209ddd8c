import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import { catalogTransitions, diffCatalogs } from "../../../src/gateway/catalog/diff-catalogs.ts";
import { FIRST_WINS, source } from "./sources.ts";

describe("what became different", () => {
  const before = buildCatalog([source("a", { tools: ["x", "y"], prompts: ["p"] })], FIRST_WINS);
  const after = buildCatalog(
    [
      source("a", { tools: ["y", "z"], resources: ["u:1"], templates: ["u:{i}"] }),
      source("b", { tools: ["z"] }),
    ],
    FIRST_WINS,
  );

  test("names that came and went, and collisions that are new", () => {
    assert.deepEqual(diffCatalogs(before, after), {
      added: ["tool:z", "resource:u:1", "template:u:{i}"],
      removed: ["tool:x", "prompt:p"],
      collisions: [{ kind: "tool", name: "z", kept: "a", hidden: "b" }],
    });
  });

  test("a collision that stands is not told again", () => {
    assert.deepEqual(diffCatalogs(after, after), { added: [], removed: [], collisions: [] });
    assert.deepEqual(catalogTransitions(after, after), []);
  });

  test("a name that one backend offers more often is one collision, and told once", () => {
    const sources = [source("a", { tools: ["x"] }), source("b", { tools: ["x", "x", "x"] })];
    const doubled = buildCatalog(sources, FIRST_WINS);
    const told = catalogTransitions(null, doubled).filter(({ name }) => name === "catalog.collision");
    assert.deepEqual(told, [{ name: "catalog.collision", kind: "tool", entry: "x", kept: "a", hidden: "b" }]);
    const more = buildCatalog([...sources, source("c", { prompts: ["p"] })], FIRST_WINS);
    assert.deepEqual(
      catalogTransitions(doubled, more).map(({ name }) => name),
      ["catalog.changed"],
    );
  });

  test("the first catalog is all new", () => {
    assert.deepEqual(diffCatalogs(null, before).added, ["tool:x", "tool:y", "prompt:p"]);
  });

  test("is announced with counts, and at most 20 names of each", () => {
    const many = buildCatalog(
      [source("a", { tools: Array.from({ length: 50 }, (_, index) => `t${index}`) })],
      FIRST_WINS,
    );
    const [changed, ...others] = catalogTransitions(null, many);
    assert.deepEqual(others, []);
    assert.ok(changed?.name === "catalog.changed");
    assert.equal(changed.tools, 50);
    assert.equal(changed.added.length, 20);
    assert.deepEqual(catalogTransitions(before, after).at(-1), {
      name: "catalog.collision",
      kind: "tool",
      entry: "z",
      kept: "a",
      hidden: "b",
    });
  });
});
