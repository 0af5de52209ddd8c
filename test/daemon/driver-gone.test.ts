// A real rclone that goes away while it serves, as in the middle of an upgrade.
import assert from "node:assert/strict";
import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import test, { type TestContext } from "node:test";
import type { ShareStatus } from "../../src/api/contract.ts";
import { missingForPlainRig, startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { findProgram } from "../../src/runtime/process/find-program.ts";
import { createServiceRig, NEVER, overTb } from "./service-rig.ts";

const missing = missingForPlainRig();
const SHARE = `gone-${process.pid.toString(36)}`;

/** A PATH of its own with what mounting takes. */
async function ownPath(
  t: TestContext,
  folder: string,
): Promise<{ remove(): Promise<void>; putBack(): Promise<void> }> {
  const path = process.env["PATH"] ?? "";
  const programs = join(folder, "programs");
  await mkdir(programs);
  const put = async (name: string): Promise<void> => {
    const program = await findProgram(name, path.split(delimiter));
    assert.ok(program);
    await symlink(program, join(programs, name));
  };
  for (const name of ["rclone", "fusermount3", "fusermount"]) await put(name);
  process.env["PATH"] = programs;
  t.after(() => {
    process.env["PATH"] = path;
  });
  return { remove: () => rm(join(programs, "rclone")), putBack: () => put("rclone") };
}

const tellsOf =
  (code: string) =>
  ({ conditions }: ShareStatus): boolean =>
    conditions.some((condition) => condition.code === code);

test("What to mount: with rclone gone, no switch and no edit unmounts what serves; both are done when it is back", {
  skip: missing ?? false,
}, async (t) => {
  const smb = await startPlainRig({ shares: [SHARE] });
  const rig = await createServiceRig(t, { RIG_PASSWORD: smb.password });
  t.after(() => smb[Symbol.asyncDispose]());
  await writeFile(join(smb.exportPath(SHARE), "file"), "of CORE");
  const text = async (mountRoot: string): Promise<string> =>
    `${await rig.config([], { mountRoot })}${[
      "[[shares]]",
      'name = "CORE"',
      `share_name = "${SHARE}"`,
      `thunderbolt_host = "${smb.tbHost}:${smb.tbPort}"`,
      `fallback_host = "${smb.fallbackHost}:${smb.fallbackPort}"`,
      `username = "${smb.username}"`,
      'carry = "off"',
      `password = "\${RIG_PASSWORD}"`,
    ].join("\n")}\n`;
  const path = await ownPath(t, rig.folder);
  await rig.write(await text("volumes"));
  const { service, until, share, transitions } = await rig.start({ unmountOnExit: true });
  await until("CORE", overTb);
  const isUnmounted = (): boolean => transitions.some(({ name }) => name === "share.unmounted");

  await path.remove();
  const switching = { to: "fallback", force: true, wait: false } as const;
  const [refused] = (await service.control.switchRoute(switching, NEVER)).results;
  assert.equal(refused?.result, "failed");
  // Found by the check before the step, or, when that has just passed, by the step itself.
  assert.match(
    refused.detail,
    /^(?:cannot start rclone: it|rclone) is not installed.*; nothing was changed$/,
  );
  await until("CORE", tellsOf("driver_unavailable"));

  await rig.write(await text("elsewhere"));
  await until("CORE", (seen) => tellsOf("path_changed")(seen) && tellsOf("driver_unavailable")(seen));
  const verified = await service.control.verify({ shares: ["CORE"] }, NEVER);
  assert.ok(verified.findings.some(({ code }) => code === "driver_unavailable"));
  assert.equal(share("CORE").mount_path, join(rig.folder, "volumes", "CORE"));
  assert.ok(!isUnmounted(), "what serves keeps serving");
  assert.equal(await readFile(join(rig.folder, "Shares", "CORE", "file"), "utf8"), "of CORE");

  await path.putBack();
  const moved = await until("CORE", ({ mount_path, mount_alive }) => {
    return mount_alive && mount_path === join(rig.folder, "elsewhere", "CORE");
  });
  assert.ok(isUnmounted());
  assert.ok(!tellsOf("driver_unavailable")(moved));
  const [switched] = (await service.control.switchRoute(switching, NEVER)).results;
  assert.equal(switched?.result, "switched");
});
