// How long lists hold that are made of several servers' lists.
import assert from "node:assert/strict";
import { test } from "node:test";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import {
  type CatalogSource,
  type Freshness,
  freshnessOf,
  type ListFreshness,
  NOT_FRESH,
} from "../../../src/gateway/catalog/catalog.ts";
import { FIRST_WINS, source } from "./sources.ts";

const holds = (ttlMs: number, cacheScope: Freshness["cacheScope"] = "public"): Freshness => ({
  ttlMs,
  cacheScope,
});
const modern = (backend: string, freshness: ListFreshness): CatalogSource => ({
  ...source(backend, { tools: [`${backend}_tool`] }),
  freshness,
});

test("D2 a page says how long it holds; what is not valid counts as not at all", () => {
  assert.deepEqual(freshnessOf({ ttlMs: 5, cacheScope: "public" }), holds(5));
  for (const ttlMs of [-1, 1.5, "5", null, undefined, Number.POSITIVE_INFINITY]) {
    assert.deepEqual(freshnessOf({ ttlMs, cacheScope: "shared" }), NOT_FRESH);
  }
});

test("D2 a list of several servers holds as long as the shortest, and is private if one is", () => {
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
  for (const [sources, expected] of tables) {
    assert.deepEqual(buildCatalog(sources, FIRST_WINS).freshness.tools, expected);
  }
});
