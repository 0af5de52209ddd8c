// An rclone's version, as the program prints it and as the file beside a program holds it.
import { isOwnError, recoverFrom } from "../runtime/errors.ts";
import { runCommand } from "../runtime/process/child-process.ts";
import type { Clock } from "../runtime/time/clock.ts";

export interface RcloneVersion {
  readonly major: number;
  readonly minor: number;
  /** The number of this project's own build (engine/), which its version ends in; null: another's build. */
  readonly engine: number | null;
}

export const VERSION_DEADLINE_MS = 5_000;

/** Whether it is this project's own build. */
export function isEngine(version: RcloneVersion | null): boolean {
  return version !== null && version.engine !== null;
}

/** Asks rclone for its version; null: rclone is missing, or does not print its version. */
export async function readRcloneVersion(clock: Clock, rclone: string): Promise<RcloneVersion | null> {
  const limits = { clock, deadlineMs: VERSION_DEADLINE_MS };
  const ran = await runCommand(rclone, ["version"], limits).catch(recoverFrom(isOwnError, null));
  return ran === null ? null : parseRcloneVersion(ran.stdout);
}

/** Reads what `rclone version` prints, or only the version; null: it is neither. */
export function parseRcloneVersion(text: string): RcloneVersion | null {
  const match = /^(?:rclone )?v?(\d+)\.(\d+)(?:\.\d+-mountaineer\.(\d+)(?!\S))?/.exec(text);
  if (match === null) return null;
  const [, major, minor, engine] = match;
  return { major: Number(major), minor: Number(minor), engine: engine === undefined ? null : Number(engine) };
}
