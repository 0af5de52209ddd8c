import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { errorReply, isError, type Reply } from "../../../src/gateway/json-rpc.ts";
import { TaskMemory } from "../../../src/gateway/middleware/task-ids.ts";
import { source } from "../catalog/sources.ts";
import { ask, client, recordingServices, servingSet } from "./requests.ts";

const sources = [source("a", { tools: ["x"] }), source("b", { tools: ["y"] })];
const begins = (taskId: string): Reply => ({ result: { task: { taskId, status: "working" } } });

describe("tasks", () => {
  test("are asked about where they run, by the session that began them alone", async () => {
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

  test("without an id, or with one that nobody knows, are refused", async () => {
    const served = servingSet(sources, recordingServices());
    for (const params of [undefined, {}, { taskId: 1 }, { taskId: "t" }, { taskId: "x".repeat(100_000) }]) {
      const reply = await ask(served, "tasks/get", params);
      assert.equal(isError(reply) && reply.error.code, -32602);
    }
  });

  test("survive a swap of the serving set", async () => {
    const services = recordingServices(() => begins("t1"));
    await ask(servingSet(sources, services), "tools/call", { name: "x", task: {} });
    assert.ok(!isError(await ask(servingSet([], services), "tasks/get", { taskId: "t1" })));
  });

  test("are listed over all backends, page by page, without those of other sessions", async () => {
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

  test("one backend that fails hides no other's; where all fail, the first failure is told", async () => {
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

  test("a list that never ends does, and where no backend lists tasks the method is unknown", async () => {
    const endless = recordingServices(
      (_backend, { params }) => ({ result: { tasks: [], nextCursor: `${params?.["cursor"]}+` } }),
      ["a"],
    );
    assert.deepEqual(await ask(servingSet(sources, endless), "tasks/list"), { result: { tasks: [] } });
    assert.equal(endless.calls.length, 100);
    const reply = await ask(servingSet(sources, recordingServices()), "tasks/list");
    assert.equal(isError(reply) && reply.error.code, -32601);
  });
});

describe("the memory of tasks", () => {
  test("is bounded: what was not asked for the longest goes first", () => {
    const tasks = new TaskMemory(2);
    const one = client();
    tasks.remember(one, "t1", "a");
    tasks.remember(one, "t2", "a");
    assert.equal(tasks.backendOf(one, "t1"), "a");
    tasks.remember(one, "t3", "b");
    assert.equal(tasks.backendOf(one, "t2"), null);
    assert.equal(tasks.backendOf(one, "t1"), "a");
    assert.equal(tasks.backendOf(one, "t3"), "b");
  });

  test("does not mix sessions, whatever their ids and the tasks' hold", () => {
    const tasks = new TaskMemory();
    tasks.remember(client(undefined, 's","t'), "x", "a");
    assert.equal(tasks.backendOf(client(undefined, "s"), 't","x'), null);
  });
});
