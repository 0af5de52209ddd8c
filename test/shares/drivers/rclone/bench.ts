// The rclone driver on a real SMB server, in folders of its own, and what tests ask about its processes.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, type TestContext } from "node:test";
import { missingForPlainRig, type PlainRig, startPlainRig } from "../../../../src/demo/stage/plain-rig.ts";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { runCommand } from "../../../../src/runtime/process/child-process.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { createRcloneDriver } from "../../../../src/shares/drivers/rclone/rclone.ts";
import { listRcloneMounts } from "../../../../src/shares/drivers/rclone/serving.ts";
import { createMountTable } from "../../../../src/shares/mounts/mount-table.ts";
import type { RouteName, ShareSpec } from "../../../../src/shares/share-spec.ts";
import { eventually } from "../../../support/eventually.ts";
import { fileProber } from "../../../support/file-prober.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { type DriverBench, found, HOSTILE_NAMES, limits, PLAIN_NAME, release } from "../driver-contract.ts";

export interface RcloneBench extends DriverBench {
  readonly rig: PlainRig;
  readonly folder: string;
  readonly stateFolder: string;
}

const NAMES = [PLAIN_NAME, ...HOSTILE_NAMES];
let started: Promise<PlainRig> | null = null;
after(async () => (await started)?.[Symbol.asyncDispose]());

/** One server for a test file, whose tests come one after the other: as new, with nothing on its disk. */
async function freshServer(): Promise<PlainRig> {
  started ??= startPlainRig({ shares: NAMES });
  const rig = await started;
  await rig.startServer();
  for (const relay of Object.values(rig.relays)) {
    // What is left of an earlier test's connections ends.
    await relay.setMode("refuse");
    await relay.setMode("pass");
  }
  for (const name of NAMES) {
    const disk = rig.exportPath(name);
    for (const entry of await readdir(disk)) await rm(join(disk, entry), { recursive: true });
  }
  return rig;
}

const proberOfFile = fileProber({ clock: systemClock, logger: silentLogger, lookDeadlineMs: 500 });

export async function startBench(t: TestContext): Promise<RcloneBench> {
  const folder = await temporaryFolder(t);
  const stateFolder = join(folder, "home");
  const rig = await freshServer();
  const prober = proberOfFile();
  const mountTable = createMountTable({ clock: systemClock });
  const fresh = () =>
    createRcloneDriver({
      clock: systemClock,
      logger: silentLogger,
      prober,
      mountTable,
      stateFolder,
      addressesOf: (host) => (host === "nas.test" ? ["127.0.0.2"] : []),
    });
  const route = (host: string, port: number) => ({ host, port, interfaceName: null, folder: null });
  const shares: ShareSpec[] = [];
  return {
    driver: fresh(),
    prober,
    rig,
    folder,
    stateFolder,
    freshDriver: fresh,
    share(name) {
      const share: ShareSpec = {
        name,
        shareName: name,
        username: rig.username,
        password: rig.password,
        missingVariable: null,
        driver: "rclone",
        routes: { tb: route(rig.tbHost, rig.tbPort), fallback: route(rig.fallbackHost, rig.fallbackPort) },
        mountPath: join(folder, "volumes", name),
        stablePath: join(folder, "Shares", name),
      };
      shares.push(share);
      return share;
    },
    behind: (share) => rig.exportPath(share.shareName),
    cut: (_share, which: RouteName) => rig.relays[which].setMode("refuse"),
    async [Symbol.asyncDispose]() {
      const tidier = fresh();
      for (const share of shares) {
        for (const mount of await found(tidier, share)) {
          if (mount.path.startsWith(folder)) await tidier.unmount(share, mount, "force", limits());
        }
      }
      const ofBench = async () =>
        (await listRcloneMounts()).filter((one) => one.arguments.some((arg) => arg.startsWith(folder)));
      // What still asks the server for a file that was set aside ends by itself.
      await eventually(async () => (await ofBench()).every((one) => one.arguments[1] === "mount"));
      const left = await ofBench();
      for (const { identity } of left) process.kill(identity.pid, "SIGKILL");
      assert.deepEqual(
        left.map((one) => one.arguments.join(" ")),
        [],
        "a process was left over",
      );
    },
  };
}

/** What the server needs and this machine lacks; null when nothing does. */
export const skip = missingForPlainRig();
/** The same, for `describe`. */
export const noSkip = { skip: skip ?? false };

/** The number of the process behind the share's one mount. */
export const server = async (bench: RcloneBench, share: ShareSpec): Promise<number> => {
  const [mount] = await found(bench.driver, share);
  assert.ok(mount);
  const [pid] = await bench.driver.ownProcesses(share, mount);
  assert.ok(pid);
  return pid;
};
export const isGone = (pid: number): boolean => !existsSync(`/proc/${pid}`);

/** Mounts as a person would, without the driver; answers with the process's number. */
export async function mountByHand(
  t: TestContext,
  bench: RcloneBench,
  share: ShareSpec,
  path: string,
  host: string,
): Promise<number> {
  const config = join(bench.folder, "by-hand.conf");
  const { stdout } = await runCommand("rclone", ["obscure", "-"], {
    clock: systemClock,
    deadlineMs: 60_000,
    stdin: bench.rig.password,
  });
  await writeFile(
    config,
    `[hand]\ntype = smb\nhost = 127.0.0.2\nport = ${bench.rig.tbPort}\nuser = ${bench.rig.username}\npass = ${stdout}\n`,
  );
  await mkdir(path, { recursive: true });
  const devname = `//${host}:${bench.rig.tbPort}/${share.shareName.toLowerCase()}`;
  const child = spawn(
    "rclone",
    ["mount", `hand:${share.shareName}`, path, "--config", config, "--devname", devname],
    {
      stdio: "ignore",
      env: { PATH: process.env["PATH"] },
    },
  );
  t.after(() => release(child));
  await eventually(async () => (await readFile("/proc/self/mountinfo", "utf8")).includes(` ${path} `));
  assert.ok(child.pid);
  return child.pid;
}
