// What is kept of what is heard: only senders of the link count, about addresses of its subnet.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createHeard } from "../../../src/network/discover/discover.ts";
import { createDnsSd } from "../../../src/network/discover/dns-sd.ts";
import { createWsDiscovery } from "../../../src/network/discover/ws-discovery.ts";
import { snapshotOf } from "../../../src/network/interfaces.ts";
import { advertised, answer, nameBytes, record } from "./packets.ts";

const OWN = snapshotOf(
  {
    tb0: [{ address: "10.0.1.1", netmask: "255.255.255.0", cidr: "10.0.1.1/24" }],
    eth0: [{ address: "10.0.2.1", netmask: "255.255.255.0", cidr: "10.0.2.1/24" }],
  },
  0,
).addresses;

function listening() {
  const heard = createHeard(OWN);
  const [tb0, eth0] = OWN;
  assert.ok(tb0 && eth0);
  const ears = {
    tb0: heard.listener(tb0, "dns-sd", createDnsSd()),
    eth0: heard.listener(eth0, "dns-sd", createDnsSd()),
  };
  return { ears, heard: () => heard.all().map(({ address, name }) => `${name} ${address}`) };
}

describe("F3 what was heard is a claim", () => {
  test("a server of the link is kept, once, with its names and the link", () => {
    const { ears, heard } = listening();
    const message = advertised("CORE", { address: "10.0.1.2" });
    ears.tb0.take(message, "10.0.1.2");
    ears.tb0.take(message, "10.0.1.2");
    assert.deepEqual(heard(), ["CORE 10.0.1.2"]);
  });

  test("a sender of another network is not heard, and neither is an address of another network, our own, or none", () => {
    const { ears, heard } = listening();
    ears.tb0.take(advertised("CORE", { address: "10.0.1.2" }), "10.0.2.2");
    ears.tb0.take(advertised("A", { host: "a", address: "10.0.2.2" }), "10.0.1.2");
    ears.tb0.take(advertised("B", { host: "b", address: "192.0.2.1" }), "10.0.1.2");
    ears.tb0.take(advertised("C", { host: "c", address: "10.0.1.1" }), "10.0.1.2");
    ears.tb0.take(advertised("D", { host: "d", address: "10.0.1.2", port: 0 }), "10.0.1.2");
    assert.deepEqual(heard(), []);
  });

  test("two of one name are two, and nothing heard on one link answers a question of another", () => {
    const { ears, heard } = listening();
    ears.tb0.take(advertised("CORE", { address: "10.0.1.2" }), "10.0.1.2");
    ears.eth0.take(advertised("CORE", { address: "10.0.2.66" }), "10.0.2.66");
    const host = nameBytes(["core", "local"]);
    ears.eth0.take(answer([record(host, "A", Buffer.from([10, 0, 1, 66]))]), "10.0.2.66");
    assert.deepEqual(heard(), ["CORE 10.0.1.2", "CORE 10.0.2.66"]);
  });

  test("names are harmless and short", () => {
    const { ears, heard } = listening();
    ears.tb0.take(advertised("CO\u001b[2JRE\u202e", { address: "10.0.1.2" }), "10.0.1.2");
    assert.deepEqual(heard(), ["CO\\x1b[2JRE\\u{202e} 10.0.1.2"]);
    const long = createHeard(OWN);
    const [tb0] = OWN;
    assert.ok(tb0);
    long.add(tb0, "dns-sd", { address: "10.0.1.3", port: 445, name: "x".repeat(5_000), host: null });
    assert.equal(long.all()[0]?.name?.length, 64);
  });

  test("64 servers at most, 512 messages at most, none of more than 9,000 bytes", () => {
    const { ears, heard } = listening();
    for (let last = 2; last < 102; last++)
      ears.tb0.take(
        advertised(`N${last}`, { host: `h${last}`, address: `10.0.1.${last}` }),
        `10.0.1.${last}`,
      );
    assert.equal(heard().length, 64);
    const late = listening();
    const long = Buffer.concat([advertised("CORE", { address: "10.0.1.2" }), Buffer.alloc(9_000)]);
    for (let sent = 0; sent < 512; sent++) late.ears.tb0.take(long, "10.0.1.2");
    late.ears.tb0.take(advertised("CORE", { address: "10.0.1.2" }), "10.0.1.2");
    assert.deepEqual(late.heard(), []);
  });
});

test("what an answer leaves open is asked once", () => {
  const dns = createDnsSd();
  const pointer = answer([
    record(nameBytes(["_smb", "_tcp", "local"]), "PTR", nameBytes(["CORE", "_smb", "_tcp", "local"])),
  ]);
  const { ask, claims } = dns.take(pointer, "10.0.1.2");
  assert.ok(ask?.includes("CORE"));
  assert.deepEqual(claims, []);
  assert.equal(dns.take(pointer, "10.0.1.2").ask, null);
});

test("WS-Discovery: an answer to our question from a computer is a claim of its sender; anything else is none", () => {
  const discovery = createWsDiscovery();
  const [id = assert.fail()] = /urn:uuid:[\da-f-]+/.exec(discovery.question().toString()) ?? [];
  const match = (to: string, types: string): Buffer =>
    Buffer.from(`<ProbeMatches><RelatesTo>${to}</RelatesTo><Types>${types}</Types></ProbeMatches>`);
  const claimed = (message: Buffer): number => discovery.take(message, "10.0.1.2").claims.length;
  assert.deepEqual(discovery.take(match(id, "wsdp:Device pub:Computer"), "10.0.1.2").claims, [
    { address: "10.0.1.2", port: 445, name: null, host: null },
  ]);
  assert.equal(claimed(match("urn:uuid:another", "pub:Computer")), 0);
  assert.equal(claimed(match(id, "wprt:PrintDeviceType")), 0);
  assert.equal(claimed(Buffer.alloc(65_507, 0xff)), 0);
});
