// The contract of drivers by the real mountaineer-fs and a real SMB server, and how the server's refusals come back.
import assert from "node:assert/strict";
import { open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type PlainRig, startPlainRig } from "../../../../src/demo/stage/plain-rig.ts";
import { missingForSmb } from "../../../../src/demo/stage/smb-available.ts";
import { createMountProgram } from "../../../../src/mount-program/mount-program.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { createFsDriver } from "../../../../src/shares/drivers/fs/fs.ts";
import { createMountTable } from "../../../../src/shares/mounts/mount-table.ts";
import type { RouteName, ShareSpec } from "../../../../src/shares/share-spec.ts";
import { fileProber } from "../../../support/file-prober.ts";
import { killAll, serversOf } from "../../../support/processes.ts";
import { type Scope, temporaryFolder } from "../../../support/temporary-folder.ts";
import { routeTo, shareSpec } from "../../share-spec.ts";
import {
  type DriverBench,
  describeDriver,
  failure,
  found,
  limits,
  mounted,
  NAMES,
  PLAIN_NAME,
  staying,
} from "../driver-contract.ts";

const missing = await missingForSmb("/nowhere");
/** Tests that run side by side take one each, and later tests take them again. */
const idle: PlainRig[] = [];
const servers = new AsyncDisposableStack();
after(() => servers.disposeAsync());
const proberOfFile = fileProber({ clock: systemClock, logger: noopLogger, checkDeadlineMs: 500 });

/** As new, with nothing on its disk. */
async function freshServer(): Promise<PlainRig> {
  const rig = idle.pop() ?? servers.use(await startPlainRig({ shares: NAMES }));
  for (const cable of Object.values(rig.cables)) {
    // What is left of an earlier test's connections ends.
    await cable.setMode("refuse");
    await cable.setMode("pass");
  }
  for (const name of NAMES) {
    const disk = rig.exportPath(name);
    for (const entry of await readdir(disk)) await rm(join(disk, entry), { recursive: true });
  }
  return rig;
}

async function startBench(t: Scope): Promise<DriverBench> {
  const folder = await temporaryFolder(t);
  const stateFolder = join(folder, "home");
  const rig = await freshServer();
  const prober = proberOfFile();
  const fresh = () =>
    createFsDriver({
      ...{ clock: systemClock, logger: noopLogger, prober, stateFolder, addressesOf: () => [] },
      mountTable: createMountTable({ clock: systemClock }),
      program: createMountProgram(stateFolder),
    });
  const shares: ShareSpec[] = [];
  return {
    driver: fresh(),
    prober,
    freshDriver: fresh,
    share(name) {
      const share = shareSpec({
        ...{ folder, name, username: rig.username, password: rig.password },
        routes: {
          tb: routeTo(rig.tbHost, { port: rig.tbPort }),
          fallback: routeTo(rig.fallbackHost, { port: rig.fallbackPort }),
        },
      });
      shares.push(share);
      return share;
    },
    behind: (share) => rig.exportPath(share.shareName),
    cut: (_share, route: RouteName) => rig.cables[route].setMode("refuse"),
    async [Symbol.asyncDispose]() {
      const tidier = fresh();
      for (const share of shares) {
        for (const mount of await found(tidier, share)) {
          if (mount.path.startsWith(folder)) await tidier.unmount(share, mount, "force", limits());
        }
      }
      const left = await serversOf(stateFolder);
      killAll(left);
      assert.deepEqual(left, [], "a process was left over");
      idle.push(rig);
    },
  };
}

describeDriver("fs", missing, startBench);

describe("the driver fs on a server", { skip: missing ?? false }, () => {
  test("A14 a wrong password and an unknown share are reported as such, and leave nothing", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    for (const [change, reason] of [
      [{ password: "wrong" }, "wrong_credentials"],
      [{ shareName: "nowhere" }, "no_such_share"],
    ] as const) {
      const changed = { ...share, ...change };
      const plan = { ...staying(changed), logInNow: true };
      const failed = failure(await bench.driver.mount(changed, "tb", limits(), plan));
      assert.equal(failed.reason, reason, failed.text);
      assert.deepEqual(await found(bench.driver, share), []);
    }
  });

  test("A10 a file that is open when its cable is pulled can still be written and read, over the other route", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const plan = { ...staying(share), moves: true, patienceMs: 60_000 };
    assert.ok((await bench.driver.mount(share, "tb", limits(), plan)).ok);
    await using file = await open(join(share.mountPath, "log"), "w+");
    await file.write("before ");
    await bench.cut(share, "tb");
    await file.write("and after");
    assert.equal((await file.read({ position: 0, buffer: Buffer.alloc(64) })).bytesRead, 16);
    const onDisk = await readFile(join(bench.behind(share, "fallback"), "log"), "utf8");
    assert.equal(onDisk, "before and after");
  });

  test("A16 on a server that folds case another spelling is the same file, and never replaces it", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    await mounted(bench.driver, share, "tb");
    const at = (name: string): string => join(share.mountPath, name);
    await writeFile(at("README.md"), "first");
    await assert.rejects(writeFile(at("readme.md"), "second", { flag: "wx" }), { code: "EEXIST" });
    assert.equal(await readFile(at("README.md"), "utf8"), "first");
    await writeFile(at("readme.md"), "changed");
    assert.equal(await readFile(at("README.md"), "utf8"), "changed");
    assert.deepEqual(await readdir(bench.behind(share, "tb")), ["README.md"]);
  });

  test("A16 a file of the server with a dot at its end has a short name, and two renames give it a name for all clients", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const disk = bench.behind(share, "tb");
    await writeFile(join(disk, "R.E.M."), "songs");
    await mounted(bench.driver, share, "tb");
    const at = (name: string): string => join(share.mountPath, name);
    const [short = "", ...others] = await readdir(share.mountPath);
    assert.match(short, /~/);
    assert.deepEqual(others, []);
    await rename(at(short), at("renaming"));
    await rename(at("renaming"), at("R.E.M."));
    assert.equal(await readFile(at("R.E.M."), "utf8"), "songs");
    assert.deepEqual(await readdir(share.mountPath), ["R.E.M."]);
    assert.deepEqual(await readdir(disk), ["R.E.M\uF029"]);
  });
});
