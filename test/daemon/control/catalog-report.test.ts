import assert from "node:assert/strict";
import { test } from "node:test";
import { catalogReportShape } from "../../../src/api/catalog-contract.ts";
import { MOST_SHOWN } from "../../../src/api/tool-changes-contract.ts";
import { catalogReport, MOST_OF_ENTRY, MOST_WITHHELD } from "../../../src/daemon/control/catalog-report.ts";
import { toolChangesReport } from "../../../src/daemon/control/tool-changes.ts";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import type { CatalogSource, Listings } from "../../../src/gateway/catalog/catalog.ts";
import type { JsonObject } from "../../../src/gateway/json-rpc.ts";
import type { Gateway } from "../../../src/gateway/serving/gateway.ts";
import { type WithheldEntry, withheldEntries } from "../../../src/gateway/serving/withheld-entries.ts";
import { FIRST_WINS, source } from "../../gateway/catalog/sources.ts";
import { assertEach } from "../../support/assert-each.ts";

function listing(backend: string, listings: Partial<Listings>): CatalogSource {
  const empty = source(backend, {});
  return { ...empty, listings: { ...empty.listings, ...listings } };
}

function reportOf(...sources: CatalogSource[]) {
  const catalog = buildCatalog(sources, FIRST_WINS);
  return catalogReport({
    catalog,
    withheld: withheldEntries({ sources, catalog, pending: [], hidden: [] }),
  });
}

test("F2 the catalog has each kind with all that a form and a person need, and fits the contract", () => {
  const report = reportOf(
    listing("files", {
      tools: [
        {
          name: "read",
          description: "Reads a file.",
          inputSchema: { type: "object", properties: { path: { type: "string" } } },
          outputSchema: { type: "object" },
          annotations: { title: "Read a file", readOnlyHint: true },
        },
      ],
      resources: [{ uri: "file:///a", name: "a", title: "A", mimeType: "text/plain", size: 3 }],
      resourceTemplates: [{ uriTemplate: "file:///{path}", name: "any", description: "Any file." }],
      prompts: [{ name: "ask", arguments: [{ name: "topic", required: true }, { name: "tone" }] }],
    }),
  );
  assert.deepEqual(report, {
    tools: [
      {
        name: "read",
        original_name: "read",
        backend: "files",
        title: "Read a file",
        description: "Reads a file.",
        input_schema: { type: "object", properties: { path: { type: "string" } } },
        output_schema: { type: "object" },
        annotations: { title: "Read a file", readOnlyHint: true },
      },
    ],
    resources: [
      { uri: "file:///a", name: "a", backend: "files", title: "A", mime_type: "text/plain", size: 3 },
    ],
    resource_templates: [
      { uri_template: "file:///{path}", name: "any", backend: "files", description: "Any file." },
    ],
    prompts: [
      {
        name: "ask",
        original_name: "ask",
        backend: "files",
        arguments: [
          { name: "topic", required: true },
          { name: "tone", required: false },
        ],
      },
    ],
    withheld: [],
    left_out: null,
  });
  assert.equal(catalogReportShape.faultIn(report), null);
});

test("E3 texts are those that clients get: characters that nobody sees are gone", () => {
  const [tool] = reportOf(
    listing("files", {
      tools: [
        {
          name: "read",
          description: "Reads\u{e0041}\u202e a file.",
          inputSchema: { type: "object", properties: { a: { description: "the\u2066 path" } } },
        },
      ],
    }),
  ).tools;
  assert.equal(tool?.description, "Reads a file.");
  assert.deepEqual(tool?.input_schema, { type: "object", properties: { a: { description: "the path" } } });
});

test("F2 what clients do not get is told with its reason: filters, approval, a taken name, a share that is away", () => {
  const filters = {
    tools: { allow: null, deny: ["rm*"] },
    resources: { allow: ["file:*"], deny: [] },
  };
  const sources = [
    source("files", { tools: ["read", "rm", "rm_all"], resources: ["file:a", "http:b"], filters }),
    source("web", { tools: ["read"], resources: ["file:a"] }),
  ];
  const catalog = buildCatalog(sources, FIRST_WINS);
  const pending = (name: string, change: "new" | "changed", isWithheld: boolean) => ({
    backend: "web",
    kind: "tool" as const,
    name,
    change,
    isWithheld,
    digest: "d",
    definition: { name },
    before: null,
  });
  const withheld = withheldEntries({
    sources,
    catalog,
    pending: [
      pending("fetch", "new", true),
      pending("post", "changed", true),
      pending("told", "changed", false),
    ],
    hidden: [source("nas", { tools: ["scan", "rm_x"], filters })],
  });
  assertEach(
    withheld,
    ({ backend, kind, name, reason, why }) => `${backend} ${kind} ${name}: ${reason}, ${why}`,
    [
      "files tool rm: filter, the backend's filters keep it back",
      "files tool rm_all: filter, the backend's filters keep it back",
      "files resource http:b: filter, the backend's filters keep it back",
      "web tool fetch: approval, it is new and waits for approval",
      "web tool post: approval, it changed and waits for approval",
      "web resource file:a: collision, files offers the same name, and comes first",
      "nas tool scan: share, the share that its backend requires is away",
    ],
  );
});

test("a definition that is too large is cut and says so; the others stay whole", () => {
  const big = "x".repeat(MOST_OF_ENTRY);
  const report = reportOf(
    listing("files", {
      tools: [
        { name: "big", title: "Big", description: `about ${big}`, inputSchema: { type: "object" } },
        { name: "small", description: "about nothing", inputSchema: { type: "object" } },
      ],
    }),
  );
  const [cut, whole] = report.tools;
  assert.equal(cut?.cut, true);
  assert.equal(cut?.title, "Big");
  assert.equal(cut?.description?.length, 200);
  assert.deepEqual(cut?.input_schema, {});
  assert.equal(whole?.cut, undefined);
  assert.equal(report.left_out, null);
  assert.equal(catalogReportShape.faultIn(report), null);
});

test("a catalog without bounds gives an answer of at most 8 MiB that counts what it lacks", () => {
  const tools: JsonObject[] = Array.from({ length: 9_000 }, (_, index) => ({
    name: `tool_${index}`,
    description: "d".repeat(2_000),
    inputSchema: { type: "object" },
  }));
  const report = reportOf(listing("files", { tools, prompts: [{ name: "last" }] }));
  const size = JSON.stringify(report).length;
  assert.ok(size < 8 * 1024 * 1024, String(size));
  assert.ok(report.tools.length > 2_000);
  const leftOut = tools.length - report.tools.length;
  assert.ok(leftOut > 0);
  assert.equal(report.left_out?.tools, leftOut);
  assert.ok(report.tools.some(({ cut }) => cut === true));
  assertEach(report.prompts, ({ name }) => name, ["last"], "what is small finds room");
  assert.equal(catalogReportShape.faultIn(report), null);
});

test("of what is withheld the first are told, and the rest counted", () => {
  const withheld: WithheldEntry[] = Array.from({ length: MOST_WITHHELD + 7 }, (_, index) => ({
    backend: "files",
    kind: "tool",
    name: index === 0 ? "n".repeat(5_000) : `t${index}`,
    reason: "filter",
    why: "the backend's filters keep it back",
  }));
  const report = catalogReport({ catalog: buildCatalog([], FIRST_WINS), withheld });
  assert.equal(report.withheld.length, MOST_WITHHELD);
  assert.equal(report.withheld[0]?.name.length, 200);
  assert.equal(report.left_out?.withheld, 7);
});

const gateway = {
  entries: () => ({
    tools: [{ kind: "tool", backend: "files", originalName: "t0", name: "files_t0" }],
    prompts: [{ kind: "prompt", backend: "files", originalName: "t1", name: "files_t1" }],
    resources: [],
  }),
  trust: () => ({
    pending: Array.from({ length: MOST_SHOWN + 1 }, (_, nth) => ({
      backend: "files",
      kind: "tool",
      name: `t${nth}`,
      change: nth === 0 ? "new" : "changed",
      isWithheld: true,
      digest: "d",
      before: null,
      definition: { name: `t${nth}`, description: "does it" },
    })),
    lost: null,
    unseen: [],
  }),
  // What else a gateway can is not asked for.
} as unknown as Gateway;

test("E3 all changes of tools are told, the first of them with their texts", () => {
  const { changes } = toolChangesReport(gateway, null);
  assert.equal(changes.length, MOST_SHOWN + 1);
  assert.equal(changes.filter(({ members }) => members !== null).length, MOST_SHOWN);
  assert.equal(changes.at(-1)?.members, null);
  assertEach(changes.slice(0, 2), ({ published_as, before_known }) => [published_as, before_known], [
    ["files_t0", true],
    [null, false],
  ]);
});
