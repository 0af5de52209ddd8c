import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { backendPhases } from "../../../src/api/client/backend-phases.ts";
import { catalogReportShape } from "../../../src/api/contract/catalog.ts";
import * as config from "../../../src/api/contract/config.ts";
import * as contract from "../../../src/api/contract/contract.ts";
import {
  approveToolsReportShape,
  displayName,
  fullName,
  isCalled,
  type ToolChange,
  toolChangesReportShape,
} from "../../../src/api/contract/tool-changes.ts";
import { OPERATIONS } from "../../../src/api/operations/table.ts";
import { objectOf } from "../../../src/runtime/text/json-object.ts";
import { gatewayReport, sampleBackend, sampleCatalog, sampleToolChange } from "../sample-gateway.ts";
import { sampleReport, sampleResult, sampleShare, secondsAgo } from "../sample-report.ts";

test("pin: the operations, their methods and paths", () => {
  assert.equal(contract.MANAGE_PREFIX, "/manage/v1");
  assert.equal(contract.EVENT_STREAM_PATH, "/manage/v1/events/stream");
  const paths = (wanted: string): string =>
    Object.values(OPERATIONS)
      .flatMap(({ method, path }) => (method === wanted ? [path] : []))
      .join(" ");
  assert.equal(
    paths("GET"),
    "status aliases tools clients questions clients/known catalog numbers fleet sync " +
      "config config/approvals config/history config/history/ secrets backup",
  );
  assert.equal(
    paths("POST"),
    "verify reconcile mount wake unmount switch restart aliases/reconcile tools/switch people people/change people/account people/request people/grants questions/answer clients/connect call tools/changes tools/approve " +
      "backends/restart backends/switch backends/logs audit numbers/series fleet/check log reload config/edit config/check " +
      "config/approve config/rollback shares/discover shares/names shares/networks shares/pair registry/search registry/server backends/address backends/import backends/login backends/login/end secrets/set secrets/remove access/link access/owner access/owner/offer access/token access/token/forget",
  );
  assert.equal(paths("PUT"), "config/text");
  assert.ok(Object.values(OPERATIONS).every(({ method }) => ["GET", "POST", "PUT"].includes(method)));
});

/** As they are printed. */
const FIELDS: readonly [shape: object, fields: string][] = [
  [contract.statusReportShape, "global shares aliases gateway backends"],
  [contract.daemonStatusShape, "version pid started_at config_path home network_events in_fleet conditions"],
  [
    contract.shareStatusShape,
    "name active_interface mount_state mount_path stable_path tb_host fb_host tb_reachable fb_reachable tb_error fb_error tb_link fb_link address_in_use " +
      "mount_alive tb_recovery_pending override last_error last_switch_at tb_reachable_since tb_healthy_since moves bytes_per_sec space " +
      "conditions explanation nas",
  ],
  [contract.conditionShape, "code severity title hint since cause share holders"],
  [contract.stepResultShape, "share result active_interface detail hint holders"],
  [contract.verifyFindingShape, "share severity code text hint"],
  [
    config.syncReportShape,
    "config_path sha256 generation watching last_sync last_error degraded file_missing waiting settings events",
  ],
  [config.syncEventShape, "id time iso generation type details"],
  [
    config.reloadReportShape,
    "reloaded dry_run generation sha256 settings shares backends middleware waiting errors failure summary",
  ],
  [config.configMistakeWireShape, "file line column path found expected hint"],
  [config.configReportShape, "path format sha256 text running_sha256"],
  [config.editReportShape, "changed path sha256 errors reload"],
  [config.historyEntryShape, "n time sha256 source summary"],
  [
    contract.gatewayStatusShape,
    "url sessions in_flight tools resources resource_templates prompts programs conditions",
  ],
  [
    contract.backendStatusShape,
    "name group type enabled phase reason since pid server protocol_version instances in_flight waiting_calls " +
      "draining calls errors latency_ms recent restarts retry_at last_error tools resources prompts withheld_tools routes " +
      "conditions explanation",
  ],
  [
    contract.clientShape,
    "name version user group protocol transport since last_heard idle calls last_error runs_scripts",
  ],
  [contract.toolsReportShape, "tools off"],
  [OPERATIONS.switchTools.output, "switched"],
  [contract.toolEntryShape, "name backend original_name description input_schema"],
  [contract.callReportShape, "result error"],
  [OPERATIONS.restart.output, "restarted"],
  [OPERATIONS.logs.output, "lines"],
  [contract.aliasStatusShape, "name share target_subpath path target link detail"],
  [toolChangesReportShape, "changes unseen lost"],
  [approveToolsReportShape, "approved skipped"],
  [catalogReportShape, "tools resources resource_templates prompts withheld left_out"],
];

test("pin: the fields of each report, in the order in which they are printed", () => {
  for (const [shape, fields] of FIELDS) {
    assert.ok("fields" in shape);
    assert.equal(Object.keys(objectOf(shape.fields)).join(" "), fields);
  }
});

test("data that the contract allows passes, even with fields that a newer daemon adds; anything else does not", () => {
  const condition = { code: "slow", severity: "warning", title: "slow", hint: null, since: secondsAgo(1) };
  const shares = (...changes: object[]): object => ({
    ...sampleReport([]),
    shares: changes.map((each) => ({ ...sampleShare(), ...each })),
  });
  const backends = (changes: object): object => ({
    ...gatewayReport(),
    backends: [{ ...sampleBackend(), ...changes }],
  });
  const changes = (change: object): object => ({
    changes: [{ ...sampleToolChange(), ...change }],
    unseen: [{ backend: "files", kind: "tool", entry: "read", faults: [] }],
    lost: null,
  });
  const [tool] = sampleCatalog().tools;
  const catalog = (change: object): object => ({ ...sampleCatalog(), tools: [{ ...tool, ...change }] });
  const status = contract.statusReportShape;
  const { override: _, ...withoutOverride } = sampleShare();
  const wrong = { ...sampleReport([]), shares: [withoutOverride] };
  const table: readonly [shape: { faultIn(value: unknown): unknown }, right: object[], wrong: object[]][] = [
    [
      status,
      [shares({ conditions: [condition, { ...condition, holders: [] }] }), { ...shares({}), fleet: [] }],
      [wrong, shares({ mount_alive: "yes" }), shares({ override: "tb" })],
    ],
    [
      status,
      [gatewayReport(), backends({ fleet: 1 })],
      [{ phase: "ready" }, { tools: "1" }, { type: "sse" }, { retry_at: 5 }].map(backends),
    ],
    [contract.stepReportShape, [{ results: [sampleResult()] }], []],
    [
      toolChangesReportShape,
      [changes({ fleet: 1 }), changes({ members: null, published_as: null })],
      [{ kind: "gone" }, { withheld: 1 }, { digest: null }, { members: [{ member: "x" }] }].map(changes),
    ],
    [
      catalogReportShape,
      [catalog({})],
      [{ input_schema: [] }, { description: null }, { backend: 1 }, { cut: "yes" }].map(catalog),
    ],
  ];
  for (const [shape, right, faulty] of table) {
    for (const value of right) assert.equal(shape.faultIn(value), null, JSON.stringify(value));
    for (const value of faulty) assert.notEqual(shape.faultIn(value), null, JSON.stringify(value));
  }
});

test("to save the daemon's memory, the server's code loads neither zod nor Node's fetch and WebSocket", () => {
  const probe = `
    import { registerHooks } from "node:module";
    const resolved = [];
    registerHooks({ resolve(specifier, context, next) { resolved.push(specifier); return next(specifier, context); } });
    const before = new Set(process.moduleLoadList);
    await import(${JSON.stringify(new URL("../../../src/api/server/server.ts", import.meta.url).href)});
    process.getBuiltinModule("node:http").createServer();
    const loaded = process.moduleLoadList.filter((name) => !before.has(name));
    console.log(resolved.length > 5, resolved.filter((name) => /zod|node:http/.test(name)));
    console.log(loaded.filter((name) => /undici/.test(name)));`;
  const run = spawnSync(process.execPath, ["--input-type=module", "-e", probe], { encoding: "utf8" });
  assert.equal(run.stdout, "true []\n[]\n", run.stderr);
});

const change = (tool: string, what?: string): ToolChange => ({
  backend: "files",
  tool,
  ...(what === undefined ? {} : { what }),
  published_as: null,
  kind: "changed",
  withheld: true,
  digest: "d",
  before_known: true,
  members: [],
});

test("E3 a pending entry is called by its own name, after its kind unless it is a tool, and with its backend", () => {
  const [tool, prompt, words] = [
    change("review"),
    change("review", "prompt"),
    change("instructions", "instructions"),
  ];
  assert.deepEqual([tool, prompt, words].map(displayName), ["review", "prompt review", "instructions"]);
  assert.deepEqual([tool, prompt, words].map(fullName), [
    "files:review",
    "files:prompt review",
    "files:instructions",
  ]);
  for (const name of ["review", "prompt review", "files:review", "files:prompt review"])
    assert.ok(isCalled(prompt, name), name);
  assert.ok(!isCalled(tool, "prompt review"));
  assert.ok(!isCalled(prompt, "web:review"));
});

test("the phases of a status are those of its enabled backends; without a gateway there are none", () => {
  const backends = [
    sampleBackend(),
    sampleBackend({ phase: "Initializing" }),
    sampleBackend({ phase: "Pending", enabled: false }),
  ];
  assert.deepEqual(backendPhases({ ...gatewayReport(), backends }), ["Ready", "Initializing"]);
  assert.equal(backendPhases(sampleReport()), null);
});

test("a status of another version is understood as far as possible", () => {
  assert.deepEqual(
    backendPhases({ gateway: {}, backends: [{ enabled: true, phase: "Dreaming" }, 3, null] }),
    ["Dreaming"],
  );
  assert.deepEqual(backendPhases({ gateway: 1, backends: {} }), []);
  for (const report of [null, 3, "x", [], {}]) assert.equal(backendPhases(report), null);
});
