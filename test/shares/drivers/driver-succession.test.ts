import assert from "node:assert/strict";
import { mkdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../../src/runtime/clock.ts";
import { silentLogger } from "../../../src/runtime/log.ts";
import { createDriverSuccession } from "../../../src/shares/drivers/driver-succession.ts";
import { createLocalDriver } from "../../../src/shares/drivers/local.ts";
import type { MountDriver } from "../../../src/shares/drivers/mount-driver.ts";
import { startProber } from "../../../src/shares/prober-process.ts";
import type { DriverName, ShareSpec } from "../../../src/shares/share-spec.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { found, limits, mounted } from "./driver-contract.ts";

interface Scene {
  /** A driver that goes by that name, and a share of it with folders of its own, at the one path. */
  driven(name: DriverName): Promise<{ readonly driver: MountDriver; readonly spec: ShareSpec }>;
  readonly mountPath: string;
}

async function scene(t: TestContext): Promise<Scene> {
  const folder = await temporaryFolder(t);
  const prober = startProber({ clock: systemClock, logger: silentLogger });
  t.after(() => prober[Symbol.asyncDispose]());
  // The driver's own deadlines are for a prober that runs.
  await prober.readLink(folder, 20_000);
  const mountPath = join(folder, "volumes", "CORE");
  return {
    mountPath,
    async driven(name) {
      const route = async (which: string) => {
        const path = join(folder, name, which);
        await mkdir(path, { recursive: true });
        return { host: null, port: 445, interfaceName: null, folder: path };
      };
      const spec: ShareSpec = {
        name: "CORE",
        shareName: "CORE",
        username: "",
        password: null,
        missingVariable: null,
        driver: name,
        routes: { tb: await route("tb"), fallback: await route("fallback") },
        mountPath,
        stablePath: join(folder, "Shares", "CORE"),
      };
      return { spec, driver: { ...createLocalDriver({ clock: systemClock, prober }), name } };
    },
  };
}

test("A6 what the driver before has mounted is found, explained by no route, and unmounted by its maker", async (t) => {
  const { driven, mountPath } = await scene(t);
  const before = await driven("local");
  const next = await driven("rclone");
  await mounted(before.driver, before.spec, "tb");
  const succession = createDriverSuccession();
  const driver = succession.take(before, next);
  const [left, ...others] = await found(driver, next.spec);
  assert.deepEqual([left?.sameShare, left?.route, left?.path, others], [true, null, mountPath, []]);
  assert.ok(left);
  assert.equal(driver.openFilesPath(left), before.spec.routes.tb.folder);
  assert.deepEqual(await driver.unmount(next.spec, left, "plain", limits()), { ok: true });
  await assert.rejects(readlink(mountPath), { code: "ENOENT" });
  assert.deepEqual(await found(driver, next.spec), []);
  await mounted(driver, next.spec, "tb");
  assert.equal(await readlink(mountPath), next.spec.routes.tb.folder);
  const [own] = await found(driver, next.spec);
  assert.equal(own?.route, "tb");
  assert.equal(succession.take(next, next), next.driver, "who left nothing is forgotten");
});

test("A6 back at the driver before, its mount is its own again", async (t) => {
  const { driven } = await scene(t);
  const [local, smb] = [await driven("local"), await driven("cifs")];
  await mounted(local.driver, local.spec, "fallback");
  const succession = createDriverSuccession();
  succession.take(local, smb);
  const driver = succession.take(smb, local);
  const [own] = await found(driver, local.spec);
  assert.deepEqual([own?.sameShare, own?.route], [true, "fallback"]);
});

test("drivers of SMB find one another's mounts themselves", async (t) => {
  const { driven } = await scene(t);
  const [rclone, cifs, local] = [await driven("rclone"), await driven("cifs"), await driven("local")];
  const succession = createDriverSuccession();
  assert.equal(succession.take(rclone, cifs), cifs.driver);
  assert.notEqual(succession.take(cifs, local), local.driver);
  assert.notEqual(succession.take(local, rclone), rclone.driver);
});

test("a mount that stands in the way is not looked at by who did not make it", async (t) => {
  const { driven } = await scene(t);
  const [before, next] = [await driven("rclone"), await driven("local")];
  await mounted(before.driver, before.spec, "tb");
  const hangs: MountDriver = { ...next.driver, find: () => assert.fail("it was looked at") };
  const driver = createDriverSuccession().take(before, { ...next, driver: hangs });
  assert.equal((await found(driver, next.spec)).length, 1);
});
