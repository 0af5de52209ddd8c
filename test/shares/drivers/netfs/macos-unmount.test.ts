// The ladder by which macOS lets go, with commands in place of its own that say what macOS's say.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { type Clock, systemClock } from "../../../../src/runtime/time/clock.ts";
import { createMacosUnmount } from "../../../../src/shares/drivers/netfs/macos-unmount.ts";
import { isBusy } from "../../../../src/shares/drivers/unmount-ladder.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const MOUNT = { id: "1", path: "/Volumes/it's (x) -f" };
const BUSY = "umount(/Volumes/core): Resource busy -- try 'diskutil unmount'";

/** The mount stands while FOLDER/mounted does. */
async function ladder(t: TestContext, umount: string, diskutil: string, clock: Clock = systemClock) {
  const folder = await temporaryFolder(t);
  const mark = join(folder, "mounted");
  await writeFile(mark, "");
  const program = async (name: string, script: string): Promise<string> => {
    const path = join(folder, name);
    const note = `printf '%s' ${name} >> ${folder}/ran; printf ' <%s>' "$@" >> ${folder}/ran; echo >> ${folder}/ran`;
    await writeFile(path, `#!/bin/sh\n${note}\n${script.replaceAll("LET_GO", `rm -f ${mark}`)}\n`);
    await chmod(path, 0o755);
    return path;
  };
  const unmount = createMacosUnmount({
    clock,
    mountTable: {
      read: async () =>
        existsSync(mark) ? [{ ...MOUNT, type: "smbfs", source: "//h/s", options: [], deviceMinor: 0 }] : [],
    },
    commands: { umount: await program("umount", umount), diskutil: await program("diskutil", diskutil) },
  });
  return {
    run: (mode: "plain" | "force", deadlineMs = 60_000, signal = new AbortController().signal) =>
      unmount(MOUNT, mode, { deadlineMs, signal }),
    ran: async () => (await readFile(join(folder, "ran"), "utf8").catch(() => "")).trim().split("\n"),
    letGo: () => rm(mark),
  };
}

test("a healthy mount goes by a plain umount alone", async (t) => {
  const { run, ran } = await ladder(t, "LET_GO", "");
  assert.deepEqual(await run("plain"), { ok: true });
  assert.deepEqual(await ran(), [`umount <--> <${MOUNT.path}>`]);
});

test("a busy one says so and stays, and no more force is tried", async (t) => {
  const { run, ran } = await ladder(t, `echo "${BUSY}" >&2; exit 1`, "LET_GO");
  const outcome = await run("plain");
  assert.deepEqual(outcome, { ok: false, reason: "busy", text: BUSY });
  assert.equal((await ran()).length, 1);
});

test("by force: umount -f, and when that does not help, diskutil", async (t) => {
  const first = await ladder(t, "LET_GO", "");
  assert.deepEqual(await first.run("force"), { ok: true });
  assert.deepEqual(await first.ran(), [`umount <-f> <--> <${MOUNT.path}>`]);
  const second = await ladder(t, `echo "${BUSY}" >&2; exit 1`, "LET_GO");
  assert.deepEqual(await second.run("force"), { ok: true });
  assert.deepEqual(await second.ran(), [
    `umount <-f> <--> <${MOUNT.path}>`,
    `diskutil <unmount> <force> <${MOUNT.path}>`,
  ]);
});

test("an umount that hangs leaves time for diskutil", async (t) => {
  const clock = createManualClock();
  const { run, ran } = await ladder(t, "exec sleep 600", "LET_GO", clock);
  const unmounting = run("force", 1_200);
  await eventually(async () => (await ran())[0] !== "");
  await clock.advance(600);
  assert.deepEqual(await unmounting, { ok: true });
  assert.equal((await ran()).length, 2);
});

test("done is what the table shows, not what a command says", async (t) => {
  const lying = await ladder(t, "exit 0", "exit 0");
  const outcome = await lying.run("plain");
  assert.deepEqual(outcome, { ok: false, reason: "failed", text: "it stands in the mount table still" });
  const wedged = await lying.run("force");
  assert.ok(!wedged.ok && wedged.reason === "failed");
  assert.match(wedged.text, /wedged until the machine is restarted/);
  const complaining = await ladder(t, "LET_GO; echo 'not currently mounted' >&2; exit 1", "");
  assert.deepEqual(await complaining.run("plain"), { ok: true });
});

test("what is gone is done already; a cancelled one runs nothing", async (t) => {
  const { run, ran, letGo } = await ladder(t, "", "");
  const cancelled = await run("force", 60_000, AbortSignal.abort());
  assert.deepEqual(cancelled, { ok: false, reason: "failed", text: "cancelled" });
  await letGo();
  assert.deepEqual(await run("plain"), { ok: true });
  assert.deepEqual(await ran(), [""]);
});

test("busy is only what says so", () => {
  assert.ok(isBusy(BUSY));
  assert.ok(isBusy("umount: /mnt: target is busy."));
  assert.ok(!isBusy("umount(/Volumes/Busy Bees): Operation not permitted"));
});
