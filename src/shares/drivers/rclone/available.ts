// What this machine lacks for mounting with rclone.
import { access, constants, readFile, stat } from "node:fs/promises";
import { delimiter } from "node:path";
import { installedRclone } from "../../../rclone-release/installed.ts";
import {
  parseRcloneVersion,
  type RcloneVersion,
  VERSION_DEADLINE_MS,
} from "../../../rclone-release/rclone-version.ts";
import {
  errorText,
  isSystemError,
  MountaineerError,
  recoverFrom,
  systemErrorCode,
} from "../../../runtime/errors.ts";
import { runCommand } from "../../../runtime/process/child-process.ts";
import { findProgram, isProgram } from "../../../runtime/process/find-program.ts";
import { shellCommand } from "../../../runtime/text/plain-text.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { ShareSpec } from "../../share-spec.ts";
import type { MissingRequirement } from "../mount-driver.ts";
import { rcloneCan, stockCosts } from "./version.ts";

/** How long a found program's path is used again, ms. After that, PATH is searched again. */
const RECHECK_AFTER_MS = 60_000;
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
  const find = createFinder(clock);

  const check = async (): Promise<MissingRequirement | null> => {
    const installed = await installedRclone(home);
    const rclone = installed ?? (await find("rclone"));
    if (rclone === null) return { text: "rclone is not installed", hint: INSTALL };
    if ((await find("fusermount3")) === null) {
      const hint = "install FUSE 3 (apt install fuse3)";
      return { text: "fusermount3 is not installed", hint };
    }
    program = installed ?? "rclone";
    const closed = await whyClosed("/dev/fuse");
    if (closed !== null) return closed;
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

/**
 * Looks first where the program was found before: PATH may have many folders, and this runs in each cycle of a share.
 */
function createFinder(clock: Clock): (program: string) => Promise<string | null> {
  const found = new Map<string, { readonly file: string; readonly path: string; readonly atMs: number }>();
  return async (program) => {
    const path = process.env["PATH"] ?? "";
    const known = found.get(program);
    const isFresh = known?.path === path && clock.monotonicMs() - known.atMs < RECHECK_AFTER_MS;
    if (isFresh && (await isProgram(known.file))) return known.file;
    const file = await findProgram(program, path.split(delimiter));
    if (file === null) found.delete(program);
    else found.set(program, { file, path, atMs: clock.monotonicMs() });
    return file;
  };
}

/** Identifies the file that a path, with its symlinks, leads to; null: it is gone. */
async function identityOf(path: string): Promise<string | null> {
  const found = await stat(path).catch(recoverFrom(isSystemError, null));
  return found === null ? null : [found.dev, found.ino, found.size, found.mtimeMs].join(" ");
}

const FUSE_CONF = "/etc/fuse.conf";

/** Why FUSE refuses `allow_other` to this user; null: it allows it, or the share does not ask for it. */
export async function whyNotForOthers(
  { access }: Pick<ShareSpec, "access">,
  userId = process.getuid?.(),
  path = FUSE_CONF,
): Promise<MissingRequirement | null> {
  if (access?.allowOther !== true || userId === 0) return null;
  const text = await readFile(path, "utf8").catch(recoverFrom(isSystemError, ""));
  if (/^\s*user_allow_other\s*$/m.test(text)) return null;
  return {
    text: `FUSE refuses allow_other to this user: ${path} lacks the line user_allow_other`,
    hint: `echo user_allow_other | sudo tee -a ${path}`,
  };
}

/** Why this user cannot open the device; null: the device exists, and the user can open it. */
export async function whyClosed(device: string): Promise<MissingRequirement | null> {
  try {
    await access(device, constants.R_OK | constants.W_OK);
    return null;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "EACCES" || code === "EPERM") {
      const text = `${device} is there, but this user may not open it (${code})`;
      const hint = `allow it: it is usually open to all (chmod 666), or to a group: ${shellCommand`ls -l ${device}`}`;
      return { text, hint };
    }
    const hint = `load the fuse module, or give the container the device ${device} and the right to mount`;
    return { text: `${device} cannot be opened (${code ?? errorText(error)})`, hint };
  }
}
