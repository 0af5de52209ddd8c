import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";
import { type TestContext, test } from "node:test";
import type { GatewayTransition } from "../../../src/gateway/gateway-transitions.ts";
import { ListenerKeeper } from "../../../src/gateway/serving/listener-keeper.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
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
  const keeper = new ListenerKeeper({
    handler: (_, response) => void response.end("here"),
    clock,
    logger: silentLogger,
    announce: (transition) => void told.push(transition),
    drainMs: () => 1_000,
    openQuestions: () => asked.count,
  });
  t.after(() => keeper.close(0));
  return { keeper, clock, told, asked, names: () => told.map(({ name }) => name) };
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

test("B11 a door that another daemon gave, at an address that is not ours any more, is closed", async (t) => {
  const { keeper } = bench(t);
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
  await keeper.open({ host: HOST, port: next }, { address: { host: HOST, port: old }, handle });
  assert.equal(await answers(next), true);
  assert.equal(await isTaken(), false, "nobody would answer there");
});

test("B11 a door that was given and does not listen is closed, and the address is opened anew", async (t) => {
  const { keeper, clock, names } = bench(t);
  const port = await freePort();
  const given = await occupy(t, port);
  const { _handle: handle } = given as unknown as { readonly _handle: { listen(): void } };
  handle.listen = () => {
    throw new Error("made to fail");
  };
  await keeper.open({ host: HOST, port }, { address: { host: HOST, port }, handle });
  assert.deepEqual(names(), ["gateway.listen_failed"]);
  await clock.advance(20);
  assert.equal(await answers(port), true, "whoever came would wait for ever");
  assert.deepEqual([keeper.condition, keeper.url], [null, `http://${HOST}:${port}/mcp`]);
});

const session = { "mcp-session-id": "one" };

test("B7 an old address stays for sessions that were asked something, until all is answered and quiet", async (t) => {
  const { keeper, clock, asked } = bench(t);
  const [old, next] = [await freePort(), await freePort()];
  await keeper.open({ host: HOST, port: old });
  asked.count = 1;
  const prepared = await keeper.prepare({ host: HOST, port: next });
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

test("B7 an old address: can be gone back to while it stays, and does not stay for ever", async (t) => {
  const { keeper, clock, asked } = bench(t);
  const [old, next] = [await freePort(), await freePort()];
  await keeper.open({ host: HOST, port: old });
  asked.count = 1;
  const there = await keeper.prepare({ host: HOST, port: next });
  there.commit();
  const retired = [there.retire()];
  const back = await keeper.prepare({ host: HOST, port: old });
  back.commit();
  retired.push(back.retire());
  assert.deepEqual([await answers(old), await answers(next, session)], [true, true]);
  await clock.advance(600_250);
  assert.equal(await answers(next, session), false);
  await clock.advance(1_000);
  await Promise.all(retired);
});

test("the keeper of the listener: a busy port at the start is a condition, told once and tried again until it is free", async (t) => {
  const port = await freePort();
  const holder = await occupy(t, port);
  const { keeper, clock, names } = bench(t);
  await keeper.open({ host: HOST, port });
  const { condition } = keeper;
  assert.match(
    condition?.title ?? "",
    new RegExp(`\\[server\\]\\.port: cannot listen at ${HOST}:${port}: it is taken`),
  );
  assert.deepEqual([condition?.code, keeper.url], ["listen_failed", null]);
  await clock.advance(1_000);
  await eventually(() => clock.pendingTimers > 0);
  assert.equal(keeper.condition?.sinceMs, condition?.sinceMs);
  await new Promise((resolve) => holder.close(resolve));
  await passTimeUntil(clock, () => keeper.url !== null, 60_000);
  assert.equal(keeper.condition, null);
  assert.deepEqual(names(), ["gateway.listen_failed", "gateway.listening"]);
  assert.ok(await answers(port));
});

test("B7 the keeper of the listener: a new address is bound before the old one is given up, and a rollback gives up the new one alone", async (t) => {
  const [one, other] = [await freePort(), await freePort()];
  const { keeper, names } = bench(t);
  await keeper.open({ host: HOST, port: one });
  const undone = await keeper.prepare({ host: HOST, port: other });
  assert.ok(await answers(one));
  await undone.rollback();
  assert.deepEqual([await answers(one), await answers(other)], [true, false]);
  const done = await keeper.prepare({ host: HOST, port: other });
  done.commit();
  assert.equal(keeper.url, `http://${HOST}:${other}/mcp`);
  await done.retire();
  assert.deepEqual([await answers(one), await answers(other)], [false, true]);
  assert.deepEqual(names(), ["gateway.listening", "gateway.stopped_listening", "gateway.listening"]);
});

test("B6 the keeper of the listener: what comes to a new address is served only once its rules hold", async (t) => {
  const [one, other] = [await freePort(), await freePort()];
  const { keeper } = bench(t);
  await keeper.open({ host: HOST, port: one });
  const prepared = await keeper.prepare({ host: HOST, port: other });
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

test("B6 the keeper of the listener: an address that is taken rejects, and the old one is listened at", async (t) => {
  const [one, busy] = [await freePort(), await freePort()];
  await occupy(t, busy);
  const { keeper } = bench(t);
  await keeper.open({ host: HOST, port: one });
  await assert.rejects(
    keeper.prepare({ host: HOST, port: busy }),
    (error) => error instanceof MountaineerError && error.code === "listen_failed",
  );
  assert.equal(keeper.url, `http://${HOST}:${one}/mcp`);
  assert.ok(await answers(one));
});

test("the keeper of the listener: an address that was busy and is got while another is prepared is given up for that", async (t) => {
  const [busy, other] = [await freePort(), await freePort()];
  const holder = await occupy(t, busy);
  const { keeper, clock } = bench(t);
  await keeper.open({ host: HOST, port: busy });
  const next = await keeper.prepare({ host: HOST, port: other });
  await new Promise((resolve) => holder.close(resolve));
  await clock.advance(1_000);
  await eventually(() => keeper.url === `http://${HOST}:${busy}/mcp`);
  next.commit();
  assert.equal(keeper.url, `http://${HOST}:${other}/mcp`);
  await next.retire();
  assert.deepEqual([await answers(busy), await answers(other)], [false, true]);
});

test("the keeper of the listener: it listens no more when nothing is wanted, and again when something is", async (t) => {
  const port = await freePort();
  const { keeper } = bench(t);
  await keeper.open({ host: HOST, port });
  const nothing = await keeper.prepare(null);
  nothing.commit();
  await nothing.retire();
  assert.deepEqual([keeper.url, keeper.condition, await answers(port)], [null, null, false]);
  const again = await keeper.prepare({ host: HOST, port });
  again.commit();
  assert.ok(await answers(port));
});

test("the keeper of the listener: a busy port is not tried any more once nothing, or the end, is wanted", async (t) => {
  const port = await freePort();
  await occupy(t, port);
  const { keeper, clock } = bench(t);
  await keeper.open({ host: HOST, port });
  assert.equal(clock.pendingTimers, 1);
  (await keeper.prepare(null)).commit();
  assert.deepEqual([clock.pendingTimers, keeper.condition], [0, null]);
  await keeper.open({ host: HOST, port });
  await keeper.close(0);
  assert.equal(clock.pendingTimers, 0);
});
