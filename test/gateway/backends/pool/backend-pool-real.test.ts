import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { BackendConfig } from "../../../../src/config/snapshot.ts";
import { startBackendInstance } from "../../../../src/gateway/backends/instance/start-backend-instance.ts";
import { openStdioLink } from "../../../../src/gateway/backends/links/stdio/stdio-link.ts";
import { Warden } from "../../../../src/gateway/backends/links/stdio/warden.ts";
import type { BackendView } from "../../../../src/gateway/backends/policy/backend-pool-contract.ts";
import { BackendPool } from "../../../../src/gateway/backends/pool/backend-pool.ts";
import type { ClientPort } from "../../../../src/gateway/client-port.ts";
import type { GatewayTransition } from "../../../../src/gateway/gateway-transitions.ts";
import { isError, isJsonObject, type JsonObject, type Reply } from "../../../../src/gateway/json-rpc.ts";
import { silentLogger as logger } from "../../../../src/runtime/log/log.ts";
import { type Clock, systemClock } from "../../../../src/runtime/time/clock.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { backendConfig, callOf, createClient } from "./scripted-instance.ts";

const SERVER = fileURLToPath(new URL("../programs/pool-server.ts", import.meta.url));

interface RealPool {
  readonly pool: BackendPool;
  readonly told: GatewayTransition[];
  apply(...configs: BackendConfig[]): void;
  tools(): string[];
  view(): BackendView;
  call(ms?: number, client?: ClientPort): Promise<Reply>;
}

function realPool(t: TestContext, clock: Clock = systemClock): RealPool {
  const warden = new Warden({ clock: systemClock, logger });
  const told: GatewayTransition[] = [];
  const pool = new BackendPool({
    clock,
    logger,
    environment: {},
    redact() {},
    announce: (transition) => told.push(transition),
    clientInfo: { name: "test", version: "1" },
    startInstance: startBackendInstance,
    openLink(connection) {
      assert.ok(connection.type === "stdio");
      const { sandbox: _, ...program } = connection;
      return openStdioLink({ ...program, warden, clock });
    },
    random: Math.random,
    onLog() {},
  });
  t.after(async () => {
    await pool[Symbol.asyncDispose]();
    await warden[Symbol.asyncDispose]();
  });
  return {
    pool,
    told,
    apply: (...configs) => pool.apply(configs, { drainTimeoutMs: 60_000 }),
    tools: () => pool.published.flatMap(({ listings }) => listings.tools.map(({ name }) => String(name))),
    view() {
      const view = pool.view().find(({ name }) => name === "a");
      assert.ok(view !== undefined);
      return view;
    },
    call: (ms = 0, client) =>
      pool.call("a", { ...callOf(client ?? null), params: { name: "who", arguments: { ms } } }),
  };
}

const serverConfig = (tool: string, change: Partial<BackendConfig> = {}): BackendConfig =>
  backendConfig("a", {
    connection: { type: "stdio", command: process.execPath, args: [SERVER], env: { TOOL: [tool] }, cwd: "/" },
    timeouts: { initMs: 60_000, listMs: 60_000, callMs: 60_000 },
    ...change,
  });

function saidBy(reply: Reply): JsonObject {
  assert.ok(!isError(reply), isError(reply) ? reply.error.message : "");
  const { structuredContent } = reply.result;
  assert.ok(isJsonObject(structuredContent));
  return structuredContent;
}

function pidOf(reply: Reply): number {
  return Number(saidBy(reply)["pid"]);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function ready(real: RealPool, tool: string): Promise<void> {
  await eventually(() => real.tools().join() === tool);
}

test("B7 real processes: edits while calls run lose none of them, and leave one process", async (t) => {
  const real = realPool(t);
  real.apply(serverConfig("t0"));
  await ready(real, "t0");
  const pids = new Set<number>();
  let running = true;
  const caller = async (): Promise<number> => {
    let calls = 0;
    for (; running; calls++) pids.add(pidOf(await real.call(5)));
    return calls;
  };
  const callers = Array.from({ length: 8 }, caller);
  const long = real.call(2_000);
  for (let edit = 1; edit <= 6; edit++) {
    real.apply(serverConfig(`t${edit}`));
    await ready(real, `t${edit}`);
    pids.add(pidOf(await real.call()));
  }
  running = false;
  const calls = await Promise.all(callers);
  assert.ok(calls.every((count) => count > 0));
  const first = pidOf(await long);
  assert.equal(pids.size, 7);
  assert.ok(pids.has(first));
  const last = real.view().pid;
  await eventually(() => [...pids].every((pid) => pid === last || !isAlive(pid)));
  assert.equal(real.told.filter(({ name }) => name === "backend.replaced").length, 6);
  assert.deepEqual(real.pool.logLines("a"), ["hello from the pool's server"]);
});

test("B7 real processes: after a kill -9 the next call is served by a new one", async (t) => {
  const real = realPool(t);
  real.apply(serverConfig("t"));
  await ready(real, "t");
  const { pid } = real.view();
  assert.ok(pid !== null);
  process.kill(pid, "SIGKILL");
  await eventually(() => real.view().pid !== pid);
  assert.deepEqual(real.tools(), ["t"]);
  assert.notEqual(pidOf(await real.call()), pid);
  assert.equal(real.view().restarts, 1);
});

test("B7 real processes: stop-first never has two at once, and calls wait", async (t) => {
  const real = realPool(t);
  real.apply(serverConfig("t0", { replace: "stop-first" }));
  await ready(real, "t0");
  const first = real.view().pid;
  real.apply(serverConfig("t1", { replace: "stop-first" }));
  await eventually(() => real.view().pid !== first);
  const next = pidOf(await real.call());
  assert.ok(first !== null && !isAlive(first));
  assert.notEqual(next, first);
});

test("B7 real processes: a client of its own each, ended with the session", async (t) => {
  const real = realPool(t);
  real.apply(serverConfig("t", { instances: "per-client" }));
  await ready(real, "t");
  const [ann, bob] = [createClient("ann"), createClient("bob")];
  const [a1, b1] = await Promise.all([real.call(0, ann), real.call(0, bob)]);
  assert.notEqual(pidOf(a1), pidOf(b1));
  assert.equal(pidOf(await real.call(0, ann)), pidOf(a1));
  real.pool.forget(ann);
  await eventually(() => !isAlive(pidOf(a1)));
  assert.equal(pidOf(await real.call(0, bob)), pidOf(b1));
});

test("B7 real processes: shared again while a call waits, then changed, then per-client: the newest answers", async (t) => {
  const real = realPool(t);
  real.apply(serverConfig("t0", { instances: "per-client" }));
  await ready(real, "t0");
  const ann = createClient("ann");
  const waiting = real.call(0, ann);
  real.apply(serverConfig("t0"));
  assert.equal(pidOf(await waiting), real.view().pid);
  real.apply(serverConfig("t1"));
  await ready(real, "t1");
  real.apply(serverConfig("t1", { instances: "per-client" }));
  assert.equal(saidBy(await real.call(0, ann))["tool"], "t1");
  await eventually(() => real.view().instances === 2);
});

test("B6 real processes: a program that is not there is a condition that says so; the old one serves on", async (t) => {
  const real = realPool(t);
  real.apply(serverConfig("t"));
  await ready(real, "t");
  real.apply(
    backendConfig("a", {
      connection: { type: "stdio", command: "no-such-program", args: [], env: {}, cwd: "/" },
    }),
  );
  await eventually(() => real.view().phase === "Degraded");
  assert.match(real.view().reason ?? "", /no-such-program: it is not installed/);
  pidOf(await real.call());
  real.apply(serverConfig("t"));
  await eventually(() => real.view().phase === "Ready");
});

test("B7 real processes: twenty that are added at once are started one by one, and calls go on between", async (t) => {
  const real = realPool(t);
  real.apply(serverConfig("t"));
  await ready(real, "t");
  const { connection } = serverConfig("t");
  const more = Array.from({ length: 20 }, (_, at) => backendConfig(`b${at}`, { connection }));
  real.apply(serverConfig("t"), ...more);
  let answered = 0;
  while (real.pool.published.length < 21) {
    pidOf(await real.call());
    answered++;
  }
  assert.ok(answered > 1);
  assert.equal(real.pool.view().filter(({ phase }) => phase === "Ready").length, 21);
});

test("ending leaves no process, whatever was under way", async (t) => {
  const clock = createManualClock();
  const real = realPool(t, clock);
  real.apply(serverConfig("t"));
  await ready(real, "t");
  const { pid } = real.view();
  const call = real.call(600_000);
  real.apply(serverConfig("t1"));
  const ending = real.pool[Symbol.asyncDispose]();
  // The call has three seconds, its server one to end by itself; the limit of all is beyond both.
  await clock.advance(3_000);
  assert.ok(isError(await call));
  await clock.advance(1_000);
  await ending;
  assert.ok(pid !== null && !isAlive(pid));
});
