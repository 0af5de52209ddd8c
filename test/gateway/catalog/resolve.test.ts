import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import { heldKey } from "../../../src/gateway/catalog/catalog.ts";
import { heldBy, resolveServed, resolveTarget } from "../../../src/gateway/catalog/resolve.ts";
import { FIRST_WINS, source } from "./sources.ts";

const catalog = buildCatalog(
  [
    source("tools", { tools: ["x"], prompts: ["p"] }),
    source("a", { resources: ["u://a/listed"], templates: ["u://a/{id}", "u://{+any}"] }),
    source("b", { resources: ["u://a/b-has-it"], templates: ["u://b/{id}"] }),
  ],
  FIRST_WINS,
);
const backendOf = (uri: string): string | null =>
  resolveTarget(catalog, { kind: "resource", name: uri })?.backend ?? null;

describe("names", () => {
  test("are found by what is published", () => {
    assert.equal(resolveTarget(catalog, { kind: "tool", name: "x" })?.backend, "tools");
    assert.equal(resolveTarget(catalog, { kind: "tool", name: "p" }), null);
    assert.equal(resolveTarget(catalog, { kind: "prompt", name: "p" })?.backend, "tools");
  });
});

test("G1 while an own server is down, another machine's entry of the same name takes nothing of it", () => {
  const entries = { tools: ["github_x"], prompts: ["github_p"], resources: ["u://a"] };
  const borrowed = { tools: ["x", "y"], prompts: ["p"], resources: ["u://a", "u://b"] };
  const served = {
    catalog: buildCatalog([source("all@github", borrowed)], FIRST_WINS),
    away: buildCatalog([source("own", { ...entries, templates: ["u://{any}"] })], FIRST_WINS),
  };
  const of = (kind: "tool" | "prompt" | "resource", name: string) =>
    resolveServed(served, { kind, name })?.backend;
  assert.deepEqual([of("tool", "github_x"), of("tool", "github_y")], ["own", "all@github"]);
  assert.equal(of("prompt", "github_p"), "own");
  assert.deepEqual([of("resource", "u://a"), of("resource", "u://b")], ["own", "all@github"]);
});

test("E3 of templates that wait for approval the first 200 are tried: a server may list any number", () => {
  const held = new Map(
    Array.from({ length: 201 }, (_, at) => [heldKey("template", `w://${at}/{x}`), "a"] as const),
  );
  const told = (name: string) =>
    heldBy({ catalog: { ...catalog, held }, away: null }, { kind: "resource", name });
  assert.deepEqual([told("w://199/1"), told("w://200/1")], ["a", null]);
});

describe("URIs", () => {
  test("belong to who listed them, before any template", () => {
    assert.equal(backendOf("u://a/listed"), "a");
    assert.equal(backendOf("u://a/b-has-it"), "b");
  });

  test("else to the first template in order", () => {
    assert.equal(backendOf("u://a/1"), "a");
    assert.equal(backendOf("u://b/1"), "a");
  });

  test("else to nobody while two backends have resources", () => {
    assert.equal(backendOf("v://x"), null);
  });

  test("else to the only backend that has any", () => {
    const one = buildCatalog(
      [source("t", { tools: ["x"] }), source("a", { resources: ["u:1"] })],
      FIRST_WINS,
    );
    assert.equal(resolveTarget(one, { kind: "resource", name: "unlisted:2" })?.backend, "a");
    const none = buildCatalog([source("t", { tools: ["x"] })], FIRST_WINS);
    assert.equal(resolveTarget(none, { kind: "resource", name: "u:1" }), null);
  });

  test("that filters deny are nobody's, although a template or a sole backend would fit", () => {
    const denying = buildCatalog(
      [
        source("a", {
          resources: ["u://a", "u://secret"],
          templates: ["u://{id}", "w://{id}"],
          filters: { resources: { allow: null, deny: ["*secret*"] } },
        }),
      ],
      FIRST_WINS,
    );
    for (const uri of ["u://secret", "u://secret2", "other:secret"]) {
      assert.equal(resolveTarget(denying, { kind: "resource", name: uri }), null, uri);
    }
    assert.equal(resolveTarget(denying, { kind: "resource", name: "u://open" })?.backend, "a");
  });

  test("that are not allowed are reached only by a template that is", () => {
    const allowing = buildCatalog(
      [
        source("a", {
          templates: ["pub://{id}", "own://{id}"],
          filters: { resources: { allow: ["pub://{id}"], deny: [] } },
        }),
      ],
      FIRST_WINS,
    );
    assert.equal(resolveTarget(allowing, { kind: "resource", name: "pub://1" })?.backend, "a");
    assert.equal(resolveTarget(allowing, { kind: "resource", name: "own://1" }), null);
  });

  test("get around no filter by another spelling, and pass as they are where there is none", () => {
    const listed = { resources: ["file:///public/a"], templates: ["file:///{+path}"] };
    const filtered = (filter: { allow: string[] | null; deny: string[] }) =>
      buildCatalog([source("a", { ...listed, filters: { resources: filter } })], FIRST_WINS);
    const denying = filtered({ allow: null, deny: ["file:///secret*"] });
    const allowing = filtered({ allow: ["file:///public/*"], deny: [] });
    const open = buildCatalog([source("a", listed)], FIRST_WINS);
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

  test("without end are not held against templates", () => {
    assert.equal(backendOf(`u://a/${"x".repeat(100_000)}`), null);
  });

  test("of completions are templates as listed, or URIs", () => {
    assert.equal(resolveTarget(catalog, { kind: "template", name: "u://b/{id}" })?.backend, "b");
    assert.equal(resolveTarget(catalog, { kind: "template", name: "u://a/listed" })?.backend, "a");
    assert.equal(resolveTarget(catalog, { kind: "template", name: "v://{id}" }), null);
  });
});
