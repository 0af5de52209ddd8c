// Moves of one share: nothing of the old route comes after the new one's first byte, and planned ones cut nothing off.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { startSimulatedCable } from "../../../src/demo/stage/simulated-cable.ts";
import type { MoveOutcome } from "../../../src/relay/relay.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock, type ManualClock, settle } from "../../support/manual-clock.ts";
import { passTimeUntil, passTimeUntilSettled } from "../../support/pass-time.ts";
import { NO_SECOND_ADDRESS } from "../../support/where.ts";
import { startFakeNas } from "../fake-nas.ts";
import { answerTo, COMMAND, encrypted, lookAtRoot, opening, request } from "../smb-messages.ts";
import { joined, startShare, twoRoutes, untilSteady, withClient } from "./share-bench.ts";

/** A move's proof needs no time of this clock: all of it passes while the connections leave. */
async function untilLeaving(clock: ManualClock, forMs: number): Promise<void> {
  const untilMs = clock.monotonicMs() + forMs;
  await passTimeUntil(clock, () => clock.monotonicMs() >= untilMs, forMs / 10);
}

/** A mount of the kernel's on two routes, with a client, on a clock that the test moves. */
async function kernelMount(t: TestContext) {
  const clock = createManualClock();
  return { clock, ...(await withClient(twoRoutes(t, { kind: "cifs", clock }))) };
}

/** All of a move of that clock passes. */
async function quietly(clock: ManualClock, moving: Promise<MoveOutcome>) {
  const outcome = await passTimeUntilSettled(clock, moving, 2);
  assert.ok(outcome.ok && outcome.quiet, JSON.stringify(outcome));
  return outcome;
}

describe("a move of a relayed share", { skip: NO_SECOND_ADDRESS }, () => {
  test("A10 resets the old connections and sends new ones over the new route", async (t) => {
    const { nas, other, bench, client } = await withClient(twoRoutes(t));
    client.send(request(COMMAND.read, 1));
    const [server] = await joined(nas);
    await eventually(() => client.received.length > 0);
    const outcome = await bench.move("fallback", other);
    assert.ok(outcome.ok);
    assert.equal(outcome.connections, 1);
    assert.equal(outcome.quiet, false);
    await eventually(() => server?.ending === "reset");
    bench.share.usedUp();
    client.send(request(COMMAND.create, 2));
    await eventually(() => client.ending === "reset");
    assert.equal(bench.share.state().route, "fallback");
    const { endpoints, guid } = bench.share.settings;
    assert.deepEqual([endpoints, guid], [{ fallback: other.endpoint }, other.guid.toString("hex")]);
    assert.equal(bench.share.state().moves, 1);
    assert.deepEqual(bench.notices.slice(0, 2), ["moved", "lost"]);
    const next = await bench.client();
    await next.ask(COMMAND.read, 1);
    assert.equal(nas.joined().length, 1);
    assert.equal(other.joined().length, 1);
  });

  test("A10 under a program that repeats, lost connections are reset at once, and a read ends those that a planned move left", async (t) => {
    const { nas, other, bench, client } = await withClient(twoRoutes(t));
    bench.share.bind({ id: "m1", path: "/mnt", process: null, repeats: true });
    await client.ask(COMMAND.read, 1);
    assert.ok((await bench.move("fallback", other)).ok);
    await eventually(() => client.ending === "reset");
    const next = await bench.client();
    await next.ask(COMMAND.read, 1);
    assert.ok((await bench.move("tb", nas, true)).ok);
    await next.ask(COMMAND.write, 2);
    await eventually(() => {
      if (next.ending === "open") next.send(request(COMMAND.read, 3));
      return next.ending === "reset";
    });
    assert.deepEqual(bench.notices, ["moved", "moved"]);
  });

  test("A10 under a program that repeats, a read that one retiring connection has ended is served by the next one", async (t) => {
    const clock = createManualClock();
    const { nas, other, bench, client } = await withClient(twoRoutes(t, { clock }));
    bench.share.bind({ id: "m1", path: "/mnt", process: null, repeats: true });
    const next = await bench.client();
    for (const one of [client, next]) await one.ask(COMMAND.read, 1);
    const moving = bench.move("fallback", other, true);
    assert.ok((await passTimeUntilSettled(clock, moving, 2)).ok);
    await eventually(() => {
      if (client.ending === "open") client.send(request(COMMAND.read, 2));
      return client.ending === "reset";
    });
    await next.ask(COMMAND.read, 2);
    await clock.advance(1_000);
    next.send(request(COMMAND.read, 3));
    await eventually(() => next.ending === "reset");
    assert.equal(nas.joined().length, 2);
  });

  test("A10 the server of an abandoned route loses the connections that a move cut off as soon as it is proved again", {
    skip:
      process.platform !== "linux" && "other systems drop a connection that is reset before it is accepted",
  }, async (t) => {
    const { nas, other, bench, client } = await withClient(twoRoutes(t, { from: "127.0.0.78" }));
    await client.ask(COMMAND.read, 1);
    const outcome = await bench.move("fallback", other);
    assert.ok(outcome.ok);
    assert.equal(nas.joined().length, 1);
    bench.share.configure({ endpoints: { tb: nas.endpoint }, patienceMs: 60_000 });
    await eventually(() => nas.joined().length === 2);
  });

  test("A10 to a route that refuses, or stays silent, changes nothing", async (t) => {
    const { nas, other, bench, client } = await withClient(twoRoutes(t));
    client.send(request(COMMAND.read, 1));
    await joined(nas);
    other.mode = "silent";
    const silent = await bench.move("fallback", other, true);
    assert.ok(!silent.ok && silent.reason === "silent", JSON.stringify(silent));
    await other.stop();
    const refused = await bench.move("fallback", other, true);
    assert.ok(!refused.ok && refused.reason === "refused", JSON.stringify(refused));
    client.send(request(COMMAND.read, 2));
    await eventually(() => client.received.length === 2 * answerTo(0, 0).length);
    assert.equal(bench.share.state().route, "tb");
    assert.equal(bench.share.state().moves, 0);
    assert.deepEqual(bench.notices, []);
  });

  test("A13 a route whose server was away since it was proved is not taken, however soon another answers there", async (t) => {
    const { other, bench } = await twoRoutes(t);
    const { share } = bench;
    share.configure({ endpoints: { fallback: other.endpoint }, patienceMs: 60_000 });
    const witness = (await eventually(() => share.standby)).id;
    await other.stop();
    await other.start();
    const move = { to: "fallback", endpoint: other.endpoint, planned: false } as const;
    const untilMs = systemClock.monotonicMs() + 60_000;
    const refused = await share.move({ ...move, witness, untilMs });
    assert.ok(!refused.ok && refused.reason === "refused", JSON.stringify(refused));
    // Proved again since.
    share.configure({ endpoints: { fallback: other.endpoint }, patienceMs: 60_000 });
    const next = (await eventually(() => share.standby)).id;
    assert.notEqual(next, witness);
    assert.ok((await share.move({ ...move, witness: next, untilMs })).ok);
    assert.equal(share.standby, null, "the route in use needs none");
  });

  test("A13 a route that is no longer named has no standby connection", async (t) => {
    const { other, bench } = await twoRoutes(t);
    const { share } = bench;
    share.configure({ endpoints: { fallback: other.endpoint }, patienceMs: 60_000 });
    await eventually(() => share.standby);
    share.configure({ endpoints: {}, patienceMs: 60_000 });
    assert.equal(share.standby, null);
    await eventually(() => other.connections[0]?.ending === "reset");
    // Nor while it is just being proved.
    share.configure({ endpoints: { fallback: other.endpoint }, patienceMs: 60_000 });
    share.configure({ endpoints: {}, patienceMs: 60_000 });
    await eventually(() => other.connections[1]?.ending === "reset");
    assert.equal(other.connections.length, 2, "none has replaced it");
  });

  test("A13 a route that did not answer, or is named with another address of this machine, is proved again", async (t) => {
    const { other, bench } = await twoRoutes(t);
    const { share } = bench;
    const keep = (localAddress: string | null = null): void =>
      share.configure({ endpoints: { fallback: { ...other.endpoint, localAddress } }, patienceMs: 60_000 });
    await other.stop();
    keep();
    await settle();
    await other.start();
    const first = await eventually(() => {
      keep();
      return share.standby;
    });
    keep();
    assert.equal(share.standby, first);
    keep("127.0.0.1");
    const next = await eventually(() => share.standby);
    assert.notEqual(next.id, first.id);
    const untilMs = systemClock.monotonicMs() + 60_000;
    const move = { to: "fallback", endpoint: other.endpoint, planned: false, untilMs } as const;
    const unknown = await share.move({ ...move, witness: first.id });
    assert.ok(!unknown.ok && unknown.reason === "refused", JSON.stringify(unknown));
    await share[Symbol.asyncDispose]();
    await eventually(() => other.connections.every(({ ending }) => ending !== "open"));
  });

  test("A10 a move that could not finish in time changes nothing, nor does one whose share is closed during it", async (t) => {
    const clock = createManualClock();
    const { nas, other, bench } = await twoRoutes(t, { kind: "cifs", clock });
    const move = { to: "fallback", endpoint: other.endpoint } as const;
    const untilMs = clock.monotonicMs() + 2_999;
    const late = await bench.share.move({ ...move, planned: true, untilMs });
    assert.ok(!late.ok && late.reason === "silent", JSON.stringify(late));
    nas.mode = "withhold";
    const client = await bench.client();
    client.send(request(COMMAND.read, 1));
    await joined(nas);
    const leaving = bench.move("fallback", other, true);
    await untilLeaving(clock, 10);
    const proving = bench.move("fallback", other);
    await bench.share[Symbol.asyncDispose]();
    const outcomes = await passTimeUntilSettled(clock, Promise.all([leaving, proving]), 50);
    for (const outcome of outcomes)
      assert.ok(!outcome.ok && outcome.reason === "unknown_share", JSON.stringify(outcome));
    assert.deepEqual([bench.share.state().route, bench.share.state().moves], ["tb", 0]);
  });

  test("A10 a request that waits on the new route is reported, although one on the old route was", async (t) => {
    const clock = createManualClock();
    const { nas, other, bench, client } = await withClient(twoRoutes(t, { clock }));
    const waits = async (one: typeof client): Promise<void> => {
      one.send(request(COMMAND.read, 1));
      await eventually(() => bench.share.state().unansweredSinceMs !== null);
      await clock.advance(300);
    };
    for (const one of [nas, other]) one.mode = "withhold";
    await waits(client);
    assert.ok((await bench.move("fallback", other)).ok);
    await waits(await bench.client());
    assert.equal(bench.notices.filter((what) => what === "stalled").length, 2);
  });

  test("A10 a connection to a route whose packets are dropped goes to the new route instead", async (t) => {
    const { nas, other, bench } = await twoRoutes(t, { clock: createManualClock() });
    const relay = await startSimulatedCable({
      host: "127.0.0.4",
      targetHost: "127.0.0.1",
      targetPort: nas.endpoint.port,
    });
    t.after(() => relay[Symbol.asyncDispose]());
    await relay.setMode("drop");
    bench.share.settings.endpoints = { tb: { address: relay.host, port: relay.port, localAddress: null } };
    const client = await bench.client();
    client.send(request(COMMAND.create, 1));
    await eventually(() => bench.share.state().connections === 1);
    assert.ok((await bench.move("fallback", other)).ok);
    await eventually(() => client.received.length > 0);
    assert.equal(other.joined().length, 1);
  });

  test("A10 a planned one ends logins in progress, and an unplanned one also those that a planned one left on the old route", async (t) => {
    const clock = createManualClock();
    const { nas, other, bench, client } = await withClient(twoRoutes(t, { clock }));
    await client.ask(COMMAND.queryDirectory, 1);
    nas.logon = null;
    const newcomer = await bench.client();
    newcomer.send(request(COMMAND.sessionSetup, 1));
    await eventually(() => nas.joined()[1]?.bytes.length === request(COMMAND.sessionSetup, 1).length);
    const outcome = await passTimeUntilSettled(clock, bench.move("fallback", other, true), 50);
    assert.ok(outcome.ok && outcome.connections === 2, JSON.stringify(outcome));
    await eventually(() => newcomer.ending === "reset");
    assert.equal(client.ending, "open");
    nas.mode = "withhold";
    client.send(request(COMMAND.queryDirectory, 2));
    await eventually(() => nas.joined()[0]?.unanswered.length === 1);
    assert.equal(bench.share.state().unansweredSinceMs, null, "only the route in use counts");
    const again = await bench.move("fallback", other);
    assert.ok(again.ok && again.connections === 1, JSON.stringify(again));
  });

  test("A10 an unanswered query does not block the move: the next one may be answered at once", async (t) => {
    const { other, bench } = await twoRoutes(t);
    other.mode = "silent";
    const moving = bench.move("fallback", other, true);
    await eventually(() => other.connections.some(({ isProof }) => isProof));
    other.mode = "answer";
    const outcome = await moving;
    assert.ok(outcome.ok, JSON.stringify(outcome));
    assert.equal(other.connections.length, 2);
    assert.equal(bench.share.state().outageAtMove, bench.share.state().outage);
  });

  test("A10 to a server that has been replaced since it was proved changes nothing", async (t) => {
    const { nas, other, bench, client } = await withClient(twoRoutes(t));
    bench.share.learn(nas.guid.toString("hex"));
    other.guid = Buffer.alloc(16, 7);
    const replaced = await bench.move("fallback", other);
    assert.ok(!replaced.ok && replaced.reason === "refused", JSON.stringify(replaced));
    assert.match(replaced.text, /another server answers there/);
    await client.ask(COMMAND.read, 1);
    assert.equal(nas.joined().length, 1);
    assert.equal(other.joined().length, 0);
    other.guid = nas.guid;
    assert.ok((await bench.move("fallback", other)).ok);
  });

  test("A10 a request that waits for an abandoned route never arrives there, whatever that route does later", async (t) => {
    const { nas, other, bench } = await twoRoutes(t);
    // A server that stops reading in the middle of a large write: its cable is silent.
    nas.mode = "deaf";
    const client = await bench.client();
    const old = request(COMMAND.write, 1, Buffer.alloc(1024 * 1024, 0xaa));
    for (let count = 0; count < 64; count += 1) client.send(old);
    const [server] = await joined(nas);
    const passed = await untilSteady(bench, "bytesUp");
    const outcome = await bench.move("fallback", other);
    assert.ok(outcome.ok);
    const next = await bench.client();
    next.send(request(COMMAND.write, 1, Buffer.alloc(1024, 0xbb)));
    await eventually(() => next.received.length > 0);
    // The cable is back: what the system here had not sent yet is gone, and so is what waited in the carrier.
    server?.socket.resume();
    await eventually(() => server?.ending === "reset");
    assert.ok((server?.bytes.length ?? 0) < passed, "what is on its way is dropped");
    const arrived = server?.bytes.length;
    await systemClock.sleep(300);
    assert.equal(server?.bytes.length, arrived);
    assert.equal(nas.joined().length, 1);
  });

  test("A10 a planned move waits for the answers, and delays a new read until then", async (t) => {
    const { clock, nas, other, bench, client } = await kernelMount(t);
    nas.mode = "withhold";
    client.send(request(COMMAND.read, 1));
    const [server] = await joined(nas);
    await eventually(() => server?.unanswered.length === 1);
    const moving = bench.move("fallback", other, true);
    await untilLeaving(clock, 100);
    client.send(request(COMMAND.read, 2));
    await eventually(() => bench.accepted[0]?.bytesRead === 2 * request(COMMAND.read, 1).length);
    await clock.advance(100);
    assert.equal(client.ending, "open", "it still waits for the first answer");
    server?.socket.write(answerTo(COMMAND.read, 1));
    assert.equal((await quietly(clock, moving)).connections, 1);
    await eventually(() => client.ending === "reset");
    assert.deepEqual(client.received, answerTo(COMMAND.read, 1), "the answer came before the end");
    assert.deepEqual(server?.bytes, request(COMMAND.read, 1), "the second was not sent");
  });

  test("A10 a planned one never cuts inside a frame", async (t) => {
    const { clock, nas, other, bench, client } = await kernelMount(t);
    const write = request(COMMAND.write, 1, Buffer.alloc(200_000, 1));
    client.send(write.subarray(0, 1_000));
    const [server] = await joined(nas);
    await eventually(() => server?.bytes.length === 1_000);
    const moving = bench.move("fallback", other, true);
    await untilLeaving(clock, 100);
    // The rest of it, and the beginning of the next.
    client.send(Buffer.concat([write.subarray(1_000), request(COMMAND.write, 2, Buffer.alloc(200_000, 2))]));
    await quietly(clock, moving);
    assert.deepEqual(server?.bytes, write);
    await eventually(() => client.ending === "reset");
    assert.deepEqual(client.received, answerTo(COMMAND.write, 1, Buffer.alloc(16, 1)));
  });

  test("A10 a planned move lets requests that no client repeats, such as a listing, run to their end", async (t) => {
    const { clock, nas, other, bench, client } = await kernelMount(t);
    nas.mode = "withhold";
    client.send(request(COMMAND.create, 1));
    const [server] = await joined(nas);
    const moving = bench.move("fallback", other, true);
    await untilLeaving(clock, 10);
    server?.socket.write(answerTo(COMMAND.create, 1));
    await eventually(() => client.received.length > 0);
    client.send(request(COMMAND.queryDirectory, 2));
    await eventually(() => server?.unanswered.length === 2);
    server?.socket.write(answerTo(COMMAND.queryDirectory, 2));
    await quietly(clock, moving);
    assert.equal(client.received.length, 2 * answerTo(0, 0).length);
  });

  for (const kind of ["cifs", "fs"] as const)
    test(`A10 a planned one stops waiting after 2 s, and reports that it was not quiet (${kind})`, async (t) => {
      const clock = createManualClock();
      const { nas, other, bench } = await twoRoutes(t, { kind, clock });
      nas.mode = "withhold";
      const [busy, idle] = [await bench.client(), await bench.client()];
      busy.send(request(COMMAND.read, 1));
      idle.send(request(COMMAND.changeNotify, 1));
      await joined(nas, 2);
      const outcome = await passTimeUntilSettled(clock, bench.move("fallback", other, true), 50);
      assert.ok(outcome.ok && !outcome.quiet, JSON.stringify(outcome));
      assert.equal(outcome.connections, 2);
      assert.ok(outcome.tookMs >= 1_990, String(outcome.tookMs));
      await eventually(() => busy.ending === "reset" && idle.ending === "reset");
    });

  test("A10 a planned move does not touch rclone's idle connection until the check that follows its next operation", async (t) => {
    const { nas, other, bench, client } = await withClient(twoRoutes(t));
    await client.ask(COMMAND.queryDirectory, 1);
    const outcome = await bench.move("fallback", other, true);
    assert.ok(outcome.ok && outcome.quiet, JSON.stringify(outcome));
    assert.equal(client.ending, "open");
    const { lastAnswerAtMs } = bench.share.state();
    client.send(request(COMMAND.queryDirectory, 2));
    await eventually(() => client.received.length === 2 * answerTo(0, 0).length);
    assert.equal(bench.share.state().lastAnswerAtMs, lastAnswerAtMs, "it says nothing of the route in use");
    assert.equal(client.ending, "open", "an operation runs to its end where it began");
    client.send(request(COMMAND.create, 3, lookAtRoot()));
    await eventually(() => client.ending === "reset");
    assert.equal(nas.connections[0]?.bytes.length, 2 * request(COMMAND.queryDirectory, 1).length);
  });

  test("A10 a planned move lets reads continue on the old route until rclone keeps nothing else of it", async (t) => {
    const { nas, other, bench, client } = await withClient(twoRoutes(t, { clock: createManualClock() }));
    const answered = (count: number): Promise<unknown> =>
      eventually(() => client.received.length === count * answerTo(0, 0).length);
    const opened = Buffer.concat([opening(0), request(COMMAND.read, 1)]);
    client.send(opened);
    await answered(2);
    assert.ok((await bench.move("fallback", other, true)).ok);
    await eventually(() => bench.notices.includes("lost"));
    client.send(request(COMMAND.read, 2));
    await answered(3);
    bench.share.usedUp();
    await settle();
    client.send(request(COMMAND.read, 3));
    await eventually(() => client.received.length > 3 * answerTo(0, 0).length);
    assert.equal(nas.joined()[0]?.bytes.length, opened.length + request(COMMAND.read, 2).length);
    client.send(request(COMMAND.create, 4));
    await eventually(() => client.ending === "reset");
  });

  test("A10 a planned move that follows at once also leaves reads on their route until its remains are used up", async (t) => {
    const { nas, other, bench } = await twoRoutes(t, { clock: createManualClock() });
    const lost = (count: number): Promise<unknown> =>
      eventually(() => bench.notices.filter((notice) => notice === "lost").length === count);
    const first = await bench.client();
    first.send(opening(0));
    await eventually(() => first.received.length > 0);
    assert.ok((await bench.move("fallback", other, true)).ok);
    await lost(1);
    const reader = await bench.client();
    const answered = (count: number): Promise<unknown> =>
      eventually(() => reader.received.length === count * answerTo(0, 0).length);
    reader.send(Buffer.concat([opening(0), request(COMMAND.read, 1)]));
    await answered(2);
    assert.ok((await bench.move("tb", nas, true)).ok);
    bench.share.usedUp();
    await lost(2);
    reader.send(request(COMMAND.read, 2));
    await answered(3);
    bench.share.usedUp();
    await settle();
    reader.send(request(COMMAND.read, 3));
    await eventually(() => reader.received.length > 3 * answerTo(0, 0).length);
  });

  test("A10 a planned one resets connections that an unplanned one left without a server", async (t) => {
    const clock = createManualClock();
    const { nas, other, bench, client } = await withClient(twoRoutes(t, { clock }));
    await client.ask(COMMAND.read, 1);
    assert.ok((await bench.move("fallback", other)).ok);
    assert.equal(client.ending, "open", "rclone hears later that its server is lost");
    assert.ok((await passTimeUntilSettled(clock, bench.move("tb", nas, true), 2)).ok);
    await eventually(() => client.ending === "reset");
  });

  test("A10 a connection that waits on a route is used again when the mount returns to it, however many moves later", async (t) => {
    const { nas, other, bench, client } = await withClient(twoRoutes(t, { clock: createManualClock() }));
    await client.ask(COMMAND.queryDirectory, 1);
    for (const _address of ["first", "next"]) assert.ok((await bench.move("fallback", other, true)).ok);
    assert.ok((await bench.move("tb", nas, true)).ok);
    client.send(request(COMMAND.create, 2, lookAtRoot()));
    await eventually(() => client.received.length === 2 * answerTo(0, 0).length);
    assert.equal(client.ending, "open");
  });

  /** A listing waits for its answer on the route that a planned move has left, and a check of the root is held back. */
  async function leftListing(t: TestContext) {
    const { nas, other, bench, client } = await withClient(twoRoutes(t, { clock: createManualClock() }));
    await client.ask(COMMAND.queryDirectory, 1);
    assert.ok((await bench.move("fallback", other, true)).ok);
    nas.mode = "withhold";
    client.send(request(COMMAND.queryDirectory, 2));
    const [server] = await eventually(() => (nas.joined()[0]?.unanswered.length === 1 ? nas.joined() : null));
    assert.ok(server !== undefined);
    const check = request(COMMAND.create, 3, lookAtRoot());
    client.send(check);
    const sent = 2 * request(COMMAND.queryDirectory, 1).length + check.length;
    await eventually(() => bench.accepted[0]?.bytesRead === sent);
    return { nas, bench, client, server };
  }

  test("A10 a planned move that returns sends the delayed requests on its route", async (t) => {
    const { nas, bench, server } = await leftListing(t);
    assert.ok((await bench.move("tb", nas, true)).ok);
    await eventually(() => server.unanswered.length === 2);
  });

  test("A10 a planned one ends its remaining connections on the old route only after the whole of the last answer", async (t) => {
    const { bench, client, server } = await leftListing(t);
    const answer = answerTo(COMMAND.queryDirectory, 2);
    const { bytesDown } = bench.share.state();
    server.socket.write(answer.subarray(0, 70));
    await eventually(() => bench.share.state().bytesDown === bytesDown + 70);
    await settle();
    server.socket.write(answer.subarray(70));
    await eventually(() => client.ending === "reset");
    assert.equal(client.received.length, answerTo(0, 0).length + answer.length);
  });

  test("A10 connections left by a planned one on the old route are reset when a request there has no answer for 2 s", async (t) => {
    const clock = createManualClock();
    const { nas, other, bench, client } = await withClient(twoRoutes(t, { clock }));
    await client.ask(COMMAND.queryDirectory, 1);
    assert.ok((await bench.move("fallback", other, true)).ok);
    nas.mode = "withhold";
    await clock.advance(1_500);
    client.send(request(COMMAND.queryDirectory, 2));
    await eventually(() => nas.joined()[0]?.unanswered.length === 1);
    await clock.advance(1_999);
    assert.equal(bench.share.state().connections, 1);
    // It is looked at every 2 s.
    await clock.advance(501);
    await eventually(() => client.ending === "reset");
  });

  test("A10 a planned move that cuts off delayed requests after 1.4 s reports that it was not quiet", async (t) => {
    const { clock, nas, other, bench, client } = await kernelMount(t);
    nas.mode = "withhold";
    client.send(request(COMMAND.create, 1));
    const [server] = await joined(nas);
    await eventually(() => server?.unanswered.length === 1);
    const moving = bench.move("fallback", other, true);
    await untilLeaving(clock, 1_500);
    client.send(request(COMMAND.create, 2));
    await eventually(() => bench.accepted[0]?.bytesRead === 2 * request(COMMAND.create, 1).length);
    server?.socket.write(answerTo(COMMAND.create, 1));
    await eventually(() => client.received.length > 0);
    const outcome = await passTimeUntilSettled(clock, moving, 2);
    assert.ok(outcome.ok && !outcome.quiet, JSON.stringify(outcome));
    assert.deepEqual(server?.bytes, request(COMMAND.create, 1));
  });

  test("A10 an encrypted session is left after 20 ms of silence", async (t) => {
    const { clock, nas, other, bench, client } = await kernelMount(t);
    assert.equal(bench.share.state().encrypted, false);
    client.send(encrypted());
    await joined(nas);
    await eventually(() => bench.share.state().encrypted);
    await quietly(clock, bench.move("fallback", other, true));
    assert.equal(bench.share.state().encrypted, true, "still told, although that connection is gone");
  });

  test("A10 a planned one waits for a client that has not read its answers", async (t) => {
    const clock = createManualClock();
    const { nas, other, bench, client } = await withClient(
      twoRoutes(t, { kind: "cifs", reads: false, clock, answerBytes: 16_000 }),
    );
    const [accepted] = bench.accepted;
    let asked = 0;
    const size = answerTo(COMMAND.read, 1, Buffer.alloc(16_000)).length;
    // Until the system takes no more of what is answered in whole.
    while (accepted?.writableLength === 0) {
      asked += 1;
      client.send(request(COMMAND.read, asked));
      await eventually(() => bench.share.state().bytesDown === asked * size);
    }
    const moving = bench.move("fallback", other, true);
    await eventually(() => clock.pendingTimers > 0);
    await clock.advance(100);
    let read = 0;
    client.socket.on("data", (chunk: Buffer) => {
      read += chunk.length;
    });
    await eventually(() => read === asked * size);
    await quietly(clock, moving);
    assert.equal(nas.joined().length, 1);
  });

  test("A10 paused connections go over the new route, and are not reset", async (t) => {
    const { nas, other, bench } = await twoRoutes(t);
    await nas.stop();
    const client = await bench.client();
    client.send(request(COMMAND.read, 1));
    await eventually(() => bench.share.state().phase === "waiting");
    const outcome = await bench.move("fallback", other);
    assert.ok(outcome.ok);
    assert.equal(outcome.connections, 0);
    await eventually(() => client.received.length > 0);
    assert.equal(client.ending, "open");
    assert.equal(bench.share.state().phase, "carrying");
  });

  test("A10 two of one share never overlap", async (t) => {
    const { clock, nas, other, bench, client } = await kernelMount(t);
    nas.mode = "withhold";
    client.send(request(COMMAND.read, 1));
    await joined(nas);
    const ended: string[] = [];
    const first = bench.move("fallback", other, true).then((outcome) => {
      ended.push("first");
      return outcome;
    });
    const second = bench.move("tb", nas, false).then((outcome) => {
      ended.push("second");
      return outcome;
    });
    const outcomes = await passTimeUntilSettled(clock, Promise.all([first, second]), 50);
    assert.ok(outcomes.every(({ ok }) => ok));
    assert.deepEqual(ended, ["first", "second"]);
    assert.equal(bench.share.state().route, "tb");
    assert.equal(bench.share.state().moves, 2);
  });

  test("A10 twenty times under load: each answer is whole, and belongs to its connection", async (t) => {
    const [nas, other] = [
      await startFakeNas({ answerBytes: 40_000 }),
      await startFakeNas({ host: "127.0.0.2", answerBytes: 40_000 }),
    ];
    const bench = await startShare(t, { nas, other, kind: "cifs" });
    const ending = new AbortController();
    let answers = 0;
    const load = Array.from({ length: 4 }, async () => {
      while (!ending.signal.aborted) {
        const client = await bench.client();
        for (let id = 1; client.ending === "open" && !ending.signal.aborted; id += 1) {
          const before = client.received.length;
          client.send(request(COMMAND.read, id));
          const wanted = answerTo(COMMAND.read, id, Buffer.alloc(40_000, id & 0xff));
          await eventually(
            () => client.received.length >= before + wanted.length || client.ending !== "open",
          );
          if (client.received.length < before + wanted.length) break;
          assert.deepEqual(client.received.subarray(before), wanted);
          client.received = Buffer.alloc(0);
          answers += 1;
        }
        client.socket.destroy();
      }
    });
    for (let count = 0; count < 20; count += 1) {
      const outcome = await bench.move(count % 2 === 0 ? "fallback" : "tb", count % 2 === 0 ? other : nas);
      assert.ok(outcome.ok, JSON.stringify(outcome));
      await systemClock.sleep(20);
    }
    ending.abort();
    await Promise.all(load);
    assert.ok(answers > 20, `${answers} answers`);
  });
});
