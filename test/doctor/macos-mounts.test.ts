import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { DoctorFinding } from "../../src/api/doctor-report.ts";
import { examineMultichannel, multichannelPlaces } from "../../src/doctor/macos-mounts.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const NETFS = [{ driver: "netfs" }] as const;

async function examined(t: TestContext, files: { global?: string; user?: string }): Promise<DoctorFinding[]> {
  const folder = await temporaryFolder(t);
  const places = { global: join(folder, "global.conf"), user: join(folder, "user.conf") };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, `${name}.conf`), text);
  return examineMultichannel(NETFS, places);
}

const codes = (found: readonly DoctorFinding[]): string[] => found.map(({ code }) => code);

test("multichannel is nobody's matter where the system does not mount", async () => {
  const places = multichannelPlaces("/nonexistent");
  assert.deepEqual(await examineMultichannel([{ driver: "rclone" }, { driver: "local" }], places), []);
});

test("without settings multichannel is on, and what to do about it is said", async (t) => {
  const [found] = await examined(t, {});
  assert.deepEqual([found?.code, found?.severity], ["multichannel_on", "info"]);
  assert.match(found?.hint ?? "", /smbutil multichannel -m .*mc_prefer_wired=yes.*mc_on=no/);
});

test("what [default] says counts, however it is spelled, and no other section", async (t) => {
  assert.deepEqual(codes(await examined(t, { global: "[default]\nmc_on=no\n" })), ["multichannel_off"]);
  assert.deepEqual(codes(await examined(t, { global: "[Default]\r\n MC_ON = No \r\n" })), [
    "multichannel_off",
  ]);
  assert.deepEqual(codes(await examined(t, { user: "[default]\nmc_prefer_wired=yes\n" })), [
    "multichannel_wired",
  ]);
  assert.deepEqual(codes(await examined(t, { global: "mc_on=no\n[NAS]\nmc_on=no\n# mc_on=no\n" })), [
    "multichannel_on",
  ]);
});

test("where the files disagree the system's is right", async (t) => {
  const files = { global: "[default]\nmc_on=no\n", user: "[default]\nmc_on=yes\nmc_prefer_wired=yes\n" };
  assert.deepEqual(codes(await examined(t, files)), ["multichannel_off"]);
  const other = { global: "[default]\nmc_on=yes\n", user: "[default]\nmc_on=no\nmc_prefer_wired=yes\n" };
  assert.deepEqual(codes(await examined(t, other)), ["multichannel_wired"]);
});

test("a file that cannot be read is told, and the other one counts", async (t) => {
  const folder = await temporaryFolder(t);
  const places = { global: join(folder, "global.conf"), user: join(folder, "user.conf") };
  await mkdir(places.user);
  await writeFile(places.global, "[default]\nmc_on=no\n");
  assert.deepEqual(codes(await examineMultichannel(NETFS, places)), [
    "multichannel_unread",
    "multichannel_off",
  ]);
});
