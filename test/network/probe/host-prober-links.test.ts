// Probes over links that are cut, in namespaces of their own.
import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import test, { type TestContext } from "node:test";
import { eventually } from "../../support/eventually.ts";
import {
  createNetworkNamespace,
  type NetworkNamespace,
  namespacesUnavailable,
} from "../../support/network-namespace.ts";
import { talkTo } from "../line-reader.ts";

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
  let listening = "";
  server.stdout.on("data", (chunk) => {
    listening += String(chunk);
  });
  await eventually(() => listening.includes("listening"), 60_000);
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

test("A2 nobody waits for an answer over a link that went down meanwhile", { skip }, async (t) => {
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

test("A2 a host that never was on-link is asked by the route there is", { skip }, async (t) => {
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
