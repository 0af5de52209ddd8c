import assert from "node:assert/strict";
import { test } from "node:test";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import type { CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import { resolveTarget } from "../../../src/gateway/catalog/resolve.ts";
import { isError, type JsonObject } from "../../../src/gateway/json-rpc.ts";
import { ask, recordingServices, servingSet } from "../middleware/requests.ts";
import { FIRST_WINS, type SourceParts, source } from "./sources.ts";

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
  const catalog = buildCatalog([one], FIRST_WINS);
  assert.equal(catalog.tools.get("show")?.definition, one.listings.tools[0]);
  assert.equal(catalog.resources.get(PAGE)?.definition, one.listings.resources[0]);
});

test("D1 two backends with a page of the same URI: each tool names its own, and both can be read", () => {
  const sources = [
    withApp("a", "show", newer, { resources: [PAGE] }),
    withApp("b", "draw", { ...newer, ...older }, { resources: [PAGE] }),
  ];
  const catalog = buildCatalog(sources, FIRST_WINS);
  const theirs = "ui://b/app/main.html";
  assert.deepEqual(catalog.tools.get("show")?.definition["_meta"], newer);
  assert.deepEqual(catalog.tools.get("draw")?.definition["_meta"], {
    ui: { resourceUri: theirs, visibility: ["model"] },
    other: 1,
    "ui/resourceUri": theirs,
  });
  assert.deepEqual([...catalog.resources.keys()], [PAGE, theirs]);
  assert.deepEqual(catalog.resources.get(theirs)?.definition, { uri: theirs, name: PAGE });
  assert.deepEqual(catalog.collisions, []);
  // The same objects again: who compares lists need not look into them.
  const again = buildCatalog(sources, FIRST_WINS);
  assert.equal(again.tools.get("draw")?.definition, catalog.tools.get("draw")?.definition);
  assert.equal(again.resources.get(theirs)?.definition, catalog.resources.get(theirs)?.definition);
});

test("D1 a page that only a tool names is its backend's, where several have resources", () => {
  const sources = [
    withApp("a", "show", older, { resources: ["u:1"] }),
    withApp("b", "draw", { ui: { resourceUri: "ui://b.html" } }, { resources: ["v:1"] }),
  ];
  const catalog = buildCatalog(sources, FIRST_WINS);
  assert.equal(resolveTarget(catalog, page("ui://b.html"))?.backend, "b");
  assert.equal(resolveTarget(catalog, page(PAGE))?.backend, "a");
  assert.equal(resolveTarget(catalog, page("ui://none.html")), null);
});

test("D1 a page that a filter denies, or whose tool is withheld, is nobody's", () => {
  const denied = { resources: { allow: null, deny: ["ui://*"] } };
  const withheld = { tools: { allow: [], deny: [] } };
  const catalog = buildCatalog(
    [
      withApp("a", "show", newer, { resources: ["u:1"], filters: denied }),
      withApp("b", "draw", newer, { resources: ["v:1"], filters: withheld }),
    ],
    FIRST_WINS,
  );
  assert.equal(resolveTarget(catalog, page(PAGE)), null);
});

test("D1 a page under another URI is asked for and answered under each one's own", async () => {
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
  assert.deepEqual(reply, {
    result: { contents: [{ ...text, uri }, { uri: "u:2" }], _meta: { k: 1 } },
  });
  assert.ok(isError(await ask(served, "resources/subscribe", { uri })));
  await ask(served, "resources/read", { uri: PAGE });
  assert.equal(services.calls.at(-1)?.backend, "a");
});
