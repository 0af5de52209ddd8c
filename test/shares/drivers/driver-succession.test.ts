import assert from "node:assert/strict";
import { mkdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { createDriverSuccession } from "../../../src/shares/drivers/driver-succession.ts";
import { createLocalDriver } from "../../../src/shares/drivers/local/local.ts";
import type { MountDriver } from "../../../src/shares/drivers/mount-driver.ts";
import { createMountTable } from "../../../src/shares/mounts/mount-table.ts";
import type { DriverName } from "../../../src/shares/share-spec.ts";
import { fileProber } from "../../support/file-prober.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { routeTo, shareSpec } from "../share-spec.ts";
import { found, limits, mounted } from "./driver-contract.ts";

const proberOfFile = fileProber({ clock: systemClock, logger: noopLogger });

async function scene(t: TestContext) {
  const folder = await temporaryFolder(t);
  const prober = proberOfFile();
  const mountPath = join(folder, "volumes", "CORE");
  return {
    mountPath,
    /** A driver that goes by that name, and a share of it with folders of its own, at the one path. */
    async driven(name: DriverName) {
      const route = async (which: string) => {
        const path = join(folder, name, which);
        await mkdir(path, { recursive: true });
        return routeTo(null, { folder: path });
      };
      const routes = { tb: await route("tb"), fallback: await route("fallback") };
      const spec = shareSpec({ folder, driver: name, routes });
      const driver = createLocalDriver({
        clock: systemClock,
        prober,
        mountTable: createMountTable({ clock: systemClock }),
        stateFolder: join(folder, name),
      });
      if (name === "local") return { spec, driver };
      // A link is nothing to drivers of SMB.
      const find: MountDriver["find"] = async (share, notBeforeMs) =>
        (await driver.find(share, notBeforeMs)).filter((mount) => mount.madeByDriver);
      return { spec, driver: { ...driver, name, find } };
    },
  };
}

/** Two drivers of one scene, by their names. */
async function twoOf(t: TestContext, one: DriverName, other: DriverName) {
  const { driven } = await scene(t);
  return [await driven(one), await driven(other)] as const;
}

test("A6 the previous driver's mount is found, explained by no route, and unmounted by its maker", async (t) => {
  const { driven, mountPath } = await scene(t);
  const before = await driven("local");
  const next = await driven("fs");
  await mounted(before.driver, before.spec, "tb");
  const succession = createDriverSuccession([]);
  const driver = succession.take(before, next);
  succession.cycleBegins();
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

test("A6 back at the previous driver, its mount is its own again", async (t) => {
  const [local, smb] = await twoOf(t, "local", "fs");
  await mounted(local.driver, local.spec, "fallback");
  const succession = createDriverSuccession([]);
  succession.take(local, smb);
  const driver = succession.take(smb, local);
  const [own] = await found(driver, local.spec);
  assert.deepEqual([own?.sameShare, own?.route], [true, "fallback"]);
});

test("SMB drivers find each other's mounts", async (t) => {
  const { driven } = await scene(t);
  const [rclone, fs, local] = [await driven("fs"), await driven("fs"), await driven("local")];
  const succession = createDriverSuccession([]);
  assert.equal(succession.take(rclone, fs), fs.driver);
  assert.notEqual(succession.take(fs, local), local.driver);
  assert.notEqual(succession.take(local, rclone), rclone.driver);
});

test("a mount that occupies the path is not checked by a driver that did not make it", async (t) => {
  const [before, next] = await twoOf(t, "fs", "local");
  await mounted(before.driver, before.spec, "tb");
  const hangs: MountDriver = { ...next.driver, find: () => assert.fail("it was looked at") };
  const driver = createDriverSuccession([]).take(before, { ...next, driver: hangs });
  assert.equal((await found(driver, next.spec)).length, 1);
});

test("A6 a mount made before a restart by the previously configured driver is found and unmounted", async (t) => {
  const { driven, mountPath } = await scene(t);
  const [local, smb] = [await driven("local"), await driven("fs")];
  await mounted(local.driver, local.spec, "tb");
  const after = await driven("local");
  const driver = createDriverSuccession([smb.driver, after.driver]).begin(smb);
  const [left, ...others] = await found(driver, smb.spec);
  assert.deepEqual([left?.sameShare, left?.route, left?.path, others], [true, null, mountPath, []]);
  assert.ok(left);
  assert.deepEqual(await driver.unmount(smb.spec, left, "plain", limits()), { ok: true });
  assert.deepEqual(await found(driver, smb.spec), []);
});

test("A6 a mount that two drivers claim is listed once, and its maker is the first named", async (t) => {
  const { driven } = await scene(t);
  const [rclone, netfs, local] = [await driven("fs"), await driven("netfs"), await driven("local")];
  await mounted(rclone.driver, rclone.spec, "tb");
  const refuses: MountDriver = { ...rclone.driver, unmount: () => assert.fail("it did not make it") };
  const greedy: MountDriver = { ...refuses, name: netfs.driver.name };
  const knows: MountDriver = { ...rclone.driver, find: () => rclone.driver.find(rclone.spec, 0) };
  const driver = createDriverSuccession([knows, greedy]).begin(local);
  const [left, ...others] = await found(driver, local.spec);
  assert.ok(left);
  assert.deepEqual(others, []);
  assert.deepEqual(await driver.unmount(local.spec, left, "plain", limits()), { ok: true });
});

test("A6 of three drivers edited one after the other, the first's mount is still its own", async (t) => {
  const { driven } = await scene(t);
  const [rclone, fs, local] = [await driven("fs"), await driven("fs"), await driven("local")];
  await mounted(rclone.driver, rclone.spec, "tb");
  const blind: MountDriver = { ...fs.driver, find: async () => [] };
  const knows: MountDriver = { ...rclone.driver, find: () => rclone.driver.find(rclone.spec, 0) };
  const succession = createDriverSuccession([knows, blind, local.driver]);
  succession.begin({ ...rclone, driver: knows });
  succession.take({ ...rclone, driver: knows }, { ...fs, driver: blind });
  const driver = succession.take({ ...fs, driver: blind }, local);
  assert.equal((await found(driver, local.spec)).length, 1);
});

test("a previous driver that does not answer delays nothing", async (t) => {
  const [local, smb] = await twoOf(t, "local", "fs");
  const late: MountDriver = { ...local.driver, find: () => Promise.reject(new Error("no answer")) };
  const driver = createDriverSuccession([late, smb.driver]).begin(smb);
  assert.deepEqual(await found(driver, smb.spec), []);
  await mounted(driver, smb.spec, "tb");
});

test("A6 if the driver is edited between a check and the unmount it leads to, the mount's own driver unmounts it", async (t) => {
  const [local, smb] = await twoOf(t, "local", "fs");
  const mount = await mounted(local.driver, local.spec, "tb");
  const refuses: MountDriver = { ...smb.driver, unmount: () => assert.fail("it did not make it") };
  const driver = createDriverSuccession([]).take(local, { ...smb, driver: refuses });
  assert.deepEqual(await driver.unmount(smb.spec, mount, "plain", limits()), { ok: true });
  assert.deepEqual(await found(local.driver, local.spec), []);
});

test("A6 a driver whose mount was found fails the check that it cannot answer, so that its mount is not forgotten", async (t) => {
  const [local, smb] = await twoOf(t, "local", "fs");
  await mounted(local.driver, local.spec, "tb");
  let answers = true;
  const find: MountDriver["find"] = (...asked) =>
    answers ? local.driver.find(...asked) : Promise.reject(new Error("no answer"));
  const driver = createDriverSuccession([]).take({ ...local, driver: { ...local.driver, find } }, smb);
  assert.equal((await found(driver, smb.spec)).length, 1);
  answers = false;
  await assert.rejects(found(driver, smb.spec), /no answer/);
});

test("A6 the previous driver is forgotten only by a check that began after its last step", async (t) => {
  const [local, smb] = await twoOf(t, "local", "fs");
  const succession = createDriverSuccession([]);
  const find: MountDriver["find"] = (...asked) => {
    succession.cycleBegins();
    return local.driver.find(...asked);
  };
  const driver = succession.take({ ...local, driver: { ...local.driver, find } }, smb);
  assert.deepEqual(await found(driver, smb.spec), []);
  await mounted(local.driver, local.spec, "tb");
  assert.equal((await found(driver, smb.spec)).length, 1);
});

test("A6 a link at the path is found although SMB is mounted elsewhere; under an SMB mount no driver searches for one", async (t) => {
  const { driven, mountPath } = await scene(t);
  const [local, smb] = [await driven("local"), await driven("fs")];
  const mount = await mounted(local.driver, local.spec, "tb");
  const mountedAt = (path: string): MountDriver => ({
    ...smb.driver,
    find: async () => [{ ...mount, id: "smb", path }],
  });
  const idsWith = async (path: string, before: MountDriver) => {
    const next = { ...smb, driver: mountedAt(path) };
    const driver = createDriverSuccession([]).take({ ...local, driver: before }, next);
    return (await found(driver, smb.spec)).map(({ id }) => id);
  };
  assert.deepEqual(await idsWith("/elsewhere", local.driver), ["smb", mount.id]);
  let looks = 0;
  const find: MountDriver["find"] = async () => {
    looks += 1;
    return [];
  };
  assert.deepEqual(await idsWith(mountPath, { ...local.driver, find }), ["smb"]);
  assert.equal(looks, 0, "it may hang");
});

test("A6 a mount whose driver is unknown because no check succeeded is not unmounted", async (t) => {
  const [local, smb] = await twoOf(t, "local", "fs");
  const mount = await mounted(local.driver, local.spec, "tb");
  const blind: MountDriver = {
    ...smb.driver,
    find: () => Promise.reject(new Error("no answer")),
    unmount: () => assert.fail("it did not make it"),
  };
  const driver = createDriverSuccession([]).take(local, { ...smb, driver: blind });
  const outcome = await driver.unmount(smb.spec, mount, "plain", limits());
  assert.deepEqual(outcome, { ok: false, reason: "failed", text: "no answer" });
});

test("A6 files set aside, processes, open files and exits of processes are those of all drivers of the share", async (t) => {
  const [local, smb] = await twoOf(t, "local", "fs");
  await mounted(local.driver, local.spec, "tb");
  const listeners = new Set<unknown>();
  const named = (driver: MountDriver, name: string, pid: number): MountDriver => ({
    ...driver,
    setAside: async () => [name],
    ownProcesses: async () => [pid],
    openFilesPath: () => name,
    onMountProcessExit(listener) {
      const own = [name, listener];
      listeners.add(own);
      return () => void listeners.delete(own);
    },
  });
  const before = { ...local, driver: named(local.driver, "before", 1) };
  const driver = createDriverSuccession([]).take(before, { ...smb, driver: named(smb.driver, "next", 2) });
  const [left = assert.fail()] = await found(driver, smb.spec);
  assert.deepEqual(await driver.setAside?.(smb.spec), ["next", "before"]);
  const other = { ...left, id: "of nobody before" };
  assert.deepEqual([driver.openFilesPath(left), driver.openFilesPath(other)], ["before", "next"]);
  assert.deepEqual(
    [await driver.ownProcesses(smb.spec, left), await driver.ownProcesses(smb.spec, other)],
    [[1], [2]],
  );
  const unregister = driver.onMountProcessExit?.(() => {});
  assert.equal(listeners.size, 2);
  unregister?.();
  assert.equal(listeners.size, 0);
});
