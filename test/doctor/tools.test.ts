// What the doctor says of speed, and that it says nothing where there is nothing to gain.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { hasCifs, type SpeedLook, speedFindings } from "../../src/doctor/tools.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const NEWEST: SpeedLook = {
  version: { major: 1, minor: 69 },
  kernelHasCifs: false,
  cifsLacks: null,
  hasSmbclient: true,
};
const codes = (look: Partial<SpeedLook>): string[] =>
  speedFindings({ ...NEWEST, ...look }).map(({ code }) => code);

test("A12 an rclone that sends over one connection is told, and what a newer one brings", () => {
  const [found] = speedFindings({ ...NEWEST, version: { major: 1, minor: 60 } });
  assert.equal(found?.severity, "info");
  assert.match(
    found?.text ?? "",
    /^rclone 1\.60 sends a large file over one connection; 1\.64 or newer over several/,
  );
  assert.match(found?.hint ?? "", /mountaineer rclone install .* next mount/);
  assert.deepEqual(codes({}), []);
  assert.deepEqual(codes({ version: { major: 2, minor: 0 } }), []);
  assert.deepEqual(codes({ version: null }), [], "none is installed");
});

test("A11 an rclone that a broken upload may end is told", () => {
  const old = (minor: number): string[] => codes({ version: { major: 1, minor } });
  assert.deepEqual(old(60), ["rclone_one_connection", "rclone_breaks_at_uploads"]);
  assert.deepEqual(old(68), ["rclone_breaks_at_uploads"]);
  assert.deepEqual(old(69), []);
});

test("A12 the kernel's client is told of only where the kernel has it, with what it lacks", () => {
  const lacks = { text: "mount.cifs is not installed", hint: "install cifs-utils (apt install cifs-utils)" };
  assert.deepEqual(codes({ kernelHasCifs: true }), ["cifs_possible"]);
  assert.deepEqual(codes({ cifsLacks: lacks }), []);
  const [lacking] = speedFindings({ ...NEWEST, kernelHasCifs: true, cifsLacks: lacks });
  assert.deepEqual([lacking?.code, lacking?.severity, lacking?.hint], ["cifs_lacking", "info", lacks.hint]);
  assert.match(lacking?.text ?? "", /mount\.cifs is not installed/);
});

test("a kernel has a client that is built in, loaded, or a module to load", async (t) => {
  const folder = await temporaryFolder(t);
  const places = { filesystems: join(folder, "filesystems"), modules: join(folder, "modules") };
  assert.equal(await hasCifs(places), false, "neither list is there");
  await mkdir(places.modules);
  await writeFile(places.filesystems, "nodev\tsysfs\n\text4\nnodev\tcifsd\n");
  await writeFile(join(places.modules, "modules.dep"), "kernel/fs/smb/server/ksmbd.ko: \n");
  assert.equal(await hasCifs(places), false);
  await writeFile(join(places.modules, "modules.dep"), "kernel/fs/smb/client/cifs.ko.xz: kernel/lib/a.ko\n");
  assert.equal(await hasCifs(places), true);
  await writeFile(join(places.modules, "modules.dep"), "");
  await writeFile(places.filesystems, "\text4\nnodev\tcifs\n");
  assert.equal(await hasCifs(places), true);
});

test("A13 without smbclient a clone cannot be told from the NAS, and the doctor says so", () => {
  const [first] = speedFindings({ ...NEWEST, hasSmbclient: false });
  assert.deepEqual([first?.code, first?.severity], ["clones_look_alike", "warning"]);
  assert.match(first?.hint ?? "", /smbclient/);
});
