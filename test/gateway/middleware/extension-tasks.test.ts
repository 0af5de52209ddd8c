import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AuthorizationConfig } from "../../../src/config/snapshot.ts";
import type { PoolCall } from "../../../src/gateway/backends/policy/backend-pool-contract.ts";
import type { ClientPort } from "../../../src/gateway/client-port.ts";
import { isError, type JsonObject, type Reply } from "../../../src/gateway/json-rpc.ts";
import type { ServingSet } from "../../../src/gateway/middleware/middleware.ts";
import { MODERN_VERSION, TASKS_EXTENSION } from "../../../src/gateway/protocol.ts";
import { source } from "../catalog/sources.ts";
import { callPort, client, recordingServices, servingSet, user } from "./requests.ts";

const sources = [source("a", { tools: ["x"] }), source("b", { tools: ["y"] })];
const TAKES_TASKS = { extensions: { [TASKS_EXTENSION]: {} } };
const CREATED: JsonObject = { resultType: "task", taskId: "t1", status: "working", ttlMs: 1 };

/** A server that answers calls with a task, and tells of it. */
const asTask = (backend: string, { method, onHome }: PoolCall): Reply => {
  onHome?.(`home of ${backend}`);
  if (method === "tools/call") return { result: CREATED };
  return { result: method === "tasks/get" ? { taskId: "t1", status: "working" } : {} };
};

const ann: ClientPort = { ...client(user("ann")), protocolVersion: MODERN_VERSION, mark: "of ann" };

function asked(
  served: ServingSet,
  method: string,
  params: JsonObject,
  { from = ann, declared = TAKES_TASKS }: { from?: ClientPort; declared?: JsonObject } = {},
): Promise<Reply> {
  const port = { ...callPort(from), declared };
  const task = served.taskOf(from.principal, method, params);
  const request = { method, params, port, signal: new AbortController().signal, served };
  return served.handle(task === null ? request : { ...request, task });
}

async function begun(served: ServingSet): Promise<string> {
  const reply = await asked(served, "tools/call", { name: "y" });
  assert.ok(!isError(reply), JSON.stringify(reply));
  return String(reply.result["taskId"]);
}

const codeOf = (reply: Reply): unknown => isError(reply) && reply.error.code;

describe("D1 tasks of 2026-07-28", () => {
  test("go to the home that has them, under the server's own id there and ours here", async () => {
    const homes: unknown[] = [];
    const services = recordingServices((backend, call) => {
      homes.push(call.home);
      return asTask(backend, call);
    });
    const served = servingSet(sources, services);
    const taskId = await begun(served);
    assert.deepEqual(services.taskIds.open(taskId, ann.principal), {
      backend: "b",
      tool: "y",
      originalTool: "y",
      id: "t1",
      home: "home of b",
      mark: "of ann",
    });
    assert.deepEqual(await asked(served, "tasks/get", { taskId }), {
      result: { taskId, status: "working" },
    });
    assert.deepEqual(await asked(served, "tasks/update", { taskId, inputResponses: {} }), { result: {} });
    assert.deepEqual(await asked(served, "tasks/cancel", { taskId }), { result: {} });
    assert.deepEqual(
      services.calls.map(({ backend, what, params }) => [backend, what, params?.["taskId"]]),
      [
        ["b", "tools/call", undefined],
        ["b", "tasks/get", "t1"],
        ["b", "tasks/update", "t1"],
        ["b", "tasks/cancel", "t1"],
      ],
    );
    assert.deepEqual(homes.slice(1), ["home of b", "home of b", "home of b"]);
  });

  test("are nobody's whose tool is gone, and wait for a backend that lists nothing", async () => {
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
      conflict: { strategy: "prefix", separator: "_", order: [], longestName: 46 },
    });
    assert.equal(codeOf(await get(renamed)), false);
  });

  test("are reached by whoever may call the tool, whatever the arguments; a person is asked once", async () => {
    const services = recordingServices(asTask);
    const taskId = await begun(servingSet(sources, services));
    const policy = (effect: "allow" | "ask" | "deny", resources: readonly string[]) =>
      ({ effect, roles: null, resources, methods: null }) as const;
    const code = async (
      policies: AuthorizationConfig["policies"],
      list = sources,
      method = "tasks/get",
    ): Promise<unknown> => {
      const options = { authorization: { defaultEffect: "deny", policies }, backends: ["a", "b"] } as const;
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

  test("are not asked for without the extension", async () => {
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

  test("without an id, or with one that no header could carry, are an error of their server", async () => {
    for (const taskId of [undefined, 1, "x".repeat(2_000)]) {
      const services = recordingServices(() => ({ result: { ...CREATED, taskId } }));
      const reply = await asked(servingSet(sources, services), "tools/call", { name: "y" });
      assert.ok(isError(reply) && /id is missing, or too long/u.test(reply.error.message));
    }
    const served = servingSet(sources, recordingServices());
    for (const params of [{}, { taskId: 1 }])
      assert.equal(codeOf(await asked(served, "tasks/get", params)), -32602);
  });

  test("of a call that waited, and moved to another backend meanwhile, are that one's", async () => {
    const moved = servingSet([source("a", { tools: ["y"] })], recordingServices());
    const services = {
      ...recordingServices((backend, call) => {
        if (backend === "a") return asTask(backend, call);
        const renewed = call.renew?.();
        assert.ok(renewed !== undefined && renewed.answer !== null);
        return renewed.answer;
      }),
      catalog: () => moved.catalog,
    };
    const taskId = await begun(servingSet(sources, services));
    const task = services.taskIds.open(taskId, ann.principal);
    assert.deepEqual([task?.backend, task?.home], ["a", "home of a"]);
  });

  test("are the other version's to a client of it, and its own methods are unknown there", async () => {
    const services = recordingServices(asTask);
    const served = servingSet([source("b", { tools: ["y"] })], services);
    const taskId = await begun(served);
    const from = client(user("ann"));
    assert.equal(codeOf(await asked(served, "tasks/get", { taskId }, { from })), -32602);
    for (const method of ["tasks/update", "tasks/watch", "tasks/unwatch"])
      assert.equal(codeOf(await asked(served, method, { taskId }, { from })), -32601, method);
    assert.equal(services.calls.length, 1);
  });

  test("are listened for where they are, by whoever may ask for them", async () => {
    const services = recordingServices(asTask);
    const served = servingSet(sources, services);
    const taskId = await begun(served);
    assert.deepEqual(await asked(served, "tasks/watch", { taskId }), { result: {} });
    assert.deepEqual(services.calls.at(-1), { backend: "b", what: "watchTask", params: { id: "t1" } });
    assert.equal(codeOf(await asked(served, "tasks/watch", { taskId: "t1" })), -32602);
  });
});
