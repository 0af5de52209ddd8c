import assert from "node:assert/strict";
import test from "node:test";
import { createHostProber, type HostProberOptions } from "../../../src/network/probe/host-prober.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { answerNegotiate, startPeer, staySilent } from "../tcp-peer.ts";

function createProber(more: Partial<HostProberOptions> = {}) {
  return createHostProber({
    clock: systemClock,
    logger: silentLogger,
    resolve: async () => assert.fail("asked for a literal address"),
    ...more,
  });
}

/** For whom an end is expected long before. */
const soon = (timeoutMs = 60_000) => ({ notBeforeMs: systemClock.monotonicMs(), timeoutMs });

test("A2 ten shares on one host cost one probe, and the next cycle one more", async (t) => {
  const peer = await startPeer(t, answerNegotiate);
  const prober = createProber();
  const target = { host: "127.0.0.1", port: peer.port, interfaceName: null };
  for (const cycle of [1, 2]) {
    const request = soon();
    const results = await Promise.all(Array.from({ length: 10 }, () => prober.probe({ ...target }, request)));
    assert.ok(results.every((result) => result === results[0]));
    assert.equal(peer.connections, cycle);
    assert.equal((await prober.probe(target, request)).verdict, "answers");
    assert.equal(peer.connections, cycle, "an answer begun late enough is shared after it came");
  }
});

test("A2 an answer says over which interface, from which address, and in words", async (t) => {
  const peer = await startPeer(t, answerNegotiate, "127.0.0.2");
  const prober = createProber();
  const result = await prober.probe({ host: "127.0.0.2", port: peer.port, interfaceName: null }, soon());
  assert.equal(result.interfaceName, "lo");
  assert.equal(result.address, "127.0.0.2");
  assert.equal(result.text, `127.0.0.2:${peer.port}: answered over lo`);
  assert.deepEqual(peer.from, ["127.0.0.1"]);
  assert.equal(result.localAddress, "127.0.0.1");
  assert.match(result.serverGuid ?? "", /^[0-9a-f]{32}$/);
  assert.ok(result.tookMs >= 0);
});

test("A2 a configured interface that is not there is a link that is down, without a packet", async (t) => {
  const peer = await startPeer(t, answerNegotiate);
  const prober = createProber();
  const result = await prober.probe({ host: "127.0.0.1", port: peer.port, interfaceName: "tb99" }, soon());
  assert.deepEqual([result.verdict, result.reason, result.interfaceName], ["gone", "link_down", "tb99"]);
  assert.match(result.text, /tb99 is down or not there/);
  assert.equal(peer.connections, 0);
});

test("A2 silence takes the timeout and no longer; refusal takes none", async (t) => {
  const peer = await startPeer(t, staySilent);
  const clock = createManualClock();
  const prober = createProber({ clock });
  const request = { notBeforeMs: clock.monotonicMs(), timeoutMs: 200 };
  const probing = prober.probe({ host: "127.0.0.1", port: peer.port, interfaceName: null }, request);
  await eventually(() => peer.connections === 1);
  await clock.advance(199);
  assert.equal(peer.open, 1);
  await clock.advance(1);
  const silent = await probing;
  assert.deepEqual([silent.verdict, silent.reason, silent.tcpAnswered], ["silent", "smb_timeout", true]);
  assert.equal(silent.tookMs, 200);
  const closed = { host: "127.0.0.1", port: await freePort(), interfaceName: null };
  const refused = await prober.probe(closed, request);
  assert.deepEqual([refused.verdict, refused.reason, refused.tookMs], ["gone", "refused", 0]);
});

test("A2 a name without an address is silent, and says so", async () => {
  const prober = createProber({ resolve: async () => [] });
  const result = await prober.probe({ host: "nas.local", port: 445, interfaceName: null }, soon());
  assert.deepEqual([result.verdict, result.reason, result.address], ["silent", "unresolved", null]);
  assert.equal(result.text, "nas.local has no address");
});

test("A2 of a name's addresses the first to answer wins, and is asked first from then on", async (t) => {
  const port = await freePort();
  const silent = await startPeer(t, staySilent, "127.0.0.1", port);
  const peer = await startPeer(t, answerNegotiate, "127.0.0.2", port);
  const clock = createManualClock();
  const prober = createProber({ clock, resolve: async () => ["127.0.0.1", "127.0.0.2"] });
  const target = { host: "nas", port, interfaceName: null };
  assert.deepEqual(prober.addressesOf("nas"), []);
  const probing = prober.probe(target, { notBeforeMs: clock.monotonicMs(), timeoutMs: 400 });
  await eventually(() => silent.connections === 1);
  await clock.advance(99);
  assert.equal(peer.connections, 0, "the first has a head start");
  await clock.advance(1);
  const first = await probing;
  assert.deepEqual([first.verdict, first.address], ["answers", "127.0.0.2"]);
  assert.match(first.text, /^nas \(127\.0\.0\.2:\d+\): answered/);
  assert.deepEqual(prober.addressesOf("nas"), ["127.0.0.1", "127.0.0.2"]);
  const asked = silent.connections;
  // By a clock that stands still: the one that answered needs no head start to pass.
  await prober.probe(target, { notBeforeMs: clock.monotonicMs() + 1, timeoutMs: 400 });
  assert.equal(silent.connections, asked);
  assert.equal(peer.connections, 2);
});

test("A2 a name is gone only when each of its addresses is", async (t) => {
  const port = await freePort();
  const peer = await startPeer(t, staySilent, "127.0.0.2", port);
  let addresses = ["127.0.0.1", "127.0.0.2"];
  const clock = createManualClock();
  const prober = createProber({ clock, resolve: async () => addresses });
  const request = { notBeforeMs: clock.monotonicMs(), timeoutMs: 200 };
  const probing = prober.probe({ host: "nas", port, interfaceName: null }, request);
  await eventually(() => peer.connections === 1);
  await clock.advance(200);
  const open = await probing;
  assert.deepEqual([open.verdict, open.reason], ["silent", "smb_timeout"]);
  addresses = ["127.0.0.1", "127.0.0.3"];
  const gone = await prober.probe({ host: "other", port, interfaceName: null }, request);
  assert.deepEqual([gone.verdict, gone.reason], ["gone", "refused"]);
});

test("A2 two names of one address share its probe", async (t) => {
  const peer = await startPeer(t, answerNegotiate);
  const prober = createProber({ resolve: async () => ["127.0.0.1"] });
  const askBoth = async (): Promise<void> => {
    const request = soon();
    const both = await Promise.all(
      ["nas", "nas.local"].map((host) =>
        prober.probe({ host, port: peer.port, interfaceName: null }, request),
      ),
    );
    assert.ok(both.every(({ verdict }) => verdict === "answers"));
  };
  await askBoth();
  const resolving = peer.connections;
  await askBoth();
  assert.equal(peer.connections, resolving + 1);
});

test("A2 a resolver that never answers costs the timeout, not the cycle", async () => {
  const clock = createManualClock();
  const prober = createProber({ clock, resolve: () => new Promise(() => {}) });
  const pending = prober.probe(
    { host: "nas", port: 445, interfaceName: null },
    { notBeforeMs: clock.monotonicMs(), timeoutMs: 800 },
  );
  await clock.advance(800);
  assert.equal((await pending).reason, "unresolved");
});

test("A2 a hundred silent hosts at once take one timeout; beyond the limit they queue", async (t) => {
  const peer = await startPeer(t, staySilent, "0.0.0.0");
  const clock = createManualClock();
  const prober = createProber({ clock, maxAtOnce: 50 });
  const request = { notBeforeMs: clock.monotonicMs(), timeoutMs: 200 };
  const probing = Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      prober.probe({ host: `127.0.1.${index + 1}`, port: peer.port, interfaceName: null }, request),
    ),
  );
  for (const connections of [50, 100]) {
    await eventually(() => peer.connections >= connections);
    await clock.advance(199);
    assert.equal(peer.connections, connections);
    await clock.advance(1);
  }
  assert.ok((await probing).every(({ reason }) => reason === "smb_timeout"));
  await eventually(() => peer.open === 0);
});

test("disposal ends what is under way at once, and later questions too", async (t) => {
  const peer = await startPeer(t, staySilent);
  const prober = createProber();
  const target = { host: "127.0.0.1", port: peer.port, interfaceName: null };
  const pending = prober.probe(target, soon(60_000));
  await eventually(() => peer.open === 1);
  prober[Symbol.dispose]();
  assert.equal((await pending).verdict, "silent");
  await eventually(() => peer.open === 0);
  assert.equal((await prober.probe(target, soon(60_000))).verdict, "silent");
  assert.equal(peer.connections, 1);
});

test("a round over twenty hosts is cheap", async (t) => {
  const peer = await startPeer(t, answerNegotiate, "0.0.0.0");
  const prober = createProber();
  const round = async (): Promise<void> => {
    const request = soon();
    const targets = Array.from({ length: 20 }, (_, index) => ({
      host: `127.0.1.${index + 1}`,
      port: peer.port,
      interfaceName: null,
    }));
    const results = await Promise.all(targets.map((target) => prober.probe(target, request)));
    assert.ok(results.every(({ verdict }) => verdict === "answers"));
  };
  for (let warm = 0; warm < 20; warm += 1) await round();
  const before = process.cpuUsage();
  for (let count = 0; count < 20; count += 1) await round();
  const { user, system } = process.cpuUsage(before);
  const perRoundMs = (user + system) / 1_000 / 20;
  t.diagnostic(`${perRoundMs.toFixed(2)} ms of CPU a round, the peers in this process included`);
  // A hundred times what was measured: no busy machine's share, only a mistake, costs so much.
  assert.ok(perRoundMs < 1_000, `${perRoundMs} ms`);
});
