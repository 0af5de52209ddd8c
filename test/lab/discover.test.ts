// Which servers of SMB shares are found on two links: a real avahi-daemon, a real wsdd, and one who says what is not true.
import assert from "node:assert/strict";
import path from "node:path";
import { describe, test } from "node:test";
import type { FoundServer } from "../../src/api/setup/found-server.ts";
import { runProcess } from "../cli/command-line.ts";
import { advertised } from "../network/discover/packets.ts";
import {
  joinSecondLink,
  missingForAdvertisers,
  startAvahi,
  startLiar,
  startWsdd,
} from "../rig/advertisers.ts";
import { missingForRootRig } from "../rig/root-rig.ts";
import { eventually } from "../support/eventually.ts";
import { useRig } from "./scene.ts";

const missing = missingForRootRig() ?? (await missingForAdvertisers());

describe("discovery", { skip: missing ?? false, timeout: 180_000 }, () => {
  const lab = useRig(["CORE"]);

  test("F3 found on the links: the NAS at both of its addresses, one that speaks no mDNS, two of one name; no claim about another link", async () => {
    const { rig } = lab;
    const nas = { enter: rig.enterServer, folder: rig.folder };
    await using other = await joinSecondLink(rig, "10.99.2.50");
    await using rogue = await joinSecondLink(rig, "10.99.2.66");
    await using _avahi = await startAvahi(nas, "CORE");
    await using _wsdd = await startWsdd(other, "VAULT", "eth0");
    await using _rogue = await startLiar(
      rogue,
      "10.99.2.66",
      advertised("CORE", { host: "x", address: "10.99.2.66" }),
    );
    // It says that the fast route leads to it, too.
    await using _liar = await startLiar(
      other,
      "10.99.2.50",
      advertised("NEAR", { host: "y", address: "10.99.1.66" }),
    );
    const home = path.join(rig.folder, "discover");
    // wsdd says nowhere that it listens.
    const servers = await eventually(async () => {
      const ran = await runProcess(["shares", "discover", "--json"], { home, within: rig.enter });
      assert.equal(ran.code, 0, ran.stderr);
      const found: readonly FoundServer[] = JSON.parse(ran.stdout).servers;
      return found.some(({ by }) => by.includes("ws-discovery")) ? found : null;
    }, 60_000);
    // This machine's neighbours, and what stories that run beside this one have mounted from the same addresses.
    const others = ["neighbour", "mounted"];
    const told = servers.map(
      ({ name, address, by }) => `${name} ${address} ${by.filter((way) => !others.includes(way)).join()}`,
    );
    assert.deepEqual(told.filter((line) => !line.startsWith("null") || line.endsWith("discovery")).sort(), [
      "CORE 10.99.1.2 dns-sd",
      "CORE 10.99.1.3 dns-sd",
      "CORE 10.99.2.2 dns-sd",
      "CORE 10.99.2.3 dns-sd",
      "CORE 10.99.2.66 dns-sd",
      "null 10.99.2.50 ws-discovery",
    ]);
    const { code, stdout } = await runProcess(["shares", "discover"], { home, within: rig.enter });
    assert.equal(code, 0);
    assert.match(stdout, /^CORE +10\.99\.1\.2 +tb0 +advertises SMB/m);
  });
});
