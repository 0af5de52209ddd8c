// What this machine lacks for mounting with rclone.
import { stat } from "node:fs/promises";
import { installedRclone } from "../../../rclone-release/installed.ts";
import {
  parseRcloneVersion,
  type RcloneVersion,
  VERSION_DEADLINE_MS,
} from "../../../rclone-release/rclone-version.ts";
import { isSystemError, MountaineerError, recoverFrom } from "../../../runtime/errors.ts";
import { runCommand } from "../../../runtime/process/child-process.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { createFuseCheck } from "../fuse.ts";
import type { MissingRequirement } from "../mount-driver.ts";
import { rcloneCan, stockCosts } from "./version.ts";

const INSTALL = "install rclone 1.60 or newer (apt install rclone, or mountaineer rclone install)";

/**
 * Checks again and again what rclone needs on this machine, because programs are installed and removed while the
 * daemon runs. Checks at the same time use one reading, and rclone is asked for its version only after its file has
 * changed.
 */
export function createRcloneCheck(clock: Clock, home: string) {
  /** The identity of the last rclone file that was found usable; null: none was. */
  let fit: string | null = null;
  let version: RcloneVersion | null = null;
  let advice: MissingRequirement | null = null;
  let program = "rclone";
  let running: Promise<MissingRequirement | null> | null = null;
  /** Start of the last check that found everything, monotonic ms. */
  let ableAtMs = Number.NEGATIVE_INFINITY;
  const fuse = createFuseCheck(clock);

  const check = async (): Promise<MissingRequirement | null> => {
    const installed = await installedRclone(home);
    const rclone = installed ?? (await fuse.find("rclone"));
    if (rclone === null) return { text: "rclone is not installed", hint: INSTALL };
    program = installed ?? "rclone";
    const unusable = await fuse.missingRequirement();
    if (unusable !== null) return unusable;
    const identity = await identityOf(rclone);
    if (identity !== null && identity === fit) return null;
    const answer = await checkVersion(clock, program);
    version = answer.version;
    advice = await stockCosts(version);
    if (answer.missing === null) fit = identity;
    return answer.missing;
  };

  const search = async (): Promise<MissingRequirement | null> => {
    const startedAtMs = clock.monotonicMs();
    const missing = await check();
    ableAtMs = missing === null ? startedAtMs : Number.NEGATIVE_INFINITY;
    return missing;
  };

  return {
    /**
     * Resolves with what is missing, or with null. Calls share a check in progress, and a null is reused if its check
     * began at `notBeforeMs` (monotonic) or later.
     */
    missingRequirement(notBeforeMs = Number.POSITIVE_INFINITY): Promise<MissingRequirement | null> {
      if (ableAtMs >= notBeforeMs) return Promise.resolve(null);
      running ??= search().finally(() => {
        running = null;
      });
      return running;
    },
    /** The program that the last check found. */
    get program(): string {
      return program;
    },
    /** The version of `program`; null: unknown. */
    get version(): RcloneVersion | null {
      return version;
    },
    /** See `stockCosts`. */
    get advice(): MissingRequirement | null {
      return advice;
    },
  };
}

export type RcloneCheck = ReturnType<typeof createRcloneCheck>;

async function checkVersion(
  clock: Clock,
  rclone: string,
): Promise<{ readonly version: RcloneVersion | null; readonly missing: MissingRequirement | null }> {
  try {
    const result = await runCommand(rclone, ["version"], { clock, deadlineMs: VERSION_DEADLINE_MS });
    const version = parseRcloneVersion(result.stdout);
    if (version === null && result.exitCode !== 0 && !result.timedOut) {
      const reported =
        result.stderr.trim().split("\n").at(-1) || `it ends with ${result.exitCode ?? result.exitSignal}`;
      return { version, missing: { text: `rclone does not run: ${reported}`, hint: INSTALL } };
    }
    // A version that cannot be read counts as new enough.
    if (rcloneCan(version, "speaksSmb", true)) return { version, missing: null };
    const text = `rclone ${version?.major}.${version?.minor} cannot speak SMB`;
    return { version, missing: { text, hint: INSTALL } };
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    // The program does not start, for example during an upgrade, when it is removed or incomplete.
    return { version: null, missing: { text: error.message, hint: INSTALL } };
  }
}

/** Identifies the file that a path, with its symlinks, leads to; null: it is gone. */
async function identityOf(path: string): Promise<string | null> {
  const found = await stat(path).catch(recoverFrom(isSystemError, null));
  return found === null ? null : [found.dev, found.ino, found.size, found.mtimeMs].join(" ");
}
