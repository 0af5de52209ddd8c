// A server at an address that took no connections: it is asked cheaply, and started as soon as it is back.
import assert from "node:assert/strict";
import { createServer, type Server } from "node:net";
import { type TestContext, test } from "node:test";
import { createReachabilityProbe } from "../../../../src/gateway/backends/pool/reachability-probe.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";
import { nameProxies } from "../../../support/web-proxy.ts";
import { bench } from "./backend-pool-bench.ts";
import { backendConfig, errorText, fromInstance } from "./scripted-instance.ts";

/** A port that refuses connections, until the server that is returned listens. */
async function closedPort(t: TestContext): Promise<{ origin: string; open(): Promise<Server> }> {
  const first = createServer();
  await new Promise<void>((resolve) => first.listen(0, "127.0.0.1", resolve));
  const address = first.address();
  assert.ok(typeof address === "object" && address !== null);
  const { port } = address;
  await new Promise((resolve) => first.close(resolve));
  return {
    origin: `http://127.0.0.1:${port}`,
    async open() {
      const server = createServer((socket) => socket.on("error", () => {}).resume());
      t.after(() => server.close());
      await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
      return server;
    },
  };
}

/** A pool with `a` at this address. */
async function poolAt(t: TestContext, origin: string) {
  const b = bench();
  t.after(() => b.pool[Symbol.asyncDispose]());
  const at = (url: string) =>
    b.apply(backendConfig("a", { connection: { type: "streamable-http", url, headers: {} } }));
  at(`${origin}/mcp`);
  await settle();
  /** The address refuses so many connections in a row. */
  const refuse = async (times: number): Promise<void> => {
    for (let failures = 1; failures <= times; failures++) {
      b.script.last.failWith({ kind: "unreachable", message: "away", hint: null, isUnreachable: true });
      await settle();
      if (failures < times) await b.clock.advance(120_000);
    }
  };
  return { ...b, at, refuse };
}

test("D9 where a proxy leads to the address, the proxy is probed", async (t) => {
  const { origin, open } = await closedPort(t);
  nameProxies(t, { HTTPS_PROXY: origin });
  let reached = 0;
  const watch = createReachabilityProbe(createManualClock(), () => (reached += 1));
  t.after(() => watch[Symbol.dispose]());
  watch.watch("https://mcp.example.test");
  assert.equal(await watch.check(), false);
  await open();
  assert.equal(await watch.check(), true);
  assert.equal(reached, 1);
});

test("D5 an address that refused is probed every 2 s, after ten minutes every 30 s, until it accepts a connection", async (t) => {
  const { origin, open } = await closedPort(t);
  const clock = createManualClock();
  let reached = 0;
  const watch = createReachabilityProbe(clock, () => (reached += 1));
  t.after(() => watch[Symbol.dispose]());
  watch.watch(origin);
  assert.equal(await watch.check(), false);
  assert.equal(clock.pendingTimers, 1);
  // The clock began at 1 s.
  await clock.advance(999);
  await open();
  assert.equal(reached, 0);
  await clock.advance(1);
  await eventually(() => reached === 1);
  assert.equal(clock.pendingTimers, 0);
  assert.equal(await watch.check(), false, "what was reached is watched no more");

  const later = await closedPort(t);
  watch.watch(later.origin);
  await clock.advance(600_000);
  assert.equal(await watch.check(), false);
  await later.open();
  // At the beat of all that are away: the clock stands at 602 s.
  await clock.advance(27_999);
  assert.equal(reached, 1);
  await clock.advance(1);
  await eventually(() => reached === 2);
});

test("D5 a server that was away is started as soon as its address accepts connections, not when its pause is over", async (t) => {
  const { origin, open } = await closedPort(t);
  const b = await poolAt(t, origin);
  await b.refuse(3);
  const { length } = b.script.started;
  await b.clock.advance(600_000);
  assert.equal(b.script.started.length, length, "it is asked, and not started");
  assert.match(errorText(await b.call()), /tried again as soon as it can be reached/);
  await open();
  // One look for all calls; they wait for the server.
  const calls = [b.call(), b.call()];
  await eventually(() => b.script.started.length === length + 1);
  b.script.last.becomeReady("one");
  await eventually(() => b.script.last.pending.size === 2);
  b.script.last.answer();
  for (const call of calls) assert.equal(fromInstance(await call), length + 1);
  b.script.last.endWith("it crashed");
  for (const waitMs of [250, 0]) {
    await b.clock.advance(waitMs);
    if (waitMs > 0) await b.dies("it does not start");
  }
  assert.equal(b.script.started.length, length + 2, "it was reached long ago: the pause holds");
});

test("D5 a failure of another kind keeps its pause: the address is not probed", async (t) => {
  const { origin, open } = await closedPort(t);
  const server = await open();
  let connections = 0;
  server.on("connection", () => (connections += 1));
  const b = await poolAt(t, origin);
  b.script.last.failWith({ kind: "refused", message: "HTTP 503", hint: null, status: 503 });
  await b.clock.advance(400);
  assert.match(errorText(await b.call()), /tried again in 1 s/);
  assert.equal(connections, 0);
});

test("D5 an answer about the previous address does not apply to the one that is watched now", async (t) => {
  const [before, now] = [await closedPort(t), await closedPort(t)];
  await before.open();
  const clock = createManualClock();
  let reached = 0;
  const watch = createReachabilityProbe(clock, () => (reached += 1));
  t.after(() => watch[Symbol.dispose]());
  watch.watch(before.origin);
  const answer = watch.check();
  watch.watch(now.origin);
  assert.equal(await answer, false);
  assert.equal(reached, 0);
  assert.equal(clock.pendingTimers, 1, "the next look at the address that is watched");
  const last = watch.check();
  watch[Symbol.dispose]();
  await Promise.resolve();
  assert.equal(clock.pendingTimers, 0, "the look that was under way has ended at once");
  assert.equal(await last, false);
});

test("D5 a call during whose check the address is edited reports the new state", async (t) => {
  const { origin } = await closedPort(t);
  const b = await poolAt(t, origin);
  await b.refuse(7);
  const call = b.call();
  b.at("http://127.0.0.1:9/other");
  assert.match(errorText(await call), /it is not running yet$/);
});

test("D5 nothing is probed after the end", async (t) => {
  const { origin } = await closedPort(t);
  const b = await poolAt(t, origin);
  await b.refuse(3);
  void b.call();
  assert.ok(b.clock.pendingTimers > 0);
  await b.pool[Symbol.asyncDispose]();
  await settle();
  assert.equal(b.clock.pendingTimers, 0);
});
