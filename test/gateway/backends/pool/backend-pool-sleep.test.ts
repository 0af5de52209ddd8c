// Servers whose lists are remembered: published before they run, started on demand, stopped when idle.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { BackendConfig } from "../../../../src/config/snapshot.ts";
import { ListCache } from "../../../../src/gateway/backends/list-cache/list-cache.ts";
import { transportFailure } from "../../../../src/gateway/backends/transports/backend-transport.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";
import { type Bench, bench } from "./backend-pool-bench.ts";
import { backendConfig, callOf, createClient } from "./scripted-instance.ts";

const IDLE_MS = 60_000;
const ASKED_MS = 5_000;
const DAY_MS = 86_400_000;
const NEEDED: Partial<BackendConfig> = { start: "on-demand" };
const STOPPED: Partial<BackendConfig> = { start: "on-demand", stopWhenIdleMs: IDLE_MS };

/** What an earlier run has left. */
async function remembers(...tools: string[]): Promise<ListCache> {
  const remembered = new ListCache({ clock: createManualClock(), logger: noopLogger });
  const b = bench({}, { remembered });
  await b.applied(backendConfig("a"));
  await b.comesUp(...tools);
  await b.pool[Symbol.asyncDispose]();
  return remembered;
}

async function begun(change: Parameters<typeof backendConfig>[1], ...tools: string[]): Promise<Bench> {
  const b = bench({}, { remembered: await remembers(...tools) });
  b.apply(backendConfig("a", change));
  return b;
}

describe("remembered lists", () => {
  it("B2 a start publishes a server's last lists before anything runs, and calls wait for it", async () => {
    const b = await begun({}, "one");
    b.is({ names: ["one"], starts: 0 });
    await settle();
    b.is({ names: ["one"], starts: 1, phase: "Initializing" });
    const call = b.call();
    assert.equal(b.script.last.options.listings, b.pool.published[0]?.listings);
    let changes = 0;
    b.pool.onPublished(() => changes++);
    await b.comesUp("one");
    assert.deepEqual([await b.answered(call), changes], [1, 0]);
  });

  it("D5 a list request wakes no server, and waits for a slow one for a second", async () => {
    const b = await begun(NEEDED, "one");
    await settle();
    assert.equal(b.pool.readDueLists(["tools"]), null);
    b.is({ phase: "Asleep", starts: 0, names: ["one"] });
    void b.call();
    await settle();
    await b.comesUp("one");
    b.script.last.reading = new Promise(() => {});
    let isOver = false;
    void b.pool.readDueLists(["tools"])?.then(() => {
      isOver = true;
    });
    await b.clock.advance(999);
    assert.equal(isOver, false);
    await b.clock.advance(1);
    assert.equal(isOver, true);
  });

  it("B2 different lists of the server are one change", async () => {
    const b = await begun({}, "one");
    await settle();
    let changes = 0;
    b.pool.onPublished(() => changes++);
    await b.comesUp("one", "two");
    assert.deepEqual([b.names(), changes], [["one", "two"], 1]);
  });

  it("B2 another connection does not share them", async () => {
    const b = await begun({ command: "other" }, "one");
    await settle();
    b.is({ names: [], phase: "Initializing" });
  });
});

describe("on demand", () => {
  it("B2 a caller that waits for a start is notified of it, and looks up the tool again before the call continues", async () => {
    const b = await begun(NEEDED, "one");
    await settle();
    const heard: unknown[] = [];
    const renewed: boolean[] = [];
    const { handle, ...call } = callOf(createClient("0"));
    assert.ok(handle !== null);
    const meant = {
      ...{ ...call, params: { name: "one", _meta: { progressToken: "p" } } },
      handle: { ...handle, notify: (method: string, params: unknown) => void heard.push([method, params]) },
      renew: (hasStarted: boolean) => {
        renewed.push(hasStarted);
        return { params: { name: "two" }, answer: null };
      },
    };
    const reply = b.pool.call("a", meant);
    await b.clock.advance(6_000);
    assert.deepEqual([heard.length, renewed], [2, []]);
    assert.deepEqual(heard[0], [
      "notifications/progress",
      { progressToken: "p", progress: 0, message: "a is being started" },
    ]);
    await b.comesUp("one");
    await b.clock.advance(60_000 - 6_000 - 1);
    assert.deepEqual([heard.length, renewed], [2, [true]]);
    assert.deepEqual(b.script.last.calls[0]?.params, { name: "two" });
    assert.equal(await b.answered(reply), 1);
    // While it runs, nothing is looked up for a call.
    assert.equal(await b.answered(b.pool.call("a", meant)), 1);
    assert.deepEqual([heard.length, renewed.length], [2, 1]);
  });

  it("B2 a server that never listed is started once to be listed, and stops when it is unused", async () => {
    const remembered = new ListCache({ clock: createManualClock(), logger: noopLogger });
    const b = bench({}, { remembered });
    await b.applied(backendConfig("a", NEEDED));
    b.is({ starts: 1, phase: "Initializing" });
    await b.comesUp("one");
    b.is({ phase: "Ready" });
    await b.clock.advance(ASKED_MS);
    b.is({ phase: "Asleep", names: ["one"], instances: 0 });
    await b.clock.advance(DAY_MS - ASKED_MS - 1);
    b.is({ starts: 1 });
    await b.clock.advance(1_000);
    b.is({ starts: 2 });
    await b.comesUp("one");
    await b.clock.advance(ASKED_MS);
    b.is({ phase: "Asleep" });
  });

  it("B2 one that was listed and has since been used keeps running", async () => {
    const b = bench();
    await b.applied(backendConfig("a", NEEDED));
    await b.comesUp("one");
    await b.answered(b.call());
    await b.clock.advance(10 * ASKED_MS);
    b.is({ phase: "Ready", starts: 1 });
  });

  it("B2 a person's restart starts it, and it keeps running", async () => {
    const b = await begun(NEEDED, "one");
    await settle();
    b.pool.restart("a");
    await settle();
    b.is({ starts: 1 });
    await b.comesUp("two");
    await b.clock.advance(10 * ASKED_MS);
    b.is({ phase: "Ready", names: ["two"] });
  });

  it("B2 a client's own instance is started by its call, next to the shared one, and both stop", async () => {
    const b = await begun({ ...STOPPED, instances: "per-client" }, "one");
    await settle();
    b.is({ phase: "Asleep" });
    const client = createClient("0");
    const call = b.pool.call("a", callOf(client));
    await settle();
    await b.comesUp("one");
    await b.comesUp("one");
    b.is({ starts: 2, instances: 2 });
    assert.equal(await b.answered(call), 2);
    await b.clock.advance(4 * IDLE_MS);
    b.is({ phase: "Asleep", instances: 0, names: ["one"] });
    const again = b.pool.call("a", callOf(client));
    await settle();
    await b.comesUp("one");
    await b.comesUp("one");
    assert.equal(await b.answered(again), 4);
  });

  it("B2 an edit of the published entries leaves it asleep, a different program is listed again", async () => {
    const b = await begun(NEEDED, "one", "two");
    await settle();
    const none = { allow: null, deny: [] };
    const filters = { tools: { allow: null, deny: ["two"] }, resources: none, prompts: none };
    await b.applied(backendConfig("a", { ...NEEDED, filters }));
    b.is({ starts: 0, phase: "Asleep" });
    await b.applied(backendConfig("a", { ...NEEDED, command: "other" }));
    b.is({ starts: 1, names: ["one", "two"] });
    const call = b.call();
    await b.comesUp("three");
    b.is({ phase: "Ready", names: ["three"] });
    assert.equal(await b.answered(call), 1);
  });

  it("B2 a server that cannot sleep reports the reason", async () => {
    const remembered = new ListCache({ clock: createManualClock(), logger: noopLogger });
    const long = bench({}, { remembered });
    await long.applied(backendConfig("a", NEEDED));
    await long.comesUp("x".repeat(3_000_000));
    await long.clock.advance(1);
    long.pool.recheck("a");
    await settle();
    long.is({ codes: ["not_remembered"] });
    const connection = { type: "streamable-http", url: "http://127.0.0.1:9/", headers: {} } as const;
    const b = bench();
    await b.applied(backendConfig("a", { ...NEEDED, connection }));
    await b.comesUp("one");
    b.is({ phase: "Ready", codes: ["never_sleeps"] });
    await b.clock.advance(10 * ASKED_MS);
    b.is({ phase: "Ready", starts: 1 });
  });
});

describe("stopped when idle", () => {
  const running = async (): Promise<Bench> => {
    const b = await begun(STOPPED, "one");
    await settle();
    const call = b.call();
    await settle();
    await b.comesUp("one");
    await b.answered(call);
    return b;
  };

  it("B2 it stops after its time without a call, its lists stay, and the next call starts it", async () => {
    const b = await running();
    await b.clock.advance(IDLE_MS - 1);
    const call = b.call();
    await b.clock.advance(2 * IDLE_MS);
    b.is({ phase: "Ready" });
    await b.answered(call);
    await b.clock.advance(IDLE_MS - 1);
    b.is({ phase: "Ready" });
    await b.clock.advance(1);
    b.is({ phase: "Asleep", names: ["one"], instances: 0, restarts: 0 });
    const next = b.call();
    await settle();
    await b.comesUp("one");
    assert.equal(await b.answered(next), 2);
  });

  it("B2 an orderly exit while idle is not a failure; during a call, or with an error, it is one", async () => {
    const orderly = { ...transportFailure("closed", "ended with exit code 0"), isOrderly: true as const };
    const b = await running();
    const { last } = b.script;
    last.see({ state: { kind: "ended", wasReady: true, failure: orderly, wasIdle: true } });
    await settle();
    b.is({ phase: "Asleep", restarts: 0, names: ["one"] });
    const other = await running();
    await other.dies("it crashed");
    other.is({ phase: "Degraded", restarts: 1 });
    await other.clock.advance(1_000);
    other.is({ starts: 2 });
  });

  it("B2 a server that starts with the gateway also sleeps", async () => {
    const b = bench();
    await b.applied(backendConfig("a", { stopWhenIdleMs: IDLE_MS }));
    await b.comesUp("one");
    await b.clock.advance(IDLE_MS);
    b.is({ phase: "Asleep", names: ["one"] });
    const call = b.call();
    await settle();
    await b.comesUp("one");
    assert.equal(await b.answered(call), 2);
  });

  it("B2 one that cannot run twice ends before it starts again", async () => {
    const b = bench();
    await b.applied(backendConfig("a", { ...STOPPED, replace: "stop-first" }));
    await b.comesUp("one");
    const gate = Promise.withResolvers<void>();
    b.script.closeGate = gate.promise;
    await b.clock.advance(ASKED_MS);
    b.is({ phase: "Asleep", instances: 1 });
    const call = b.call();
    await settle();
    b.is({ starts: 1, names: ["one"] });
    gate.resolve();
    await settle();
    b.is({ starts: 2 });
    await b.comesUp("one");
    assert.equal(await b.answered(call), 2);
  });
});
