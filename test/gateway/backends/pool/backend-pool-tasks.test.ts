// Requests about a task go to the process, or to the address, that has it, and nowhere else.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { BackendConfig } from "../../../../src/config/snapshot.ts";
import type { ClientHandle } from "../../../../src/gateway/client-handle.ts";
import { isError, type Reply } from "../../../../src/gateway/json-rpc.ts";
import { settle } from "../../../support/manual-clock.ts";
import { type Bench, CHANGED, ready, readyOn } from "./backend-pool-bench.ts";
import { backendConfig, callOf, createClient, errorText, fromInstance } from "./scripted-instance.ts";

const GONE = "the task has ended: the process of server a that had it has";

/** A call, and the task location of the instance that got it. */
async function locationOf(b: Bench, client: ClientHandle | null = null): Promise<string> {
  let taskLocation = "";
  const call = b.pool.call("a", { ...callOf(client), onTaskLocation: (at) => (taskLocation = at) });
  await settle();
  await b.comesUp("one");
  for (const one of b.script.started) one.answer();
  await call;
  return taskLocation;
}

function about(b: Bench, taskLocation: string, client: ClientHandle | null = null): Promise<Reply> {
  return b.pool.call("a", { ...callOf(client), taskLocation });
}

async function answered(b: Bench, reply: Promise<Reply>): Promise<unknown> {
  await settle();
  for (const one of b.script.started) one.answer();
  return fromInstance(await reply);
}

const at = (url: string, headers = {}): Partial<BackendConfig> => ({
  connection: { type: "streamable-http", url, headers },
});

describe("D1 requests about a task", () => {
  it("goes to its process, even to a drained one, and is an error when that has ended", async () => {
    const b = await ready();
    const taskLocation = await locationOf(b);
    const [first] = b.script.started;
    assert.ok(first !== undefined);
    assert.equal(await answered(b, about(b, taskLocation)), first.id);
    // A call holds the old one while the new one serves.
    const pending = b.pool.call("a", callOf());
    await b.replaced(CHANGED, "two");
    const asked = about(b, taskLocation);
    assert.equal(b.script.last.calls.length, 0);
    assert.equal(await answered(b, asked), first.id);
    await pending;
    await settle();
    assert.equal(first.isClosed, true);
    const over = await about(b, taskLocation);
    assert.deepEqual([errorText(over), isError(over) && over.error.code], [GONE, -32602]);
    assert.notEqual(await locationOf(b), taskLocation);
    const watched = await b.pool.watchTask(
      { backend: "a", taskLocation, id: "t", name: "n" },
      createClient("ann"),
    );
    assert.equal(errorText(watched), GONE);
    assert.equal(b.starts(), 2);
  });

  it("go to the process of the client that began it, whichever client asks, and start none", async () => {
    const b = await ready(backendConfig("a", { instances: "per-client" }));
    const [ann, other] = [createClient("ann"), createClient("other")];
    const taskLocation = await locationOf(b, ann);
    const [, own] = b.script.started;
    assert.equal(await answered(b, about(b, taskLocation, other)), own?.id);
    assert.equal(b.starts(), 2);
    b.pool.forget(ann);
    await settle();
    assert.equal(errorText(await about(b, taskLocation, other)), GONE);
    assert.equal(b.starts(), 2);
  });

  it("waits while a share that its process requires is unavailable", async () => {
    const b = await readyOn();
    const taskLocation = await locationOf(b);
    await b.leave();
    const asked = about(b, taskLocation);
    assert.deepEqual([b.script.last.pending.size, b.wants()], [0, 1]);
    await b.come();
    assert.equal(await answered(b, asked), b.script.last.id);
  });

  it("is refused once the gateway stops, though its process still finishes a call", async () => {
    const b = await ready();
    const taskLocation = await locationOf(b);
    const call = b.call();
    const disposed = b.pool[Symbol.asyncDispose]();
    assert.equal(errorText(await about(b, taskLocation)), "the gateway is stopping");
    b.script.last.answer();
    await Promise.all([call, disposed]);
  });

  it("goes to the server at its address now, and waits for it; at another address it does not", async () => {
    const b = await ready(backendConfig("a", at("http://one/mcp")));
    const taskLocation = await locationOf(b);
    await b.replaced(backendConfig("a", at("http://one/mcp", { "x-more": ["1"] })), "one");
    assert.equal(await answered(b, about(b, taskLocation)), b.script.last.id);
    await b.dies("broken");
    const waits = about(b, taskLocation);
    await b.clock.advance(250);
    await b.comesUp("one");
    assert.equal(await answered(b, waits), b.script.last.id);
    await b.replaced(backendConfig("a", at("http://two/mcp")), "one");
    const elsewhere = await about(b, taskLocation);
    assert.match(errorText(elsewhere), /at another address than the one in use/u);
    assert.equal(isError(elsewhere) && elsewhere.error.code, -32000);
    b.apply();
    assert.ok(isError(await about(b, taskLocation)));
  });
});
