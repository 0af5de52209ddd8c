// Tasks of 2026-07-28 through the gateway, with a real server: whose they are, where they go, and what ends them.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { MATRIX_SERVER, startHttpFixture, TASKS_SERVER } from "./fixture-programs.ts";
import type { Json } from "./fixtures/matrix-tools.ts";
import { TASKS } from "./fixtures/task-tools.ts";
import {
  type GatewayRig,
  type GatewaySections,
  handOver,
  nodeBackend,
  type Section,
  startGatewayRig,
} from "./gateway-rig.ts";
import { ask, listenOn, textOf, type WireReply } from "./modern-wire.ts";

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

const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });
const user = (name: string): Section => ({ name, token: `\${${name.toUpperCase()}}`, roles: [name] });
const ENV = { ANN: "token-of-ann", BOB: "token-of-bob" };
const STDIO = nodeBackend(TASKS_SERVER, ["--stdio"]);

const users = (more: GatewaySections["more"] = {}): GatewaySections => ({
  backends: { jobs: STDIO },
  more: { incoming_auth: { type: "local", users: [user("ann"), user("bob")] }, ...more },
});

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

test("D1 a task is its principal's alone, and no id that was changed is taken", async (t) => {
  const rig = await startGatewayRig(t, users(), { env: ENV });
  await rig.untilReady("jobs");
  const [ann, bob] = [asks(rig, bearer(ENV.ANN)), asks(rig, bearer(ENV.BOB))];
  const taskId = begun(await ann.call("confirm_delete"));
  await untilStatus(() => ann.get(taskId), "input_required");
  const [text = "", signature = ""] = taskId.split(".");
  const theirs = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
  const changed = Buffer.from(JSON.stringify(["jobs", "greet", ...theirs.slice(2)])).toString("base64url");
  const others = [`${changed}.${signature}`, `${text}.`, text, `${taskId}x`, String(theirs[3]), ""];
  for (const [who, id] of [[bob, taskId], ...others.map((one) => [ann, one] as const)] as const) {
    for (const method of ["tasks/get", "tasks/update", "tasks/cancel"]) {
      const { error } = await who.send(method, { taskId: id, inputResponses: {} });
      assert.deepEqual([error?.code, error?.message], [UNKNOWN, `Unknown task: ${id}`], `${method} ${id}`);
    }
  }
  const listening = await listenOn(rig.url, { taskIds: [taskId] }, TAKES_TASKS, bearer(ENV.BOB));
  await eventually(() => listening.isOver);
  assert.deepEqual(
    listening.messages.map(({ method }) => method).filter((one) => one !== undefined),
    ["notifications/subscriptions/acknowledged"],
  );
  assert.equal((await ann.get(taskId)).result?.["status"], "input_required");
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
  const listening = await listenOn(rig.url, { taskIds: [near] }, TAKES_TASKS);
  await eventually(() => listening.messages.length === 1);
  const { pid } = await rig.backend("near");
  await (await rig.daemon()).gateway.restart(["near"], AbortSignal.timeout(10_000));
  await rig.untilBackend("near", (backend) => backend.pid !== pid && backend.phase === "Ready");
  const gone = await get(near);
  assert.deepEqual(
    [gone.error?.code, gone.error?.message],
    [UNKNOWN, "the task has ended: the process of backend near that had it has"],
  );
  // It listens anew, and is told then that there is no such task.
  await eventually(() => listening.isOver);

  await rig.edit({ backends: { ...backends, far: { ...far, headers: { "x-more": "1" } } }, more });
  await eventually(async () => (await get(remote)).result?.["status"] === "working");
  const elsewhere = await startHttpFixture(t, TASKS_SERVER);
  await rig.edit({ backends: { ...backends, far: { ...far, url: elsewhere.url } }, more });
  await eventually(async () => (await get(remote)).error?.code === UNAVAILABLE);
  assert.match((await get(remote)).error?.message ?? "", /at another address/u);
  await rig.edit({ backends: { near: STDIO }, more });
  assert.equal((await get(remote)).error?.code, UNKNOWN);
});

test("D1 a task begun under one daemon goes on under the next", async (t) => {
  const server = await startHttpFixture(t, TASKS_SERVER);
  const far: Section = { type: "streamable-http", url: server.url };
  const rig = await startGatewayRig(t, { backends: { far } }, { kept: true });
  await rig.untilReady("far");
  const { call, get, cancel } = asks(rig);
  const taskId = begun(await call("slow_compute", { seconds: 60 }));
  await handOver(rig);
  assert.equal((await get(taskId)).result?.["status"], "working");
  await cancel(taskId);
  await untilStatus(() => get(taskId), "cancelled");
});

test("D1 a task is its tool's: policies, groups and filters hold, and the audit names the tool", async (t) => {
  const rule = (effect: string, roles: string[]): Section => ({ effect, roles, resources: ["tool:*"] });
  const sections = (policies: readonly Section[], jobs: Section = STDIO): GatewaySections => ({
    ...users({
      authorization: { default_effect: "deny", policies },
      audit: {},
      "groups.few": { backends: ["other"] },
    }),
    backends: { jobs, other: nodeBackend(MATRIX_SERVER, ["--stdio"]) },
  });
  const rig = await startGatewayRig(t, sections([rule("allow", ["ann"])]), { env: ENV });
  await rig.untilReady("jobs", "other");
  const ann = asks(rig, bearer(ENV.ANN));
  const taskId = begun(await ann.call("confirm_delete"));
  await untilStatus(() => ann.get(taskId), "input_required");
  const seen = await eventually(async () => {
    const lines = (await readFile(path.join(rig.home.home, "audit.jsonl"), "utf8")).trim().split("\n");
    const told = lines.map((line) => JSON.parse(line)).filter(({ method }) => method !== "server/discover");
    return told.length > 1 && told;
  });
  for (const { method, target, backend, principal } of seen) {
    assert.ok(["tools/call", "tasks/get"].includes(method), method);
    assert.deepEqual([target, backend, principal], ["tool:confirm_delete", "jobs", "ann"]);
  }
  const few = asks(rig, bearer(ENV.ANN), rig.url.replace("/mcp", "/mcp/few"));
  assert.equal((await few.get(taskId)).error?.code, UNKNOWN);
  await rig.edit(sections([rule("allow", ["bob"])]));
  assert.deepEqual((await ann.get(taskId)).error?.message, `Unknown task: ${taskId}`);
  await rig.edit(
    sections([rule("allow", ["ann"])], { ...STDIO, filters: { tools: { deny: ["confirm_*"] } } }),
  );
  assert.deepEqual((await ann.get(taskId)).error?.message, `Unknown task: ${taskId}`);
  await rig.edit(sections([rule("allow", ["ann"])]));
  assert.equal((await ann.get(taskId)).result?.["status"], "input_required");
});
