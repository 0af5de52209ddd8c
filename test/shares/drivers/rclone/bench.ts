// The rclone driver on a real SMB server, in folders of its own, and what tests ask about its processes.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before } from "node:test";
import { missingForPlainRig, type PlainRig, startPlainRig } from "../../../../src/demo/stage/plain-rig.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { runCommand } from "../../../../src/runtime/process/child-process.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import type { FoundMount } from "../../../../src/shares/drivers/mount-driver.ts";
import { RCLONE_PROGRAM } from "../../../../src/shares/drivers/rclone/files.ts";
import { createRcloneDriver } from "../../../../src/shares/drivers/rclone/rclone.ts";
import { listServing } from "../../../../src/shares/drivers/serving-processes.ts";
import { createMountTable } from "../../../../src/shares/mounts/mount-table.ts";
import type { RouteName, ShareSpec } from "../../../../src/shares/share-spec.ts";
import { eventually } from "../../../support/eventually.ts";
import { fileProber } from "../../../support/file-prober.ts";
import { type Scope, temporaryFolder } from "../../../support/temporary-folder.ts";
import { routeTo, shareSpec } from "../../share-spec.ts";
import { type DriverBench, found, limits, mounted, NAMES, PLAIN_NAME, release } from "../driver-contract.ts";

export interface RcloneBench extends DriverBench {
  readonly rig: PlainRig;
  readonly folder: string;
  readonly stateFolder: string;
}

/** Tests that run side by side take one each, and later tests take them again. */
const idle: PlainRig[] = [];
const servers = new AsyncDisposableStack();
after(() => servers.disposeAsync());

/** As new, with nothing on its disk. */
async function freshServer(): Promise<PlainRig> {
  const rig = idle.pop() ?? servers.use(await startPlainRig({ shares: NAMES }));
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

type Served = Pick<typeof RCLONE_PROGRAM, "shortName">;
const RCLONE = { create: createRcloneDriver, program: RCLONE_PROGRAM };

const proberOfFile = fileProber({ clock: systemClock, logger: noopLogger, checkDeadlineMs: 500 });

/** `create` and `program`: of another driver that serves mounts of an SMB server by processes. */
export async function startBench(
  t: Scope,
  { create, program }: { readonly create: typeof createRcloneDriver; readonly program: Served } = RCLONE,
): Promise<RcloneBench> {
  const folder = await temporaryFolder(t);
  const stateFolder = join(folder, "home");
  const rig = await freshServer();
  const prober = proberOfFile();
  const mountTable = createMountTable({ clock: systemClock });
  const fresh = () =>
    create({
      clock: systemClock,
      logger: noopLogger,
      prober,
      mountTable,
      stateFolder,
      addressesOf: (host) => (host === "nas.test" ? ["127.0.0.2"] : []),
    });
  const shares: ShareSpec[] = [];
  return {
    driver: fresh(),
    prober,
    rig,
    folder,
    stateFolder,
    freshDriver: fresh,
    share(name) {
      const share = shareSpec({
        folder,
        name,
        username: rig.username,
        password: rig.password,
        routes: {
          tb: routeTo(rig.tbHost, { port: rig.tbPort }),
          fallback: routeTo(rig.fallbackHost, { port: rig.fallbackPort }),
        },
      });
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
        (await listServing(program)).filter((one) => one.arguments.some((arg) => arg.startsWith(folder)));
      // What still asks the server for a file that was set aside ends by itself.
      await eventually(async () => (await ofBench()).every((one) => one.arguments[1] === "mount"));
      const left = await ofBench();
      for (const { identity } of left) process.kill(identity.pid, "SIGKILL");
      assert.deepEqual(
        left.map((one) => one.arguments.join(" ")),
        [],
        "a process was left over",
      );
      idle.push(rig);
    },
  };
}

interface Standing {
  readonly bench: RcloneBench;
  readonly share: ShareSpec;
  readonly mount: FoundMount;
  readonly pid: number;
}

/** One mount for all tests of a `describe`, which leave it as it is; `mount`: in the stead of a plain one over tb. */
export function standingMount(
  mount = (bench: RcloneBench, share: ShareSpec): Promise<FoundMount> => mounted(bench.driver, share, "tb"),
): () => Standing {
  const ends = new AsyncDisposableStack();
  let standing: Standing | null = null;
  before(async () => {
    const bench = await startBench({ after: (end) => ends.defer(async () => void (await end())) });
    ends.use(bench);
    const share = bench.share(PLAIN_NAME);
    standing = { bench, share, mount: await mount(bench, share), pid: await server(bench, share) };
  });
  after(() => ends.disposeAsync());
  return () => standing ?? assert.fail("it stands from the first test on");
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
  t: Scope,
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
