import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, test } from "node:test";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import { ANONYMOUS, OWNER, type Principal } from "../../../src/gateway/client-port.ts";
import { createViews, type ViewRights } from "../../../src/gateway/serving/catalog-view.ts";
import { FIRST_WINS, source } from "../catalog/sources.ts";

const digest = (text: string): string => hash("sha256", text);
const user = (...roles: string[]): Principal => ({ kind: "user", name: roles.join("+"), roles });
const byRole: ViewRights = {
  hidesFromOwner: false,
  rightsKey: ({ roles }) => roles.join(),
  isVisible: ({ roles }, { name }) => roles.includes(name),
};

describe("views", () => {
  const one = source("a", { tools: ["x", "y"], prompts: ["p"], resources: ["u:1"], templates: ["u:{i}"] });
  const catalog = buildCatalog([one], FIRST_WINS);

  test("without policies are one object for everybody, made of the servers' own definitions", () => {
    const viewFor = createViews({ catalog, rights: null, hash: digest });
    const view = viewFor(ANONYMOUS);
    assert.equal(viewFor(OWNER), view);
    assert.deepEqual(view.lists, {
      tools: { tools: one.listings.tools },
      resources: { resources: one.listings.resources },
      resourceTemplates: { resourceTemplates: one.listings.resourceTemplates },
      prompts: { prompts: one.listings.prompts },
      skills: { skills: [] },
    });
  });

  test("B7 skills are told of as resources are, and change nothing where there are none", () => {
    const of = (skills: readonly string[] | undefined) =>
      createViews({
        catalog: buildCatalog([source("a", { resources: ["u:1"], ...(skills && { skills }) })], FIRST_WINS),
        rights: null,
        hash: digest,
      })(ANONYMOUS).digests.resources;
    assert.equal(of(undefined), of([]));
    assert.notEqual(of([]), of(["git"]));
    assert.notEqual(of(["git"]), of(["sql"]));
  });

  test("are the same object for equal rights, and another for others", () => {
    const viewFor = createViews({ catalog, rights: byRole, hash: digest });
    assert.equal(viewFor(user("x")), viewFor(user("x")));
    assert.notEqual(viewFor(user("x")), viewFor(user("y")));
    assert.deepEqual(viewFor(user("x")).lists.tools, { tools: [one.listings.tools[0]] });
    assert.deepEqual(viewFor(user()).lists.tools, { tools: [] });
  });

  test("B7 digests are equal exactly when what is visible is", () => {
    const of = (parts: Parameters<typeof source>[1]) =>
      createViews({ catalog: buildCatalog([source("a", parts)], FIRST_WINS), rights: null, hash: digest })(
        ANONYMOUS,
      ).digests;
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

  test("look into no definition that is known already", () => {
    const many = source("a", { tools: Array.from({ length: 5_000 }, (_, index) => `t${index}`) });
    let hashed = 0;
    const counting = (text: string): string => {
      hashed += 1;
      return digest(text);
    };
    const digestOf = (): string =>
      createViews({ catalog: buildCatalog([many], FIRST_WINS), rights: null, hash: counting })(ANONYMOUS)
        .digests.tools;
    const first = digestOf();
    assert.equal(hashed, 5_001);
    assert.equal(digestOf(), first);
    assert.equal(hashed, 5_002);
  });
});

describe("D1 views of tools", () => {
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
  const one = source("a", { tools: [] });
  const catalog = buildCatalog([{ ...one, listings: { ...one.listings, tools: listings } }], FIRST_WINS);
  const view = createViews({ catalog, rights: null, hash: digest })(ANONYMOUS);

  test("for older clients have objects as outputs, and are made once", () => {
    const array = { type: "array", items: { $ref: "#/properties/result/$defs/x" }, $defs: { x: {} } };
    const shown = { type: "object", properties: { result: array }, required: ["result"] };
    const tools = view.lists.tools["tools"];
    assert.ok(Array.isArray(tools));
    assert.deepEqual(tools[1], { ...listings[1], outputSchema: shown });
    assert.deepEqual([tools[0], tools[2], tools[3]], [listings[0], listings[2], listings[3]]);
    const again = createViews({ catalog, rights: null, hash: digest })(ANONYMOUS).lists.tools["tools"];
    assert.ok(Array.isArray(again) && again[1] === tools[1]);
  });

  test("for those of 2026-07-28 are as the servers say it, without what runs as a task alone and what they would drop", () => {
    assert.equal(view.modern, view.modern);
    const { execution: _, ...object } = { execution: null, ...listings[2] };
    assert.deepEqual(view.modern.lists.tools["tools"], [listings[0], listings[1], object, listings[5]]);
    assert.deepEqual(view.modern.lists.prompts, { ...view.lists.prompts, ttlMs: 0, cacheScope: "private" });
    assert.deepEqual(
      [...view.modern.paramHeaders],
      [["routed", [{ path: ["r"], header: "Mcp-Param-R", type: "string" }]]],
    );
  });
});
