import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { catalogReportShape } from "../../../src/api/contract/catalog.ts";
import { MOST_SHOWN } from "../../../src/api/contract/tool-changes.ts";
import { catalogReport, MOST_OF_ENTRY, MOST_WITHHELD } from "../../../src/daemon/control/catalog-report.ts";
import { createGatewayControl, toolChangesReport } from "../../../src/daemon/control/gateway-control.ts";
import { withheldEntries } from "../../../src/daemon/control/withheld-entries.ts";
import type { RequiredData } from "../../../src/gateway/backends/policy/required-data.ts";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import type { CatalogSource, Listings } from "../../../src/gateway/catalog/catalog.ts";
import type { JsonObject } from "../../../src/gateway/json-rpc.ts";
import type { PendingChange } from "../../../src/gateway/pins/pins.ts";
import { Gateway } from "../../../src/gateway/serving/gateway.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { backendConfig, createScript } from "../../gateway/backends/pool/scripted-instance.ts";
import { away, catalogOf, FIRST_WINS, source } from "../../gateway/catalog/sources.ts";
import { memoryStore } from "../../gateway/pins/tools.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { passTimeUntilSettled } from "../../support/pass-time.ts";

/** A gateway of scripted servers, by a clock that the test moves. */
function gatewayWith(t: TestContext, options: Partial<ConstructorParameters<typeof Gateway>[0]>) {
  const clock = createManualClock();
  const script = createScript();
  const plain = { logger: noopLogger, environment: {}, redact() {}, announce() {}, version: "1" };
  const gateway = new Gateway(
    { clock, ...plain, listens: false, ...options },
    {
      startInstance: script.start,
      openTransport: () => () => assert.fail("no link is opened"),
      random: () => 0.5,
    },
  );
  t.after(() => passTimeUntilSettled(clock, gateway[Symbol.asyncDispose](), 1_000));
  return { clock, script, gateway, control: createGatewayControl(() => gateway) };
}

test("E3 waiting tools are listed with their texts, approved as shown, and not while the keyring is locked", async (t) => {
  const store = memoryStore({ kind: "unanswered", reason: "it is locked" });
  const { clock, script, gateway, control } = gatewayWith(t, { pinStore: store });
  await gateway.start({
    ...NO_GATEWAY,
    backends: [backendConfig("files")],
    trust: { ...NO_GATEWAY.trust, pin: "block" },
  });
  await settle();
  script.last.becomeReady("read");
  await settle();
  const seen = await control.toolChanges({});
  assert.equal(seen.lost, "it is locked");
  assertEach(seen.changes, ({ tool, kind, withheld, published_as }) => [tool, kind, withheld, published_as], [
    ["read", "new", true, null],
  ]);
  const items = seen.changes.map(({ backend, tool, digest }) => ({ backend, tool, digest }));
  await assert.rejects(control.approveTools({ items }), /nothing can be approved now: it is locked/u);

  store.kept = { kind: "none" };
  await clock.advance(60_000);
  await settle();
  assert.deepEqual(
    (await control.toolChanges({})).changes,
    [],
    "a home that never had pins begins with these",
  );
  script.last.list("read", "write");
  await settle();
  const [write, ...others] = (await control.toolChanges({ tools: ["files:write"] })).changes;
  assert.deepEqual(others, []);
  const { error } = await control.call({ tool: "write" }, new AbortController().signal);
  assert.match(error?.message ?? "", /Server files offers it, but it is new or was changed, and waits/);
  assert.deepEqual(write?.members, [{ member: "name", before: null, after: "write" }]);
  assert.deepEqual((await control.toolChanges({ tools: ["nothing"] })).changes, []);
  const report = await control.approveTools({
    items: [{ backend: "files", tool: "write", digest: write?.digest ?? "" }],
  });
  assert.equal(report.approved.length, 1);
  assertEach(gateway.entries().tools, ({ name }) => name, ["read", "write"]);
});

test("C1 a manual call of a tool whose share is unavailable names the share; one of an unknown tool lists the known ones", async (t) => {
  const listeners: (() => void)[] = [];
  let data: RequiredData = { kind: "there", mounts: "1" };
  const { clock, script, gateway, control } = gatewayWith(t, {
    data: { status: () => data, onChange: (listener) => void listeners.push(listener) },
  });
  const { signal } = new AbortController();
  const requires = [{ share: "CORE", folder: null }];
  await gateway.start({ ...NO_GATEWAY, backends: [backendConfig("files", { requires })] });
  await settle();
  script.last.becomeReady("read");
  await settle();
  const sinceMs = clock.monotonicMs();
  data = { kind: "away", requirement: "CORE", reason: "it is not mounted", sinceMs };
  for (const listener of listeners) listener();
  await clock.advance(60_000);
  assert.deepEqual((await control.tools()).tools, []);
  const { error } = await control.call({ tool: "read" }, signal);
  assert.match(error?.message ?? "", /share CORE is away: it is not mounted/);
  await assert.rejects(control.call({ tool: "raed" }, signal), { code: "tool_unknown" });
});

function listing(backend: string, listings: Partial<Listings>): CatalogSource {
  const empty = source(backend, {});
  return { ...empty, listings: { ...empty.listings, ...listings } };
}

function reportOf(...sources: CatalogSource[]) {
  const catalog = buildCatalog(sources, FIRST_WINS);
  return catalogReport(
    catalog,
    withheldEntries(catalog, [], () => true),
  );
}

test("F2 the catalog has each kind with everything that a form and a person need, and fits the contract", () => {
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

test("E3 texts are those that clients get: invisible characters are gone", () => {
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

test("F2 entries that clients do not get are listed with the reason: filters, approval, a taken name, an unavailable share", () => {
  const filters = {
    tools: { allow: null, deny: ["rm*"] },
    resources: { allow: ["file:*"], deny: [] },
  };
  const waiting = (name: string, change: "new" | "changed") => ({ kind: "tool" as const, name, change });
  const web = source("web", { tools: ["read"], resources: ["file:a"] });
  const catalog = catalogOf(
    source("files", { tools: ["read", "rm", "rm_all"], resources: ["file:a", "http:b"], filters }),
    { ...web, unapproved: [waiting("fetch", "new"), waiting("post", "changed")] },
    away("nas", { tools: ["scan", "rm_x"], filters }),
    away("down", { prompts: ["look\u202e"] }),
  );
  const silenced = (isWithheld: boolean): PendingChange => ({
    backend: "web",
    kind: "instructions",
    name: "instructions",
    change: "changed",
    isWithheld,
    digest: "d",
    definition: {},
    before: null,
  });
  assertEach(
    withheldEntries(catalog, [silenced(true), silenced(false)], (backend) => backend === "nas"),
    ({ backend, kind, name, reason, why }) => `${backend} ${kind} ${name}: ${reason}, ${why}`,
    [
      "files tool rm: filter, the server's filters hide it",
      "files tool rm_all: filter, the server's filters hide it",
      "files resource http:b: filter, the server's filters hide it",
      "web resource file:a: collision, files offers the same name, and comes first",
      "web tool fetch: approval, it is new and waits for approval",
      "web tool post: approval, it changed and waits for approval",
      "nas tool scan: share, the share that its server requires is away",
      "nas tool rm_x: filter, the server's filters hide it",
      "down prompt look: server, its server is not ready",
      "web instructions instructions: approval, it changed and waits for approval",
    ],
  );
});

test("a definition that is too large is cut and marked; the others stay whole", () => {
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

test("a catalog without bounds gives an answer of at most 8 MiB that counts the missing entries", () => {
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

test("the first withheld entries are listed, and the rest counted", () => {
  const withheld = Array.from({ length: MOST_WITHHELD + 7 }, (_, index) => ({
    backend: "files",
    kind: "tool" as const,
    name: index === 0 ? "n".repeat(5_000) : `t${index}`,
    reason: "filter" as const,
    why: "the server's filters hide it",
  }));
  const report = catalogReport(buildCatalog([], FIRST_WINS), withheld);
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

test("E3 all changes of tools are listed, the first of them with their texts", () => {
  const { changes } = toolChangesReport(gateway, null);
  assert.equal(changes.length, MOST_SHOWN + 1);
  assert.equal(changes.filter(({ members }) => members !== null).length, MOST_SHOWN);
  assert.equal(changes.at(-1)?.members, null);
  assertEach(changes.slice(0, 2), ({ published_as, before_known }) => [published_as, before_known], [
    ["files_t0", true],
    [null, false],
  ]);
});
