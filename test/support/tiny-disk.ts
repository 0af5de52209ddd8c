// Disks that are full, tiny or read-only.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { runCommand } from "../../src/runtime/process/child-process.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { ANSWERS_MS } from "./eventually.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/**
 * Mounts a tmpfs with these mount options (`size=64k`, `ro`) until the test ends. null, and the test skipped, where
 * that is not allowed.
 */
export async function mountTmpfs(t: TestContext, options: string): Promise<string | null> {
  let mounted: string | null = null;
  // Registered before the folder's removal, so that it runs before it.
  t.after(async () => {
    if (mounted !== null) await run("umount", ["--lazy", mounted]);
  });
  const disk = join(await temporaryFolder(t), "disk");
  await mkdir(disk);
  const failure = await run("mount", ["-t", "tmpfs", "-o", options, "mountaineer-test", disk]);
  if (failure !== null) {
    t.skip(`needs the right to mount a tmpfs: ${failure}`);
    return null;
  }
  mounted = disk;
  return disk;
}

/** Changes the options of a mounted disk. */
export async function remountTmpfs(disk: string, options: string): Promise<void> {
  const failure = await run("mount", ["-o", `remount,${options}`, disk]);
  if (failure !== null) throw new Error(failure);
}

/** null when it went well, else why not. */
async function run(command: string, args: readonly string[]): Promise<string | null> {
  try {
    const result = await runCommand(command, args, { clock: systemClock, deadlineMs: ANSWERS_MS });
    return result.exitCode === 0 ? null : `${command}: ${result.stderr.trim()}`;
  } catch (error) {
    return String(error);
  }
}
