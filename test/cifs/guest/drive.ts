// Asks the product's cifs driver for one thing, as a daemon would: node drive.js mount|unmount|find root|ann PORT
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { createCifsDriver } from "../../../src/shares/drivers/cifs/cifs.ts";
import { createMountTableLinux } from "../../../src/shares/mounts/mount-table-linux.ts";
import { startProber } from "../../../src/shares/prober/prober-process.ts";
import type { ShareSpec } from "../../../src/shares/share-spec.ts";
import { HOSTS, PASSWORD, type Route, USERNAME } from "./nas.ts";

const DEADLINE_MS = 60_000;
const PATIENCE_MS = 60_000;

const [action, who, portText] = process.argv.slice(2);
const home = who === "ann" ? "/home/ann/mountaineer" : "/root/mountaineer";
const route = (name: Route) => ({ host: HOSTS[name], port: 445, interfaceName: null, folder: null });
const share: ShareSpec = {
  name: "CORE",
  shareName: "CORE",
  username: who === "ann" ? "" : USERNAME,
  // A user's is in the file that fstab names.
  password: who === "ann" ? null : PASSWORD,
  missingVariable: null,
  driver: "cifs",
  routes: { tb: route("tb"), fallback: route("fallback") },
  mountPath: `${home}/volumes/CORE`,
  stablePath: `${home}/links/CORE`,
};
const silent = () => {};
const logger = { debug: silent, info: silent, warn: silent, error: silent };
const clock = systemClock;

await using prober = startProber({ clock, logger });
const driver = createCifsDriver({
  clock,
  logger,
  prober,
  mountTable: createMountTableLinux({ clock }),
  stateFolder: home,
  addressesOf: () => [],
});
const limits = { deadlineMs: DEADLINE_MS, signal: new AbortController().signal };
const standing = async () => (await driver.find(share, clock.monotonicMs()))[0];

async function answer(): Promise<unknown> {
  if (action === "find") return await standing();
  if (action === "mount") {
    const through = { port: Number(portText), patienceMs: PATIENCE_MS };
    return await driver.mount(share, "tb", limits, through);
  }
  const mount = await standing();
  return mount === undefined ? { ok: true } : await driver.unmount(share, mount, "plain", limits);
}
process.stdout.write(`${JSON.stringify(await answer())}\n`);
