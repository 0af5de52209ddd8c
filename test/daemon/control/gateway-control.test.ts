import assert from "node:assert/strict";
import { test } from "node:test";
import { createGatewayControl } from "../../../src/daemon/control/gateway-control.ts";
import type { RequiredData } from "../../../src/gateway/backends/policy/required-data.ts";
import { createGateway } from "../../../src/gateway/serving/gateway.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { backendConfig, createScript } from "../../gateway/backends/pool/scripted-instance.ts";
import { memoryStore } from "../../gateway/pins/tools.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { passTimeUntilSettled } from "../../support/pass-time.ts";

test("E3 tools that wait are told with their texts, approved as they were seen, and not while the keyring is locked", async (t) => {
  const clock = createManualClock();
  const script = createScript();
  const store = memoryStore({ kind: "unanswered", reason: "it is locked" });
  const gateway = createGateway(
    {
      clock,
      logger: silentLogger,
      environment: {},
      redact() {},
      announce() {},
      version: "1",
      listens: false,
      pinStore: store,
    },
    {
      startInstance: script.start,
      openLink: () => () => assert.fail("no link is opened"),
      random: () => 0.5,
    },
  );
  t.after(() => passTimeUntilSettled(clock, gateway[Symbol.asyncDispose](), 1_000));
  const control = createGatewayControl(() => gateway);
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
  assert.deepEqual(write?.members, [{ member: "name", before: null, after: "write" }]);
  assert.deepEqual((await control.toolChanges({ tools: ["nothing"] })).changes, []);
  const report = await control.approveTools({
    items: [{ backend: "files", tool: "write", digest: write?.digest ?? "" }],
  });
  assert.equal(report.approved.length, 1);
  assertEach(gateway.entries().tools, ({ name }) => name, ["read", "write"]);
});

test("C1 a call by hand of a tool whose share is away names the share; one of a tool that is none says what there is", async (t) => {
  const clock = createManualClock();
  const script = createScript();
  const listeners: (() => void)[] = [];
  let data: RequiredData = { kind: "there", mounts: "1" };
  const gateway = createGateway(
    {
      clock,
      logger: silentLogger,
      environment: {},
      redact() {},
      announce() {},
      version: "1",
      listens: false,
      data: { look: () => data, onChange: (listener) => void listeners.push(listener) },
    },
    {
      startInstance: script.start,
      openLink: () => () => assert.fail("no link is opened"),
      random: () => 0.5,
    },
  );
  t.after(() => passTimeUntilSettled(clock, gateway[Symbol.asyncDispose](), 1_000));
  const control = createGatewayControl(() => gateway);
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
