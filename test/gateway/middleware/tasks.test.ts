import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import type { AuthorizationConfig } from "../../../src/config/snapshot.ts";
import type { PoolCall } from "../../../src/gateway/backends/policy/backend-pool-contract.ts";
import { ANONYMOUS, type ClientHandle } from "../../../src/gateway/client-handle.ts";
import { errorReply, isError, type JsonObject, type Reply } from "../../../src/gateway/json-rpc.ts";
import type { ServingSet } from "../../../src/gateway/middleware/middleware.ts";
import { type OpenTask, TaskIds, TaskMemory } from "../../../src/gateway/middleware/task-ids.ts";
import { MODERN_VERSION, TASKS_EXTENSION } from "../../../src/gateway/protocol.ts";
import { assertEach } from "../../support/assert-each.ts";
import { source } from "../catalog/sources.ts";
import { ask, callPort, client, ownersIn, recordingServices, servingSet, user } from "./requests.ts";

const sources = [source("a", { tools: ["x"] }), source("b", { tools: ["y"] })];
const TAKES_TASKS = { extensions: { [TASKS_EXTENSION]: {} } };
const CREATED: JsonObject = { resultType: "task", taskId: "t1", status: "working", ttlMs: 1 };

/** A server that answers calls with a task, and tells of it. */
const asTask = (backend: string, { method, onTaskLocation }: PoolCall): Reply => {
  onTaskLocation?.(`location of ${backend}`);
  if (method === "tools/call") return { result: CREATED };
  return { result: method === "tasks/get" ? { taskId: "t1", status: "working" } : {} };
};

const ann: ClientHandle = { ...client(user("ann")), protocolVersion: MODERN_VERSION, publicId: "of ann" };

function asked(
  served: ServingSet,
  method: string,
  params: JsonObject,
  { from = ann, declared = TAKES_TASKS }: { from?: ClientHandle; declared?: JsonObject } = {},
): Promise<Reply> {
  const handle = { ...callPort(from), declared };
  const task = served.taskOf(from.principal, method, params);
  const request = { method, params, handle, signal: new AbortController().signal, served };
  return served.handle(task === null ? request : { ...request, task });
}

async function begun(served: ServingSet): Promise<string> {
  const reply = await asked(served, "tools/call", { name: "y" });
  assert.ok(!isError(reply), JSON.stringify(reply));
  return String(reply.result["taskId"]);
}

const codeOf = (reply: Reply): unknown => isError(reply) && reply.error.code;

test("D1 tasks of 2026-07-28 go to the instance that runs them, under the server's own id there and ours here", async () => {
  const locations: unknown[] = [];
  const services = recordingServices((backend, call) => {
    locations.push(call.taskLocation);
    return asTask(backend, call);
  });
  const served = servingSet(sources, services);
  const taskId = await begun(served);
  assert.deepEqual(services.taskIds.open(taskId, ann.principal), {
    backend: "b",
    tool: "y",
    originalTool: "y",
    id: "t1",
    taskLocation: "location of b",
    mark: "of ann",
  });
  assert.deepEqual(await asked(served, "tasks/get", { taskId }), { result: { taskId, status: "working" } });
  assert.deepEqual(await asked(served, "tasks/update", { taskId, inputResponses: {} }), { result: {} });
  assert.deepEqual(await asked(served, "tasks/cancel", { taskId }), { result: {} });
  assertEach(services.calls, ({ backend, what, params }) => [backend, what, params?.["taskId"]], [
    ["b", "tools/call", undefined],
    ["b", "tasks/get", "t1"],
    ["b", "tasks/update", "t1"],
    ["b", "tasks/cancel", "t1"],
  ]);
  assert.deepEqual(locations.slice(1), ["location of b", "location of b", "location of b"]);
});

test("D1 tasks of 2026-07-28 are unowned once their tool is gone, and wait for a backend that lists nothing", async () => {
  const services = recordingServices(asTask);
  const taskId = await begun(servingSet(sources, services));
  const get = (served: ServingSet): Promise<Reply> => asked(served, "tasks/get", { taskId });
  const withoutTool = servingSet([source("b", { tools: ["z"] })], services);
  assert.equal(codeOf(await get(withoutTool)), -32602);
  const notConfigured = servingSet([source("a", { tools: ["x"] })], services);
  assert.equal(codeOf(await get(notConfigured)), -32602);
  const notYet = servingSet([source("a", { tools: ["x"] })], services, { backends: ["a", "b"] });
  assert.equal(codeOf(await get(notYet)), false);
  // Published under another name by now.
  const renamed = servingSet([source("a", { tools: ["y"] }), source("b", { tools: ["y"] })], services, {
    conflict: { strategy: "prefix" },
  });
  assert.equal(codeOf(await get(renamed)), false);
});

test("D1 tasks of 2026-07-28 are open to any caller that may call the tool, whatever the arguments; a person is asked once", async () => {
  const services = recordingServices(asTask);
  const taskId = await begun(servingSet(sources, services));
  const policy = (effect: "allow" | "ask" | "deny", resources: readonly string[]) =>
    ({ effect, roles: null, resources, methods: null }) as const;
  const code = async (
    policies: AuthorizationConfig["policies"],
    list = sources,
    method = "tasks/get",
  ): Promise<unknown> => {
    const authorization = { defaultEffect: "deny", policies } as const;
    const ruleOwners = ownersIn(sources, { authorization });
    const options = { authorization, ruleOwners, backends: ["a", "b"] } as const;
    return codeOf(await asked(servingSet(list, services, options), method, { taskId }));
  };
  assert.equal(await code([policy("allow", ["tool:y"])]), false);
  assert.equal(await code([policy("ask", ["tool:y"])]), false);
  assert.equal(await code([{ ...policy("allow", ["tool:y"]), arguments: { path: ["/tmp/*"] } }]), false);
  for (const method of ["tasks/get", "tasks/update", "tasks/cancel"])
    assert.equal(await code([policy("allow", ["tool:x"])], sources, method), -32602);
  // By its name alone, where its backend has listed nothing.
  assert.equal(await code([policy("allow", ["tool:x"])], []), -32602);
  assert.equal(await code([policy("allow", ["tool:y"])], []), false);
});

test("D1 tasks of 2026-07-28 are not requested without the extension", async () => {
  const services = recordingServices(asTask);
  const served = servingSet(sources, services);
  const taskId = await begun(served);
  for (const method of ["tasks/get", "tasks/update", "tasks/cancel"]) {
    const missing = await asked(served, method, { taskId }, { declared: {} });
    assert.deepEqual(isError(missing) && [missing.error.code, missing.error.data], [
      -32021,
      { requiredCapabilities: TAKES_TASKS },
    ]);
  }
});

test("D1 tasks of 2026-07-28 without an id, or with one that does not fit a header, are an error of their server", async () => {
  for (const taskId of [undefined, 1, "x".repeat(2_000)]) {
    const services = recordingServices(() => ({ result: { ...CREATED, taskId } }));
    const reply = await asked(servingSet(sources, services), "tools/call", { name: "y" });
    assert.ok(isError(reply) && /id is missing, or too long/u.test(reply.error.message));
  }
  const served = servingSet(sources, recordingServices());
  for (const params of [{}, { taskId: 1 }])
    assert.equal(codeOf(await asked(served, "tasks/get", params)), -32602);
});

test("D1 tasks of 2026-07-28 of a call that waited, and has moved to another backend, belong to that backend", async () => {
  const moved = servingSet([source("a", { tools: ["y"] })], recordingServices());
  const services = {
    ...recordingServices((backend, call) => {
      if (backend === "a") return asTask(backend, call);
      const renewed = call.renew?.(false);
      assert.ok(renewed !== undefined && renewed.answer !== null);
      return renewed.answer;
    }),
    catalog: () => moved.catalog,
  };
  const taskId = await begun(servingSet(sources, services));
  const task = services.taskIds.open(taskId, ann.principal);
  assert.deepEqual([task?.backend, task?.taskLocation], ["a", "location of a"]);
});

test("D1 tasks of 2026-07-28 belong to the other version for a client of it, and its own methods are unknown there", async () => {
  const services = recordingServices(asTask);
  const served = servingSet([source("b", { tools: ["y"] })], services);
  const taskId = await begun(served);
  const from = client(user("ann"));
  assert.equal(codeOf(await asked(served, "tasks/get", { taskId }, { from })), -32602);
  for (const method of ["tasks/update", "tasks/watch", "tasks/unwatch"])
    assert.equal(codeOf(await asked(served, method, { taskId }, { from })), -32601, method);
  assert.equal(services.calls.length, 1);
});

test("D1 tasks of 2026-07-28 are watched at their backend, by any caller that may request them", async () => {
  const services = recordingServices(asTask);
  const served = servingSet(sources, services);
  const taskId = await begun(served);
  assert.deepEqual(await asked(served, "tasks/watch", { taskId }), { result: {} });
  assert.deepEqual(services.calls.at(-1), { backend: "b", what: "watchTask", params: { id: "t1" } });
  assert.equal(codeOf(await asked(served, "tasks/watch", { taskId: "t1" })), -32602);
});

const begins = (taskId: string): Reply => ({ result: { task: { taskId, status: "working" } } });

test("tasks are requested where they run, and only by the session that began them", async () => {
  const services = recordingServices((_backend, { method }) =>
    method === "tools/call" ? begins("t1") : { result: { status: "completed" } },
  );
  const served = servingSet(sources, services);
  const ann = client();
  const bob = client(undefined, "session-2");
  await ask(served, "tools/call", { name: "y", task: { ttl: 1 } }, ann);
  for (const method of ["tasks/get", "tasks/result", "tasks/cancel"]) {
    assert.ok(!isError(await ask(served, method, { taskId: "t1" }, ann)));
    assert.equal(services.calls.at(-1)?.backend, "b");
    assert.deepEqual(
      await ask(served, method, { taskId: "t1" }, bob),
      errorReply(-32602, "Unknown task: t1"),
    );
  }
  assert.equal(services.calls.length, 4);
});

test("tasks without an id, or with an unknown one, are refused", async () => {
  const served = servingSet(sources, recordingServices());
  for (const params of [undefined, {}, { taskId: 1 }, { taskId: "t" }, { taskId: "x".repeat(100_000) }]) {
    const reply = await ask(served, "tasks/get", params);
    assert.equal(isError(reply) && reply.error.code, -32602);
  }
});

test("tasks survive a swap of the serving set", async () => {
  const services = recordingServices(() => begins("t1"));
  await ask(servingSet(sources, services), "tools/call", { name: "x", task: {} });
  assert.ok(!isError(await ask(servingSet([], services), "tasks/get", { taskId: "t1" })));
});

test("tasks are listed over all backends, page by page, without those of other sessions", async () => {
  const services = recordingServices(
    (backend, { method, params }) => {
      if (method === "tools/call") return begins(`${backend}-mine`);
      if (params?.["cursor"] === undefined) {
        return { result: { tasks: [{ taskId: `${backend}-theirs` }], nextCursor: "2" } };
      }
      return { result: { tasks: [{ taskId: `${backend}-mine`, ttl: 1 }] } };
    },
    ["a", "b"],
  );
  const served = servingSet(sources, services);
  await ask(served, "tools/call", { name: "x", task: {} });
  await ask(served, "tools/call", { name: "y", task: {} });
  assert.deepEqual(await ask(served, "tasks/list"), {
    result: {
      tasks: [
        { taskId: "a-mine", ttl: 1 },
        { taskId: "b-mine", ttl: 1 },
      ],
    },
  });
  assert.deepEqual(await ask(served, "tasks/list", {}, client(undefined, "session-2")), {
    result: { tasks: [] },
  });
  assert.deepEqual(await ask(served, "tasks/list", { cursor: "2" }), errorReply(-32602, "Invalid cursor"));
});

test("tasks: one backend that fails hides no other's; where all fail, the first failure is reported", async () => {
  const failing = errorReply(-32000, "gone");
  const services = recordingServices(
    (backend, { method }) =>
      method === "tools/call"
        ? begins("t1")
        : backend === "a"
          ? failing
          : { result: { tasks: [{ taskId: "t1" }] } },
    ["a", "b"],
  );
  const served = servingSet(sources, services);
  await ask(served, "tools/call", { name: "y", task: {} });
  assert.deepEqual(await ask(served, "tasks/list"), { result: { tasks: [{ taskId: "t1" }] } });
  assert.deepEqual(
    await ask(
      servingSet(
        sources,
        recordingServices(() => failing, ["a"]),
      ),
      "tasks/list",
    ),
    failing,
  );
});

test("tasks: an endless list ends, and where no backend lists tasks the method is unknown", async () => {
  const endless = recordingServices(
    (_backend, { params }) => ({ result: { tasks: [], nextCursor: `${params?.["cursor"]}+` } }),
    ["a"],
  );
  assert.deepEqual(await ask(servingSet(sources, endless), "tasks/list"), { result: { tasks: [] } });
  assert.equal(endless.calls.length, 100);
  const same = recordingServices(() => ({ result: { tasks: [], nextCursor: "2" } }), ["a"]);
  await ask(servingSet(sources, same), "tasks/list");
  assert.equal(same.calls.length, 2, "a page that leads to itself is the last");
  const reply = await ask(servingSet(sources, recordingServices()), "tasks/list");
  assert.equal(isError(reply) && reply.error.code, -32601);
});

const from = (backend: string) => ({ backend, tool: "t", originalTool: "t" });

test("the memory of tasks is bounded: the principal with most loses its least recently requested", () => {
  const tasks = new TaskMemory(4);
  const [one, bob] = [client(), client(user("bob"), "bobs")];
  tasks.remember(bob, "t0", from("a"));
  for (const id of ["t1", "t2", "t3"]) tasks.remember(one, id, from("a"));
  assert.equal(tasks.originOf(one, "t1")?.backend ?? null, "a");
  tasks.remember(one, "t4", from("b"));
  assert.equal(tasks.originOf(one, "t2")?.backend ?? null, null);
  assert.equal(tasks.originOf(one, "t1")?.backend ?? null, "a");
  assert.equal(tasks.originOf(one, "t4")?.backend ?? null, "b");
  assert.equal(tasks.originOf(bob, "t0")?.backend ?? null, "a");
  for (const [length, kept] of [
    [1_024, "b"],
    [1_025, null],
  ] as const) {
    tasks.remember(one, "x".repeat(length), from("b"));
    assert.equal(tasks.originOf(one, "x".repeat(length))?.backend ?? null, kept, "ids are bounded, too");
  }
});

test("the memory of tasks does not mix sessions, whatever their ids and the tasks' contents", () => {
  const tasks = new TaskMemory();
  tasks.remember(client(undefined, 's","t'), "x", from("a"));
  assert.equal(tasks.originOf(client(undefined, "s"), 't","x')?.backend ?? null, null);
});

const key = (): string => randomBytes(32).toString("base64url");
const TASK: OpenTask = {
  backend: "ü",
  tool: "x",
  originalTool: "y",
  id: "t/1 ✓",
  taskLocation: "h",
  mark: null,
};

test("D1 an id of a task says where it is, only to its principal, and to each daemon with the key", () => {
  const own = key();
  const [ids, next, other] = [own, own, key()].map((one) => new TaskIds(() => one));
  const sealed = ids?.seal(TASK, user("ann", "old")) ?? "";
  assert.match(sealed, /^[\w-]+\.[\w-]{43}$/u);
  assert.deepEqual(ids?.open(sealed, user("ann", "new")), TASK);
  assert.deepEqual(next?.open(sealed, user("ann")), TASK);
  assert.equal(other?.open(sealed, user("ann")), null);
  for (const principal of [user("bob"), ANONYMOUS]) assert.equal(ids?.open(sealed, principal), null);
});

test("D1 an id of a task that was changed, or is invalid, is not read", () => {
  const own = key();
  const ids = new TaskIds(() => own);
  const sealed = ids.seal(TASK, ANONYMOUS) ?? "";
  for (let at = 0; at < sealed.length; at++) {
    const other = sealed[at] === "A" ? "B" : "A";
    assert.equal(ids.open(`${sealed.slice(0, at)}${other}${sealed.slice(at + 1)}`, ANONYMOUS), null);
  }
  for (const token of [undefined, 1, {}, "", ".", `${sealed}=`, `.${sealed}`, "x".repeat(100_000)])
    assert.equal(ids.open(token, ANONYMOUS), null);
});

test("D1 an id of a server that does not fit a header is not passed on", () => {
  const ids = new TaskIds(key);
  assert.notEqual(ids.seal({ ...TASK, id: "x".repeat(1_024) }, ANONYMOUS), null);
  assert.equal(ids.seal({ ...TASK, id: "x".repeat(1_025) }, ANONYMOUS), null);
});
