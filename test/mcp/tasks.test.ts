// Tasks of 2026-07-28 through the gateway, with a real server: whose they are, where they go, and what ends them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { MATRIX_SERVER, startHttpFixture, TASKS_SERVER } from "./fixture-programs.ts";
import type { Json } from "./fixtures/matrix-tools.ts";
import { TASKS } from "./fixtures/task-tools.ts";
import { type GatewayRig, nodeBackend, type Section, startGatewayRig } from "./gateway-rig.ts";
import { ask, textOf, type WireReply } from "./modern-wire.ts";

type Headers = Readonly<Record<string, string>>;

const TAKES_TASKS = { elicitation: { form: {} }, extensions: { [TASKS]: {} } };
const UNKNOWN = -32602;
const UNAVAILABLE = -32000;

const asks = (rig: GatewayRig, headers: Headers = {}, url = rig.url) => {
  const send = (method: string, params: Json = {}) =>
    ask(url, method, params, { headers, capabilities: TAKES_TASKS });
  return {
    send,
    call: (name: string, given: Json = {}) => send("tools/call", { name, arguments: given }),
    get: (taskId: string) => send("tasks/get", { taskId }),
    cancel: (taskId: string) => send("tasks/cancel", { taskId }),
  };
};

/** The id of the task that the call began. */
function begun({ result, error }: WireReply): string {
  assert.equal(result?.["resultType"], "task", JSON.stringify(result ?? error));
  return String(result?.["taskId"]);
}

async function untilStatus(get: () => Promise<WireReply>, status: string): Promise<Json> {
  let task: Json = {};
  await eventually(async () => {
    const { result, error } = await get();
    assert.equal(error, undefined, JSON.stringify(error));
    task = result ?? {};
    return task["status"] === status;
  });
  return task;
}

const STDIO = nodeBackend(TASKS_SERVER, ["--stdio"]);

test("D1 a task is found by an id of the gateway's, asked, answered and cancelled; without the extension there is none", async (t) => {
  const rig = await startGatewayRig(t, {
    backends: { jobs: STDIO, other: nodeBackend(MATRIX_SERVER, ["--stdio"]) },
  });
  await rig.untilReady("jobs", "other");
  const { send, call, get, cancel } = asks(rig);
  const discovered = await send("server/discover");
  const { extensions } = (discovered.result?.["capabilities"] ?? {}) as Json;
  assert.deepEqual((extensions as Json)[TASKS], {});
  const taskId = begun(await call("confirm_delete", { filename: "x" }));
  const task = await untilStatus(() => get(taskId), "input_required");
  assert.equal(task["taskId"], taskId);
  assert.deepEqual(Object.keys(task["inputRequests"] as Json), ["confirm"]);
  const inputResponses = { confirm: { action: "accept", content: { confirm: true } } };
  const updated = await send("tasks/update", { taskId, inputResponses });
  assert.equal(updated.result?.["resultType"], "complete");
  const { result } = await untilStatus(() => get(taskId), "completed");
  assert.match(textOf({ status: 200, notices: [], result: result as Json }), /"confirm":true/u);
  const long = begun(await call("slow_compute", { seconds: 60 }));
  await cancel(long);
  await untilStatus(() => get(long), "cancelled");

  const plain = await ask(rig.url, "tools/call", {
    name: "slow_compute",
    arguments: { seconds: 0, label: "x" },
  });
  assert.equal(textOf(plain), "computed x");
  for (const method of ["tasks/get", "tasks/update", "tasks/cancel"]) {
    const { status, error } = await ask(rig.url, method, { taskId });
    assert.deepEqual([status, error?.code], [400, -32021], method);
    const { extensions: needed } = ((error?.data ?? {}) as Json)["requiredCapabilities"] as Json;
    assert.deepEqual(needed, { [TASKS]: {} });
  }
  for (const method of ["tasks/list", "tasks/result", "tasks/watch", "tasks/unwatch"]) {
    const { status, error } = await send(method, { taskId });
    assert.deepEqual([status, error?.code], [404, -32601], method);
  }
});

test("D1 a task ends with its server's process, and outlives a reload where its server is elsewhere", async (t) => {
  const server = await startHttpFixture(t, TASKS_SERVER);
  const far: Section = { type: "streamable-http", url: server.url };
  const backends = { near: STDIO, far };
  const more = { conflict_resolution: { strategy: "prefix" } };
  const rig = await startGatewayRig(t, { backends, more });
  await rig.untilReady("near", "far");
  const { call, get } = asks(rig);
  const near = begun(await call("near_slow_compute", { seconds: 60 }));
  const remote = begun(await call("far_slow_compute", { seconds: 60 }));
  const { pid } = await rig.backend("near");
  await (await rig.daemon()).ask("restart", { backends: ["near"] }, AbortSignal.timeout(10_000));
  await rig.untilBackend("near", (backend) => backend.pid !== pid && backend.phase === "Ready");
  const gone = await get(near);
  assert.deepEqual(
    [gone.error?.code, gone.error?.message],
    [UNKNOWN, "the task has ended: the process of backend near that had it has"],
  );

  await rig.edit({ backends: { ...backends, far: { ...far, headers: { "x-more": "1" } } }, more });
  await eventually(async () => (await get(remote)).result?.["status"] === "working");
  const elsewhere = await startHttpFixture(t, TASKS_SERVER);
  await rig.edit({ backends: { ...backends, far: { ...far, url: elsewhere.url } }, more });
  await eventually(async () => (await get(remote)).error?.code === UNAVAILABLE);
  assert.match((await get(remote)).error?.message ?? "", /at another address/u);
  await rig.edit({ backends: { near: STDIO }, more });
  assert.equal((await get(remote)).error?.code, UNKNOWN);
});
