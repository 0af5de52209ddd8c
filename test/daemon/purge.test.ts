// What a purge removes, and where it stops.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  clearKeyring,
  filesNotOnNas,
  mountsIn,
  removeHome,
  removeIfEmpty,
  removeOurs,
} from "../../src/daemon/purge.ts";
import type { MountEntry } from "../../src/shares/mounts/mount-entry.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const ROOT = process.getuid?.() === 0 && process.platform === "linux";

const USUAL = { isUsual: true, userHome: "/nowhere", config: "" };
const tableOf = (...paths: readonly string[]) => ({
  read: async (): Promise<readonly MountEntry[]> =>
    paths.map((path) => ({ id: path, path, type: "fuse", source: "x", options: [], deviceMinor: 0 })),
});

describe("a purge", () => {
  it("F3 removes the selected files, follows no link, and skips mounts of others and missing files", async (t) => {
    const folder = await temporaryFolder(t);
    await mkdir(join(folder, "home/a/b"), { recursive: true });
    await mkdir(join(folder, "home/mine"));
    await mkdir(join(folder, "nas"));
    await writeFile(join(folder, "nas/file"), "mine");
    await symlink(join(folder, "nas"), join(folder, "home/a/link"));
    await writeFile(join(folder, "home/a/b/c"), "x");
    await removeOurs(
      join(folder, "home"),
      (path) => path.startsWith("a/"),
      tableOf("/", `${folder}/home-other`),
    );
    assert.deepEqual(await readdir(join(folder, "home")), ["mine"]);
    assert.deepEqual(await readdir(join(folder, "nas")), ["file"]);
    assert.deepEqual(await removeHome(join(folder, "gone"), USUAL, tableOf()), []);
  });

  it("F3 does not take a local share's mount path for one of a person's files", async (t) => {
    const home = await temporaryFolder(t);
    await mkdir(join(home, "volumes"));
    await symlink("/srv", join(home, "volumes/LOCAL"));
    assert.deepEqual(await filesNotOnNas(home, true, tableOf()), []);
    await mkdir(join(home, "volumes/CORE"));
    await symlink("/srv", join(home, "volumes/CORE/link"));
    assert.deepEqual(await filesNotOnNas(home, true, tableOf()), [join(home, "volumes/CORE/link")]);
    await mkdir(join(home, "cache/volumes"), { recursive: true });
    await writeFile(join(home, "cache/volumes/file"), "x");
    assert.equal(
      (await filesNotOnNas(home, true, tableOf())).length,
      1,
      "only the home's own volumes are kept",
    );
  });

  it("A11 F6 keeps files written between its check and the removal, and names them; a home without a user is removed", async (t) => {
    const home = join(await temporaryFolder(t), "home");
    const late = ["volumes/CORE/saved late", "mounts/CORE/set-aside/film\n.mov", "volumes/bare"];
    for (const path of ["volumes/CORE", "mounts/CORE/set-aside/empty", "history"])
      await mkdir(join(home, path), { recursive: true });
    await symlink("/srv", join(home, "volumes/LOCAL"));
    assert.deepEqual(await filesNotOnNas(home, true, tableOf()), []);
    for (const path of late) await writeFile(join(home, path), "mine");
    assert.deepEqual(await removeHome(home, USUAL, tableOf()), ["mounts", "volumes"]);
    assert.deepEqual(
      new Set(await filesNotOnNas(home, true, tableOf())),
      new Set(late.map((path) => join(home, path))),
    );
    assert.deepEqual((await readdir(join(home, "volumes"))).sort(), ["CORE", "bare"]);
    for (const path of late) await rm(join(home, path));
    assert.deepEqual(await removeHome(home, USUAL, tableOf()), []);
    await assert.rejects(readdir(home), { code: "ENOENT" });
  });

  it("F3 finds nothing in a keyring that does not answer", async (t) => {
    const { DBUS_SESSION_BUS_ADDRESS: bus = "" } = process.env;
    t.after(() => {
      process.env["DBUS_SESSION_BUS_ADDRESS"] = bus;
    });
    process.env["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/nowhere/bus";
    await clearKeyring(await temporaryFolder(t), AbortSignal.any([]));
  });

  it("F6 removes nothing in the usual home while one of our folders has a mount; elsewhere in it, it may", async (t) => {
    const home = await temporaryFolder(t);
    const rows = [
      ["volumes/CORE", true],
      ["mounts", true],
      ["mine/usb", false],
      ["volumes-of-mine", false],
      ["", false],
    ] as const;
    for (const [path, isRefused] of rows) {
      const found = await mountsIn(home, true, tableOf(join(home, path)));
      assert.deepEqual(found, isRefused ? [`something is mounted at ${join(home, path)}`] : []);
    }
  });

  it("F3 crosses no mount point that the table does not know", {
    skip: ROOT ? false : "needs root on Linux",
  }, async (t) => {
    const folder = await temporaryFolder(t);
    const mounted = join(folder, "a/b");
    await mkdir(mounted, { recursive: true });
    assert.equal(spawnSync("mount", ["-t", "tmpfs", "none", mounted]).status, 0);
    try {
      await writeFile(join(mounted, "file"), "mine");
      await removeOurs(folder, () => true, tableOf());
      assert.deepEqual(await readdir(mounted), ["file"]);
    } finally {
      spawnSync("umount", [mounted]);
    }
  });

  it("F3 recognizes files that the NAS does not have, enters no mount, and leaves a folder that others use", async (t) => {
    const folder = await temporaryFolder(t);
    const aside = join(folder, "mounts/CORE/set-aside/sub");
    const mounted = join(folder, "volumes/CORE");
    const beside = join(folder, "volumes/CORE.set-aside-20261124T120000Z");
    for (const each of [aside, join(mounted, "set-aside"), beside]) await mkdir(each, { recursive: true });
    const notOnNas = () => filesNotOnNas(folder, true, tableOf(mounted));
    await writeFile(join(mounted, "set-aside/on-nas"), "a folder of the NAS");
    await writeFile(join(folder, "set-aside"), "a file of that name is none");
    assert.deepEqual(await notOnNas(), []);
    await writeFile(join(aside, "mine"), "x");
    await writeFile(join(beside, "mine"), "written below a mount path");
    await writeFile(join(folder, "volumes/bare"), "written where nothing was mounted");
    assert.deepEqual(
      new Set(await notOnNas()),
      new Set([join(aside, "mine"), join(beside, "mine"), join(folder, "volumes/bare")]),
    );
    assert.deepEqual(await filesNotOnNas(join(folder, "gone"), true, tableOf()), []);
    await removeIfEmpty(join(folder, "mounts"));
    await removeIfEmpty(aside);
    assert.deepEqual(await readdir(aside), ["mine"]);
  });
});
