// Connections that a server refuses because it has too many: how the carrier waits, tries again and gives up.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../../support/eventually.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { COMMAND, lookAtRoot, opening, request } from "../smb-messages.ts";
import { joined, oneRoute } from "./share-bench.ts";

const NOT_ACCEPTED = 0xc00000d0;

/** A share of whose connections the server has taken three, and refused a fourth. */
async function limited(t: Parameters<typeof oneRoute>[0]) {
  const clock = createManualClock();
  const { nas, bench } = await oneRoute(t, { clock, patienceMs: 60_000 });
  const next = async () => {
    const client = await bench.client();
    const before = bench.accepted.length;
    await eventually(() => bench.accepted.length >= before);
    await settle();
    return client;
  };
  const clients = [await next(), await next(), await next()] as const;
  for (const client of clients) await client.ask(COMMAND.treeConnect, 1);
  nas.logon = NOT_ACCEPTED;
  const refused = await next();
  await refused.ask(COMMAND.sessionSetup, 1);
  nas.logon = 0;
  const limit = () => bench.share.state().limit;
  assert.deepEqual(limit(), { most: 3, waiting: 0 });
  return { clock, nas, bench, clients, refused, next, limit };
}

test("A17 a connection over the server's limit waits for two of the others to end, so that one stays free for proofs, and does not count as an unanswered request", async (t) => {
  const { nas, bench, clients, next, limit } = await limited(t);
  const waits = await next();
  waits.send(opening(1));
  await eventually(() => limit()?.waiting === 1);
  assert.equal(bench.share.state().unansweredSinceMs, null);
  clients[0].socket.destroy();
  await eventually(() => bench.share.state().connections === 4);
  assert.equal(limit()?.waiting, 1);
  clients[1].socket.destroy();
  await joined(nas, 5);
  assert.equal(limit()?.waiting, 0);
  assert.ok(bench.notices.includes("phase"));
});

test("A17 one further connection is tried after a pause, one at a time; waiting ones get an error after the patience; the limit is forgotten when none waits", async (t) => {
  const { clock, nas, bench, refused, next, limit } = await limited(t);
  await clock.advance(20_000);
  const [tried, waits] = [await next(), await next()];
  await eventually(() => limit()?.waiting === 2);
  await clock.advance(1_500);
  await eventually(() => refused.ending !== "open");
  assert.equal(nas.joined().length, 4);
  await clock.advance(39_000);
  await joined(nas, 5);
  await clock.advance(5_000);
  assert.deepEqual([limit()?.waiting, tried.ending, waits.ending], [1, "open", "open"]);
  await tried.ask(COMMAND.treeConnect, 1);
  assert.deepEqual(limit()?.most, 3);
  nas.logon = NOT_ACCEPTED;
  await clock.advance(1_000);
  await joined(nas, 6);
  assert.equal(limit()?.most, 4, "the server has taken four by now");
  await waits.ask(COMMAND.sessionSetup, 1);
  const [late, last] = [await next(), await next()];
  await eventually(() => limit()?.waiting === 2);
  await clock.advance(61_000);
  await eventually(() => last.ending === "reset");
  assert.equal(late.ending, "open", "it is tried when its patience ends");
  await late.ask(COMMAND.treeConnect, 1);
  await clock.advance(31_000);
  assert.equal(limit(), null);
  assert.equal(bench.share.state().connections, 5);
});

test("A17 while one waits, a connection ends before the check that rclone makes of it after an operation", async (t) => {
  const { bench, clients, next, limit } = await limited(t);
  const [, first, second] = clients;
  await next();
  await eventually(() => limit()?.waiting === 1);
  for (const client of [first, second]) {
    client.send(opening(2));
    await client.ask(COMMAND.close, 3);
    assert.equal(client.ending, "open");
    client.send(request(COMMAND.create, 4, lookAtRoot()));
    await eventually(() => client.ending !== "open");
  }
  await eventually(() => limit()?.waiting === 0);
  assert.equal(bench.share.state().connections, 3);
});

/** A share with three connections, and a fourth that has sent its first request and has no answer. */
async function withSilent(t: Parameters<typeof oneRoute>[0]) {
  const clock = createManualClock();
  const { nas, bench } = await oneRoute(t, { clock, patienceMs: 60_000 });
  const taken = [await bench.client(), await bench.client(), await bench.client()];
  await joined(nas, 3);
  for (const client of taken) await client.ask(COMMAND.treeConnect, 1);
  nas.mode = "withhold";
  const client = await bench.client();
  client.send(opening(1));
  const fresh = (await joined(nas, 4))[3];
  await eventually(() => fresh?.unanswered.length === 1);
  return { clock, nas, bench, client, fresh, limit: () => bench.share.state().limit };
}

test("A17 a server that closes a connection before the first answer has too many only if the others last", async (t) => {
  const { clock, bench, client, fresh, limit } = await withSilent(t);
  fresh?.socket.resetAndDestroy();
  await settle();
  await clock.advance(100);
  assert.deepEqual([limit(), client.ending], [null, "open"]);
  await clock.advance(200);
  await eventually(() => client.ending === "reset");
  assert.equal(limit()?.most, 3);
  assert.equal(bench.share.state().phase, "carrying");
});

test("A17 a server that restarts has no limit, although it closes a fresh connection first", async (t) => {
  const { clock, nas, bench, fresh, limit } = await withSilent(t);
  fresh?.socket.resetAndDestroy();
  await settle();
  for (const { socket } of nas.joined()) socket.resetAndDestroy();
  await eventually(() => bench.share.state().phase !== "carrying");
  await clock.advance(300);
  assert.equal(limit(), null);
});

test("A17 a refused connection that its server closes does not make the server suspect; after a new proof, waiting connections are tried at once, one by one", async (t) => {
  const { clock, nas, bench, next, limit } = await limited(t);
  nas.joined()[3]?.socket.resetAndDestroy();
  await eventually(() => nas.joined()[3]?.socket.destroyed === true);
  await settle();
  assert.equal(bench.share.state().phase, "carrying");
  const waits = await next();
  await eventually(() => limit()?.waiting === 1);
  nas.joined()[0]?.socket.resetAndDestroy();
  await eventually(() => bench.share.state().phase !== "carrying");
  assert.equal(limit()?.waiting, 0, "it waits for the route");
  bench.share.confirm(null);
  await clock.advance(500);
  waits.send(opening(1));
  await joined(nas, 5);
});
