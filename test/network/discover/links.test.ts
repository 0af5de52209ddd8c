import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { parseArp, parseHardwarePorts } from "../../../src/network/discover/links-darwin.ts";
import { parseProcArp, readLinksLinux } from "../../../src/network/discover/links-linux.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

test("F3 Linux: a Thunderbolt bridge, an Ethernet port, Wi-Fi, and what has no device behind it", async (t) => {
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
  assert.equal(await told("br1"), "unknown");
  assert.equal(await told("eth0"), "Ethernet, 1 Gbit/s");
  assert.equal(await told("eth1"), "Ethernet");
  assert.equal(await told("eth2"), "Ethernet");
  assert.equal(await told("wlan0"), "Wi-Fi");
  assert.equal(await told("veth0"), "unknown");
  assert.equal(await told("gone"), "unknown");
});

test("F3 neighbours that answered are read, of Linux and of macOS", () => {
  const table = [
    "IP address       HW type     Flags       HW address            Mask     Device",
    "10.0.1.2         0x1         0x2         aa:bb:cc:00:00:01     *        tb0",
    "10.0.1.9         0x1         0x0         00:00:00:00:00:00     *        tb0",
    "",
  ].join("\n");
  assert.deepEqual(parseProcArp(table), [{ address: "10.0.1.2", interfaceName: "tb0" }]);
  const arp =
    "? (10.0.1.2) at aa:bb:cc:0:0:1 on bridge0 ifscope [bridge]\n? (10.0.1.9) at (incomplete) on en0 ifscope [ethernet]\n";
  assert.deepEqual(parseArp(arp), [{ address: "10.0.1.2", interfaceName: "bridge0" }]);
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
