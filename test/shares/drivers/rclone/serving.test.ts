// Whose process serves a share when a daemon was killed before it could note it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { processNoteText, rcloneFiles } from "../../../../src/shares/drivers/rclone/files.ts";
import { createServingProcesses, listRcloneMounts } from "../../../../src/shares/drivers/rclone/serving.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

test("A13 a process that was started and not noted is known by its arguments, and so is the server whose cache it has", async (t) => {
  const folder = await temporaryFolder(t);
  const own = rcloneFiles(folder, "CORE", "0123456789abcdef");
  await mkdir(own.folder, { recursive: true });
  // A shell by that name, which reads a line and ends.
  const program = join(folder, "rclone");
  await copyFile("/bin/sh", program);
  const script = ["-c", "read line", "mount", "share:core", join(folder, "volumes/CORE")];
  const child = spawn(program, [...script, "--config", own.config, "--cache-dir", own.cache], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  t.after(() => child.kill("SIGKILL"));
  await once(child, "spawn");
  // What it replaced has left its note.
  const ended = { pid: 2 ** 22 + 1, startTime: "b:1" };
  const note = { identity: ended, mountPath: "/mnt", carriedPort: null, pinned: false, server: "first" };
  await writeFile(own.process, processNoteText(note));
  const share = { shareName: "CORE", files: rcloneFiles(folder, "CORE") };
  const serving = createServingProcesses();
  assert.equal(await serving.serverInUse(share), own.server);
  assert.deepEqual(
    (await serving.running(share)).map(({ pid }) => pid),
    [child.pid],
  );
  child.stdin?.end();
  await once(child, "exit");
  // Nobody serves it now: the note is what is known.
  assert.equal(await createServingProcesses().serverInUse(share), "first");
});

test("What to mount: where the system lists no processes, as macOS, none of rclone's is found, and nothing fails", async (t) => {
  assert.deepEqual(await listRcloneMounts(join(await temporaryFolder(t), "proc")), []);
});
