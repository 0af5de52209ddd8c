// Keeps files whole that an earlier rclone left unsent. The next one sends them without their entries in its folders
// (`Item.reload` closes them with no callback): once one is sent, and until its folder is listed again, its path shows an
// empty file or the one of before, and what a program appends takes the place of all that was sent.
import { dirname, join } from "node:path";
import { runCommand } from "../../../runtime/process/child-process.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { type RcloneControl, refreshFolders } from "./control.ts";

interface ReloadedFiles {
  readonly mountPath: string;
  /** In the share. */
  readonly paths: readonly string[];
  /** null: rclone cannot be asked. */
  readonly control: RcloneControl | null;
}

const FILES_AT_ONCE = 200;
/** The path should be back within 3 s. */
const ALL_MS = 2_000;

/**
 * Opens each of the files once, so that rclone ties it to its entry, those that it sends last first; what was sent
 * meanwhile is listed before and after. Ends within 2 s, and later files are then left as they are. Rejects where no
 * program can be started.
 */
export async function openReloaded(
  clock: Clock,
  { mountPath, paths, control }: ReloadedFiles,
): Promise<void> {
  const untilMs = clock.monotonicMs() + ALL_MS;
  const leftMs = (): number => Math.max(0, untilMs - clock.monotonicMs());
  const folders = [...new Set(paths.map((path) => (path.includes("/") ? dirname(path) : "")))];
  const refresh = async (): Promise<void> => {
    if (control !== null && leftMs() > 0) await refreshFolders(control, folders, leftMs());
  };
  await refresh();
  const last = paths.map((path) => join(mountPath, path)).toReversed();
  for (let at = 0; at < last.length && leftMs() > 0; at += FILES_AT_ONCE) {
    const some = last.slice(at, at + FILES_AT_ONCE);
    // A program of its own, as the mount may hang. rclone opens its own file only when one is read.
    await runCommand("head", ["-q", "-c", "1", "--", ...some], {
      clock,
      deadlineMs: leftMs(),
      killGraceMs: 0,
      maxOutputBytes: 1,
    });
  }
  await refresh();
}
