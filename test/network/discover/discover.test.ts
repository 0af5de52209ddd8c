// What is kept of what is heard: only senders of the link count, about addresses of its subnets; and how it is read.
import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createHeard, discoverServers } from "../../../src/network/discover/discover.ts";
import {
  type DnsName,
  dnsQuery,
  nameKey,
  readDnsRecords,
} from "../../../src/network/discover/dns-message.ts";
import { createDnsSd } from "../../../src/network/discover/dns-sd.ts";
import { parseArp, parseHardwarePorts } from "../../../src/network/discover/links-darwin.ts";
import { parseProcArp, readLinksLinux } from "../../../src/network/discover/links-linux.ts";
import { createWsDiscovery } from "../../../src/network/discover/ws-discovery.ts";
import { snapshotOf } from "../../../src/network/interfaces.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
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
  return { ears, add: heard.add, heard: () => heard.all().map(({ address, name }) => `${name} ${address}`) };
}

describe("F3 a heard message is a claim", () => {
  test("a server on the link is listed once, with its names and the link", () => {
    const { ears, heard } = listening();
    const message = advertised("CORE", { address: "10.0.1.2" });
    ears.tb0.take(message, "10.0.1.2");
    ears.tb0.take(message, "10.0.1.2");
    assert.deepEqual(heard(), ["CORE 10.0.1.2"]);
  });

  test("a sender from another network is ignored, and so is an address of another network, our own, or an absent one", () => {
    const { ears, heard } = listening();
    ears.tb0.take(advertised("CORE", { address: "10.0.1.2" }), "10.0.2.2");
    ears.tb0.take(advertised("A", { host: "a", address: "10.0.2.2" }), "10.0.1.2");
    ears.tb0.take(advertised("B", { host: "b", address: "192.0.2.1" }), "10.0.1.2");
    ears.tb0.take(advertised("C", { host: "c", address: "10.0.1.1" }), "10.0.1.2");
    ears.tb0.take(advertised("D", { host: "d", address: "10.0.1.2", port: 0 }), "10.0.1.2");
    assert.deepEqual(heard(), []);
  });

  test("two servers of one name are two, and a message from one link answers no question of another", () => {
    const { ears, heard } = listening();
    ears.tb0.take(advertised("CORE", { address: "10.0.1.2" }), "10.0.1.2");
    ears.eth0.take(advertised("CORE", { address: "10.0.2.66" }), "10.0.2.66");
    const host = nameBytes(["core", "local"]);
    ears.eth0.take(answer([record(host, "A", Buffer.from([10, 0, 1, 66]))]), "10.0.2.66");
    assert.deepEqual(heard(), ["CORE 10.0.1.2", "CORE 10.0.2.66"]);
  });

  test("names are neutralized and short", () => {
    const { ears, heard } = listening();
    ears.tb0.take(advertised("CO\u001b[2JRE\u202e", { address: "10.0.1.2" }), "10.0.1.2");
    assert.deepEqual(heard(), ["CO\\x1b[2JRE\\u{202e} 10.0.1.2"]);
    const long = createHeard(OWN);
    const [tb0] = OWN;
    assert.ok(tb0);
    long.add(tb0, "dns-sd", {
      address: "10.0.1.3",
      port: 445,
      name: "x".repeat(5_000),
      host: null,
      byItself: true,
    });
    assert.equal(long.all()[0]?.name?.length, 64);
  });

  test("an address's statement about itself replaces one by another, whichever came first", () => {
    const { ears, heard } = listening();
    const evil = advertised("EVIL", { address: "10.0.1.2" });
    ears.tb0.take(evil, "10.0.1.66");
    ears.tb0.take(advertised("CORE", { address: "10.0.1.2" }), "10.0.1.66");
    assert.deepEqual(heard(), ["EVIL 10.0.1.2"]);
    ears.tb0.take(advertised("CORE", { address: "10.0.1.2" }), "10.0.1.2");
    ears.tb0.take(evil, "10.0.1.67");
    assert.deepEqual(heard(), ["CORE 10.0.1.2"]);
  });

  test("64 servers at most over all links, with space left for another link and for neighbours; 512 messages at most, none of more than 9,000 bytes", () => {
    const { ears, add, heard } = listening();
    for (let last = 2; last < 102; last++)
      ears.tb0.take(
        advertised(`N${last}`, { host: `h${last}`, address: `10.0.1.${last}` }),
        `10.0.1.${last}`,
      );
    assert.equal(heard().length, 32);
    ears.eth0.take(advertised("CORE", { address: "10.0.2.2" }), "10.0.2.2");
    const [tb0 = assert.fail()] = OWN;
    add(tb0, "neighbour", { address: "10.0.1.200", port: 445, name: null, host: null, byItself: false });
    assert.deepEqual(heard().slice(32), ["CORE 10.0.2.2", "null 10.0.1.200"]);
    const crowded = snapshotOf(
      Object.fromEntries(
        Array.from({ length: 16 }, (_, at) => {
          const address = `10.9.${at}.1`;
          return [`link${at}`, [{ address, netmask: "255.255.255.0", cidr: `${address}/24` }]];
        }),
      ),
      0,
    ).addresses;
    const ofMany = createHeard(crowded);
    const [one = assert.fail()] = crowded;
    for (let last = 2; last < 20; last++)
      ofMany.add(one, "dns-sd", {
        address: `10.9.0.${last}`,
        port: 445,
        name: null,
        host: null,
        byItself: true,
      });
    assert.equal(ofMany.all().length, 8, "each link may list this many, however many links there are");
    const late = listening();
    const long = Buffer.concat([advertised("CORE", { address: "10.0.1.2" }), Buffer.alloc(9_000)]);
    for (let sent = 0; sent < 512; sent++) late.ears.tb0.take(long, "10.0.1.2");
    late.ears.tb0.take(advertised("CORE", { address: "10.0.1.2" }), "10.0.1.2");
    assert.deepEqual(late.heard(), []);
  });
});

test("details missing in an answer are requested once", () => {
  const dns = createDnsSd();
  const pointer = answer([
    record(nameBytes(["_smb", "_tcp", "local"]), "PTR", nameBytes(["CORE", "_smb", "_tcp", "local"])),
  ]);
  const { question, claims } = dns.take(pointer, "10.0.1.2");
  assert.ok(question?.includes("CORE"));
  assert.deepEqual(claims, []);
  assert.equal(dns.take(pointer, "10.0.1.2").question, null);
  const more = Array.from({ length: 20 }, (_, at) =>
    record(nameBytes(["_smb", "_tcp", "local"]), "PTR", nameBytes([`n${at}`, "local"])),
  );
  const next = dns.take(answer(more), "10.0.1.2").question;
  assert.deepEqual([next?.readUInt16BE(4), next?.includes("CORE")], [16, false], "sixteen at a time");
});

test("512 records are kept, and none of other services", () => {
  const dns = createDnsSd();
  const many = (type: "PTR" | "A", name: (at: number) => readonly string[]): Buffer[] =>
    Array.from({ length: 600 }, (_, at) =>
      record(nameBytes(name(at)), type, Buffer.from([1, 97, 0, at % 256])),
    );
  const takeAll = (records: readonly Buffer[]): void => {
    for (let at = 0; at < records.length; at += 200)
      dns.take(answer(records.slice(at, at + 200)), "10.0.1.9");
  };
  const claimed = (name: string): number =>
    dns.take(advertised(name, { host: name, address: "10.0.1.2" }), "10.0.1.2").claims.length;
  takeAll(many("PTR", (at) => ["_other", `n${at}`]));
  assert.equal(claimed("a"), 1);
  takeAll(many("A", (at) => [`n${at}`, "local"]));
  assert.equal(claimed("b"), 0, "no room is left");
});

test("a question's labels have 63 bytes at most", () => {
  assert.equal(dnsQuery([{ type: "A", name: ["x".repeat(70)] }]).length, 12 + 64 + 5);
});

test("F3 a search leaves no socket", async () => {
  const clock = createManualClock();
  const searching = discoverServers(clock, new AbortController().signal);
  await eventually(() => clock.pendingTimers === 1);
  await clock.advance(700);
  await eventually(() => clock.pendingTimers === 1);
  await clock.advance(900);
  await searching;
  await eventually(() => !process.getActiveResourcesInfo().includes("UDPWrap"));
});

test("one message that multiplies its records gives 64 claims at most, and a repetition gives none", () => {
  const cased = (word: string, at: number): string =>
    [...word].map((letter, bit) => ((at >> bit) & 1 ? letter.toUpperCase() : letter)).join("");
  const service = ["_smb", "_tcp", "local"];
  const each = <T>(make: (at: number) => T): T[] => Array.from({ length: 80 }, (_, at) => make(at));
  const core = (at: number): Buffer => nameBytes([cased("archive", at), ...service]);
  const host = nameBytes(["h", "local"]);
  const port = (at: number): Buffer => Buffer.from([0, 0, 0, 0, 1, at]);
  const message = answer([
    ...each((at) => record(nameBytes(service), "PTR", core(at))),
    ...each((at) => record(core(0), "SRV", Buffer.concat([port(at), host]))),
    ...each((at) => record(host, "A", Buffer.from([10, 0, 1, at]))),
  ]);
  const dns = createDnsSd();
  assert.equal(
    dns.take(message, "10.0.1.2").claims.length,
    4 * 8,
    "one instance, four services, eight addresses",
  );
  assert.equal(dns.take(message, "10.0.1.2").claims.length, 0);
  const more = each((at) => [
    record(nameBytes(service), "PTR", nameBytes([`n${at}`, ...service])),
    record(nameBytes([`n${at}`, ...service]), "SRV", Buffer.concat([port(189), host])),
  ]);
  assert.equal(dns.take(answer(more.flat()), "10.0.1.2").claims.length, 64);
});

test("WS-Discovery: an answer to our question from a computer is a claim of its sender; any other message is not", () => {
  const discovery = createWsDiscovery();
  const [id = assert.fail()] = /urn:uuid:[\da-f-]+/.exec(discovery.question().toString()) ?? [];
  const match = (to: string, types: string): Buffer =>
    Buffer.from(`<ProbeMatches><RelatesTo>${to}</RelatesTo><Types>${types}</Types></ProbeMatches>`);
  const claimed = (message: Buffer): number => discovery.take(message, "10.0.1.2").claims.length;
  assert.deepEqual(discovery.take(match(id, "wsdp:Device pub:Computer"), "10.0.1.2").claims, [
    { address: "10.0.1.2", port: 445, name: null, host: null, byItself: true },
  ]);
  assert.equal(claimed(match("urn:uuid:another", "pub:Computer")), 0);
  assert.equal(claimed(match(id, "wprt:PrintDeviceType")), 0);
  assert.equal(claimed(Buffer.alloc(65_507, 0xff)), 0);
});

const HOST: DnsName = ["core", "local"];

test("F3 names, ports and addresses are read out of an answer, through compressed names", () => {
  const service = nameBytes(["_smb", "_tcp", "local"]);
  // The instance's name ends in a pointer to the service's, which begins at byte 12.
  const instance = Buffer.concat([Buffer.from([4]), Buffer.from("CORE"), Buffer.from([0xc0, 12])]);
  const message = answer([
    record(service, "PTR", instance),
    record(instance, "SRV", Buffer.concat([Buffer.from([0, 0, 0, 0, 0x01, 0xbd]), nameBytes(HOST)])),
    record(nameBytes(HOST), "A", Buffer.from([10, 0, 0, 2])),
  ]);
  const name = ["CORE", "_smb", "_tcp", "local"];
  assert.deepEqual(readDnsRecords(message), [
    { type: "PTR", name: ["_smb", "_tcp", "local"], target: name },
    { type: "SRV", name, target: HOST, port: 445 },
    { type: "A", name: HOST, address: "10.0.0.2" },
  ]);
});

const NOTHING: readonly (readonly [string, Buffer])[] = [
  ["an empty packet", Buffer.alloc(0)],
  ["a question", dnsQuery([{ type: "PTR", name: HOST }])],
  ["a name that points at itself", answer([record(Buffer.from([0xc0, 12]), "PTR", nameBytes(HOST))])],
  ["two names that point at each other", answer([Buffer.from([0xc0, 14, 0xc0, 12, 0, 12])])],
  ["a name of more than 255 bytes", answer([record(nameBytes(Array(80).fill("abc")), "A", Buffer.alloc(4))])],
  [
    "a record longer than the packet",
    answer([record(nameBytes(HOST), "A", Buffer.alloc(4)).subarray(0, -1)]),
  ],
  ["an address of five bytes", answer([record(nameBytes(HOST), "A", Buffer.alloc(5))])],
  ["a service without a target", answer([record(nameBytes(HOST), "SRV", Buffer.alloc(4))])],
  ["a name without a record", answer([nameBytes(HOST)])],
  ["a label of 64 bytes", answer([record(nameBytes(["x".repeat(64)]), "A", Buffer.alloc(4))])],
  [
    "a name that points into a circle",
    answer([record(nameBytes([]), "A", Buffer.from([0xc0, 25, 0xc0, 23, 0])), Buffer.from([0xc0, 25])]),
  ],
  ["64 KiB of pointers", answer([Buffer.alloc(65_000, 0xc0)])],
  ["64 KiB of ones", Buffer.alloc(65_507, 1)],
];

for (const [what, message] of NOTHING) {
  test(`nothing is read out of ${what}`, () => assert.deepEqual(readDnsRecords(message), []));
}

test("reading any bytes ends, with 256 records at most", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) => {
      assert.ok(readDnsRecords(Buffer.from([0, 0, 0x84, 0, ...bytes])).length <= 256);
    }),
  );
  const many = answer(Array(1_000).fill(record(Buffer.from([0]), "A", Buffer.alloc(4))));
  assert.equal(readDnsRecords(many).length, 256);
});

test("names are equal in any letter case, and a dot within a label separates nothing", () => {
  assert.equal(nameKey(["Core", "LOCAL"]), nameKey(HOST));
  assert.notEqual(nameKey(["core.local"]), nameKey(HOST));
});

test("F3 Linux: a Thunderbolt bridge, an Ethernet port, Wi-Fi, and an interface without a device", async (t) => {
  const sys = await temporaryFolder(t);
  const make = async (name: string, speed: string | null, folders: readonly string[]): Promise<void> => {
    for (const folder of folders) await mkdir(join(sys, name, folder), { recursive: true });
    if (speed !== null) await writeFile(join(sys, name, "speed"), `${speed}\n`);
  };
  await make("tb0", "20000", ["device"]);
  await symlink("/drivers/thunderbolt-net", join(sys, "tb0", "device", "driver"));
  await make("br0", "40000", ["brif/tb0"]);
  await make("br1", "10000", ["brif/eth0"]);
  await make("eth0", "1000", ["device"]);
  await make("eth1", "-1", ["device"]);
  await make("eth2", null, ["device"]);
  await make("wlan0", null, ["wireless", "device"]);
  await make("veth0", "10000", ["queues"]);
  const links = readLinksLinux(sys);
  const told = async (name: string): Promise<string> => (await links.of(name)).text;
  assert.equal(await told("tb0"), "Thunderbolt, 20 Gbit/s");
  assert.equal(await told("br0"), "Thunderbolt bridge, 40 Gbit/s");
  assert.equal(await told("br1"), "unknown link");
  assert.equal(await told("eth0"), "Ethernet, 1 Gbit/s");
  assert.equal(await told("eth1"), "Ethernet");
  assert.equal(await told("eth2"), "Ethernet");
  assert.equal(await told("wlan0"), "Wi-Fi");
  assert.equal(await told("veth0"), "unknown link");
  assert.equal(await told("gone"), "unknown link");
});

test("F3 neighbours that answered are read, on Linux and on macOS", () => {
  const table = [
    "IP address       HW type     Flags       HW address            Mask     Device",
    "10.0.1.2         0x1         0x2         aa:bb:cc:00:00:01     *        tb0",
    "10.0.1.9         0x1         0x0         00:00:00:00:00:00     *        tb0",
    "",
  ].join("\n");
  assert.deepEqual(parseProcArp(table), [
    { address: "10.0.1.2", interfaceName: "tb0", mac: "aa:bb:cc:00:00:01" },
  ]);
  const arp =
    "? (10.0.1.2) at aa:bb:cc:0:0:1 on bridge0 ifscope [bridge]\n? (10.0.1.9) at (incomplete) on en0 ifscope [ethernet]\n";
  assert.deepEqual(parseArp(arp), [
    { address: "10.0.1.2", interfaceName: "bridge0", mac: "aa:bb:cc:00:00:01" },
  ]);
});

test("F3 macOS: hardware ports by their devices", () => {
  const ports = parseHardwarePorts(
    "\nHardware Port: Thunderbolt Bridge\nDevice: bridge0\nEthernet Address: aa\n\nHardware Port: Wi-Fi\nDevice: en0\nEthernet Address: bb\n\nHardware Port: USB 10/100/1000 LAN\nDevice: en7\n",
  );
  assert.deepEqual(
    [...ports].map(([device, { text }]) => `${device}: ${text}`),
    ["bridge0: Thunderbolt bridge", "en0: Wi-Fi", "en7: Ethernet"],
  );
});
