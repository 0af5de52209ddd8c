import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";
import { type TestContext, test } from "node:test";
import type { GatewayTransition } from "../../../src/gateway/gateway-transitions.ts";
import { GatewayListener } from "../../../src/gateway/serving/gateway-listener.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntil } from "../../support/pass-time.ts";

const HOST = "127.0.0.1";

function bench(t: TestContext) {
  const clock = createManualClock();
  const told: GatewayTransition[] = [];
  /** How many questions are open. */
  const asked = { count: 0 };
  const listener = new GatewayListener({
    handler: (_, response) => void response.end("here"),
    clock,
    logger: noopLogger,
    announce: (transition) => void told.push(transition),
    drainMs: () => 1_000,
    openQuestions: () => asked.count,
  });
  t.after(() => listener.close(0));
  return { listener, clock, told, asked, names: () => told.map(({ name }) => name) };
}

async function occupy(t: TestContext, port: number): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, HOST, resolve));
  t.after(() => server.close());
  return server;
}

async function answers(port: number, headers: Record<string, string> = {}): Promise<boolean> {
  try {
    const response = await fetch(`http://${HOST}:${port}/`, { headers: { connection: "close", ...headers } });
    return (await response.text()) === "here";
  } catch {
    return false;
  }
}

test("B11 a listener that another daemon passed on, at an address that is no longer ours, is closed", async (t) => {
  const { listener } = bench(t);
  const [old, next] = [await freePort(), await freePort()];
  const { _handle: handle } = (await occupy(t, old)) as unknown as { readonly _handle: object };
  const isTaken = async (): Promise<boolean> => {
    const socket = connect(old, HOST);
    const taken = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    return taken;
  };
  assert.equal(await isTaken(), true);
  await listener.open({ host: HOST, port: next }, { address: { host: HOST, port: old }, handle });
  assert.equal(await answers(next), true);
  assert.equal(await isTaken(), false, "nobody would answer there");
});

test("B11 a listener that was passed on and does not listen is closed, and the address is opened again", async (t) => {
  const { listener, clock, names } = bench(t);
  const port = await freePort();
  const given = await occupy(t, port);
  const { _handle: handle } = given as unknown as { readonly _handle: { listen(): void } };
  handle.listen = () => {
    throw new Error("made to fail");
  };
  await listener.open({ host: HOST, port }, { address: { host: HOST, port }, handle });
  assert.deepEqual(names(), ["gateway.listen_failed"]);
  await clock.advance(20);
  assert.equal(await answers(port), true, "whoever came would wait for ever");
  assert.deepEqual([listener.condition, listener.url], [null, `http://${HOST}:${port}/mcp`]);
});

test("B11 idle connections at an old address are also closed", async (t) => {
  const { listener, asked } = bench(t);
  const old = await freePort();
  await listener.open({ host: HOST, port: old });
  const client = connect(old, HOST);
  client.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await once(client, "data");
  asked.count = 1;
  const prepared = await listener.prepare({ host: HOST, port: await freePort() });
  prepared.commit();
  const retired = prepared.retire();
  client.resume();
  listener.closeIdle();
  await eventually(() => client.closed);
  await Promise.all([listener.close(0), retired]);
});

const session = { "mcp-session-id": "one" };

test("B7 an old address stays for sessions with open questions, until all is answered and quiet", async (t) => {
  const { listener, clock, asked } = bench(t);
  const [old, next] = [await freePort(), await freePort()];
  await listener.open({ host: HOST, port: old });
  asked.count = 1;
  const prepared = await listener.prepare({ host: HOST, port: next });
  prepared.commit();
  const retired = prepared.retire();
  await clock.advance(300_000);
  assert.deepEqual(
    [await answers(old, session), await answers(old), await answers(next)],
    [true, false, true],
  );
  asked.count = 0;
  await clock.advance(1_500);
  asked.count = 1;
  await clock.advance(5_000);
  assert.equal(await answers(old, session), true, "the next question came");
  asked.count = 0;
  await clock.advance(2_500);
  assert.equal(await answers(old, session), false);
  await clock.advance(1_000);
  await retired;
  assert.equal(clock.pendingTimers, 0);
});

test("B7 an old address can be returned to while it stays, and does not stay for ever", async (t) => {
  const { listener, clock, asked } = bench(t);
  const [old, next] = [await freePort(), await freePort()];
  await listener.open({ host: HOST, port: old });
  asked.count = 1;
  const there = await listener.prepare({ host: HOST, port: next });
  there.commit();
  const retired = [there.retire()];
  const back = await listener.prepare({ host: HOST, port: old });
  back.commit();
  retired.push(back.retire());
  assert.deepEqual([await answers(old), await answers(next, session)], [true, true]);
  await clock.advance(600_250);
  assert.equal(await answers(next, session), false);
  await clock.advance(1_000);
  await Promise.all(retired);
});

test("the gateway's listener: a busy port at the start is a condition, reported once and retried until it is free", async (t) => {
  const port = await freePort();
  const holder = await occupy(t, port);
  const { listener, clock, names } = bench(t);
  await listener.open({ host: HOST, port });
  const { condition } = listener;
  assert.match(
    condition?.title ?? "",
    new RegExp(`\\[server\\]\\.port: cannot listen at ${HOST}:${port}: it is taken`),
  );
  assert.deepEqual([condition?.code, listener.url], ["listen_failed", null]);
  await clock.advance(1_000);
  await eventually(() => clock.pendingTimers > 0);
  assert.equal(listener.condition?.since, condition?.since);
  await new Promise((resolve) => holder.close(resolve));
  await passTimeUntil(clock, () => listener.url !== null, 60_000);
  assert.equal(listener.condition, null);
  assert.deepEqual(names(), ["gateway.listen_failed", "gateway.listening"]);
  assert.ok(await answers(port));
});

test("B7 the gateway's listener: a new address is bound before the old one is closed, and a rollback closes only the new one", async (t) => {
  const [one, other] = [await freePort(), await freePort()];
  const { listener, names } = bench(t);
  await listener.open({ host: HOST, port: one });
  const undone = await listener.prepare({ host: HOST, port: other });
  assert.ok(await answers(one));
  await undone.rollback();
  assert.deepEqual([await answers(one), await answers(other)], [true, false]);
  const done = await listener.prepare({ host: HOST, port: other });
  done.commit();
  assert.equal(listener.url, `http://${HOST}:${other}/mcp`);
  await done.retire();
  assert.deepEqual([await answers(one), await answers(other)], [false, true]);
  assert.deepEqual(names(), ["gateway.listening", "gateway.stopped_listening", "gateway.listening"]);
});

test("B6 the gateway's listener: connections to a new address are served only once its rules apply", async (t) => {
  const [one, other] = [await freePort(), await freePort()];
  const { listener } = bench(t);
  await listener.open({ host: HOST, port: one });
  const prepared = await listener.prepare({ host: HOST, port: other });
  let answered = false;
  const early = answers(other).then((here) => {
    answered = true;
    return here;
  });
  // A whole exchange over the old address is longer than the early one would have taken.
  for (let round = 0; round < 5; round += 1) assert.ok(await answers(one));
  assert.equal(answered, false);
  prepared.commit();
  assert.ok(await early);
});

test("B6 the gateway's listener: an address that is taken rejects, and the old one stays open", async (t) => {
  const [one, busy] = [await freePort(), await freePort()];
  await occupy(t, busy);
  const { listener } = bench(t);
  await listener.open({ host: HOST, port: one });
  await assert.rejects(
    listener.prepare({ host: HOST, port: busy }),
    (error) => error instanceof MountaineerError && error.code === "listen_failed",
  );
  assert.equal(listener.url, `http://${HOST}:${one}/mcp`);
  assert.ok(await answers(one));
});

test("the gateway's listener: a busy address that becomes free while another is prepared is given up for that", async (t) => {
  const [busy, other] = [await freePort(), await freePort()];
  const holder = await occupy(t, busy);
  const { listener, clock } = bench(t);
  await listener.open({ host: HOST, port: busy });
  const next = await listener.prepare({ host: HOST, port: other });
  await new Promise((resolve) => holder.close(resolve));
  await clock.advance(1_000);
  await eventually(() => listener.url === `http://${HOST}:${busy}/mcp`);
  next.commit();
  assert.equal(listener.url, `http://${HOST}:${other}/mcp`);
  await next.retire();
  assert.deepEqual([await answers(busy), await answers(other)], [false, true]);
});

test("the gateway's listener: it stops listening when nothing is wanted, and starts again when something is", async (t) => {
  const port = await freePort();
  const { listener } = bench(t);
  await listener.open({ host: HOST, port });
  const nothing = await listener.prepare(null);
  nothing.commit();
  await nothing.retire();
  assert.deepEqual([listener.url, listener.condition, await answers(port)], [null, null, false]);
  const again = await listener.prepare({ host: HOST, port });
  again.commit();
  assert.ok(await answers(port));
});

test("the gateway's listener: a busy port is no longer tried once nothing, or the end, is wanted", async (t) => {
  const port = await freePort();
  await occupy(t, port);
  const { listener, clock } = bench(t);
  await listener.open({ host: HOST, port });
  assert.equal(clock.pendingTimers, 1);
  (await listener.prepare(null)).commit();
  assert.deepEqual([clock.pendingTimers, listener.condition], [0, null]);
  await listener.open({ host: HOST, port });
  await listener.close(0);
  assert.equal(clock.pendingTimers, 0);
});
