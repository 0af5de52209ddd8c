import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { createHostProber, type HostProberOptions } from "../../../src/network/probe/host-prober.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { collect } from "../../support/collect.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import {
  createNetworkNamespace,
  type NetworkNamespace,
  namespacesUnavailable,
} from "../../support/network-namespace.ts";
import { LOOPBACK_NAME, NO_SECOND_ADDRESS } from "../../support/where.ts";
import { talkTo } from "../line-reader.ts";
import { answerNegotiate, startPeer, staySilent } from "../tcp-peer.ts";

function createProber(more: Partial<HostProberOptions> = {}) {
  return createHostProber({
    clock: systemClock,
    logger: noopLogger,
    resolve: async () => assert.fail("asked for a literal address"),
    ...more,
  });
}

/** For whom an end is expected long before. */
const soon = (timeoutMs = 60_000) => ({ notBeforeMs: systemClock.monotonicMs(), timeoutMs });

test("A2 ten shares on one host need one probe, and the next cycle one more probe", async (t) => {
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

test("A2 an answer has its interface, its local address, and a description", {
  skip: NO_SECOND_ADDRESS,
}, async (t) => {
  const peer = await startPeer(t, answerNegotiate, "127.0.0.2");
  const prober = createProber();
  const result = await prober.probe({ host: "127.0.0.2", port: peer.port, interfaceName: null }, soon());
  assert.equal(result.interfaceName, LOOPBACK_NAME);
  assert.equal(result.address, "127.0.0.2");
  assert.equal(result.text, `127.0.0.2:${peer.port}: answered over ${LOOPBACK_NAME}`);
  assert.deepEqual(peer.from, ["127.0.0.1"]);
  assert.match(result.serverGuid ?? "", /^[0-9a-f]{32}$/);
  assert.ok(result.tookMs >= 0);
});

test("A2 a missing configured interface is a link that is down, without a packet", async (t) => {
  const peer = await startPeer(t, answerNegotiate);
  const prober = createProber();
  const target = { host: "127.0.0.1", port: peer.port, interfaceName: "tb99" };
  const request = soon();
  const result = await prober.probe(target, request);
  assert.deepEqual([result.verdict, result.reason, result.interfaceName], ["gone", "link_down", "tb99"]);
  assert.match(result.text, /tb99 is down or not there/);
  assert.equal(peer.connections, 0);
  assert.equal((await prober.probe({ ...target, interfaceName: null }, request)).verdict, "answers");
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

test("A2 a name without an address is silent, with that reason", async () => {
  const prober = createProber({ resolve: async () => [] });
  const result = await prober.probe({ host: "nas.local", port: 445, interfaceName: null }, soon());
  assert.deepEqual([result.verdict, result.reason, result.address], ["silent", "unresolved", null]);
  assert.equal(result.text, "nas.local has no address");
});

test("A2 the first of a name's addresses to answer wins, and is probed first from then on", {
  skip: NO_SECOND_ADDRESS,
}, async (t) => {
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
  for (const laterMs of [1, 2])
    await prober.probe(target, { notBeforeMs: clock.monotonicMs() + laterMs, timeoutMs: 400 });
  assert.equal(silent.connections, asked);
  assert.equal(peer.connections, 3);
});

test("A2 a name is gone only when each of its addresses is", { skip: NO_SECOND_ADDRESS }, async (t) => {
  const port = await freePort();
  const peer = await startPeer(t, staySilent, "127.0.0.2", port);
  let addresses = ["127.0.0.1", "127.0.0.2"];
  const clock = createManualClock();
  const prober = createProber({ clock, resolve: async () => addresses });
  const request = { notBeforeMs: clock.monotonicMs(), timeoutMs: 200 };
  const probing = prober.probe({ host: "nas", port, interfaceName: null }, request);
  await eventually(() => peer.connections === 1);
  await clock.advance(150);
  const open = await probing;
  assert.deepEqual([open.verdict, open.reason, open.tookMs], ["silent", "smb_timeout", 150]);
  addresses = ["127.0.0.1", "127.0.0.3"];
  const gone = await prober.probe({ host: "other", port, interfaceName: null }, request);
  assert.deepEqual([gone.verdict, gone.reason], ["gone", "refused"]);
});

test("A2 after a change of the network, a name is resolved again at its next probe", async (t) => {
  const peer = await startPeer(t, answerNegotiate);
  let resolved = 0;
  const prober = createProber({
    resolve: async () => {
      resolved += 1;
      return ["127.0.0.1"];
    },
  });
  const target = { host: "nas", port: peer.port, interfaceName: null };
  for (const expected of [1, 1, 2]) {
    if (expected === 2) prober.networkChanged();
    await prober.probe(target, soon());
    assert.equal(resolved, expected);
  }
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

test("A2 a resolver that never answers uses up the timeout, not the cycle", async () => {
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

test("disposal ends probes in progress at once, and later queries also", async (t) => {
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

// Probes over links that are cut, in namespaces of their own.
const skip = (await namespacesUnavailable()) ?? false;
const program = (name: string): string => new URL(`../programs/${name}`, import.meta.url).pathname;

/** While it is not known yet how the link is: what is asked too early costs no more than this. */
const BRIEF_MS = 1_000;

interface Rig {
  readonly near: NetworkNamespace;
  readonly far: NetworkNamespace;
  /** Probes and gives `verdict reason interface`. */
  readonly ask: (host: string, interfaceName?: string, timeoutMs?: number) => Promise<string>;
  /** Connections that the near side has begun so far, whatever came of them. */
  readonly begun: () => Promise<number>;
}

/** `tb0` 10.99.1.0/24 and `eth1` 10.99.2.0/24 (also the default route) to a far side that answers on 445. */
async function createRig(t: TestContext): Promise<Rig> {
  const near = await createNetworkNamespace(t);
  const far = await createNetworkNamespace(t);
  // With equal indexes at both ends the kernel tells a lost carrier up to a second late.
  await far.ip("link", "add", "spare0", "type", "veth", "peer", "name", "spare1");
  for (const [index, name] of ["tb0", "eth1"].entries()) {
    await near.ip("link", "add", name, "type", "veth", "peer", "name", `far${index}`, "netns", far.name);
    await near.ip("addr", "add", `10.99.${index + 1}.2/24`, "dev", name);
    await far.ip("addr", "add", `10.99.${index + 1}.1/24`, "dev", `far${index}`);
    await near.ip("link", "set", name, "up");
    await far.ip("link", "set", `far${index}`, "up");
  }
  // The trap: with tb0 down, the far side would answer for 10.99.1.1 by way of the default route.
  await near.ip("route", "add", "default", "via", "10.99.2.1");
  const server = far.spawn(process.execPath, [program("answer.ts")]);
  const { stdout } = collect(server);
  await eventually(() => stdout().includes("listening"), 60_000);
  const prober = talkTo(near.spawn(process.execPath, [program("probe.ts")]));
  return {
    near,
    far,
    async ask(host, interfaceName = "-", timeoutMs = 15_000) {
      const from = prober.lines.length;
      prober.send(`${host} 445 ${interfaceName} ${timeoutMs}`);
      const result = await prober.waitFor(() => true, from);
      return `${result["verdict"]} ${result["reason"]} ${result["interfaceName"]}`;
    },
    async begun() {
      const cat = near.spawn("cat", ["/proc/net/snmp"]);
      const [names, values] = (await text(cat.stdout)).split("\n").filter((line) => line.startsWith("Tcp:"));
      return Number(values?.split(" ")[names?.split(" ").indexOf("ActiveOpens") ?? -1]);
    },
  };
}

test("A2 a host that was on-link and is on no interface now is unreachable without a packet", {
  skip,
}, async (t) => {
  const { near, far, ask, begun } = await createRig(t);
  assert.equal(await ask("10.99.1.1"), "answers negotiated tb0");
  assert.equal(await ask("10.99.2.1"), "answers negotiated eth1");
  for (const [cut, mend] of [
    [() => near.ip("link", "set", "tb0", "down"), () => near.ip("link", "set", "tb0", "up")],
    [() => far.ip("link", "set", "far0", "down"), () => far.ip("link", "set", "far0", "up")],
  ] as const) {
    await cut();
    // The kernel may take up to a second to say that the far end is down.
    await eventually(async () => (await ask("10.99.1.1", "-", BRIEF_MS)) === "gone link_down tb0");
    const before = await begun();
    assert.ok(before > 0);
    for (let count = 0; count < 5; count += 1) assert.equal(await ask("10.99.1.1"), "gone link_down tb0");
    assert.equal(await ask("10.99.1.1", "tb0"), "gone link_down tb0");
    assert.equal(await begun(), before, "nothing left by the other link");
    assert.equal(await ask("10.99.2.1"), "answers negotiated eth1");
    await mend();
    await eventually(async () => (await ask("10.99.1.1", "-", BRIEF_MS)) === "answers negotiated tb0");
  }
});

test("A2 a probe does not wait for an answer over a link that has gone down", { skip }, async (t) => {
  const { near, ask, begun } = await createRig(t);
  assert.equal(await ask("10.99.1.1"), "answers negotiated tb0");
  await near.ip("neigh", "replace", "10.99.1.1", "lladdr", "02:00:00:00:00:99", "dev", "tb0");
  const before = await begun();
  const silent = ask("10.99.1.1", "-", 600_000);
  await eventually(async () => (await begun()) > before);
  await near.ip("link", "set", "tb0", "down");
  // The program tells the prober of a change with each question.
  void ask("10.99.2.1");
  assert.equal(await silent, "gone link_down tb0");
});

test("A2 a host that never was on-link is probed by the existing route", { skip }, async (t) => {
  const { near, ask } = await createRig(t);
  await near.ip("link", "set", "tb0", "down");
  assert.equal(await ask("10.99.1.1"), "answers negotiated null", "routed on purpose, for all we know");
  assert.equal(await ask("10.99.1.1", "tb0"), "gone link_down tb0", "unless an interface is configured");
});

test("A2 no route at all is gone at once", { skip }, async (t) => {
  const { near, ask } = await createRig(t);
  await near.ip("route", "del", "default");
  assert.equal(await ask("192.0.2.1"), "gone no_route null");
});

test("A2 IPv6, global and link-local with its zone, leaves by the right link", { skip }, async (t) => {
  const { near, far, ask } = await createRig(t);
  await near.ip("-6", "addr", "add", "fd00:99::2/64", "dev", "tb0", "nodad");
  await far.ip("-6", "addr", "add", "fd00:99::1/64", "dev", "far0", "nodad");
  await far.ip("-6", "addr", "add", "fe80::99/64", "dev", "far0", "nodad");
  await near.ip("-6", "addr", "add", "fe80::98/64", "dev", "tb0", "nodad");
  assert.equal(await ask("fd00:99::1"), "answers negotiated tb0");
  await eventually(async () => (await ask("fe80::99%tb0", "-", BRIEF_MS)) === "answers negotiated tb0");
  assert.equal(await ask("fe80::99", "tb0"), "answers negotiated tb0");
  await near.ip("link", "set", "tb0", "down");
  assert.equal(await ask("fd00:99::1"), "gone link_down tb0");
  assert.equal(await ask("fe80::99%tb0"), "gone link_down tb0");
});
