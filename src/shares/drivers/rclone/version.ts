// rclone's version, and what it can do: a table with the first version that has each ability.
import { expecting, isOwnError } from "../../../runtime/errors.ts";
import { runCommand } from "../../../runtime/process/child-process.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { Lacking } from "../mount-driver.ts";

export interface RcloneVersion {
  readonly major: number;
  readonly minor: number;
  /** The number of this project's own build (engine/), which `rclone version` tells; null: another's build. */
  readonly engine: number | null;
}

export const VERSION_DEADLINE_MS = 5_000;

/** The first minor version of rclone 1 that has the ability. */
const SINCE = {
  /** rclone has an SMB backend. */
  speaksSmb: 60,
  /** An upload into the root no longer makes a folder named by an encoded dot there. */
  encodesDots: 61,
  /** rclone sends one file over several connections at once. */
  sendsInParallel: 64,
  /**
   * From this version on, a file can be opened while it is being sent. With earlier versions and a delay of one
   * second, 10 of 343 git commits in a row failed.
   */
  opensWhileSending: 69,
  /** A failed Stat during an upload does not make rclone forget the file (rclone c9e5f45d7). */
  survivesBrokenUploads: 69,
  /** If a reader gives up a dead connection, rclone keeps the connection and reuses it after the living ones. */
  keepsDeadConnections: 70,
  /** By default, rclone keeps a cached file open for 5 s after its last close. */
  keepsFilesOpen: 74,
} as const;

type RcloneAbility = keyof typeof SINCE;

/** `unknown`: the answer if the version is null. */
export function rcloneCan(version: RcloneVersion | null, ability: RcloneAbility, unknown = false): boolean {
  if (version === null) return unknown;
  return version.major > 1 || (version.major === 1 && version.minor >= SINCE[ability]);
}

export const NEWER_RCLONE =
  "install a newer rclone: mountaineer rclone install (or https://rclone.org/downloads)";

/** What a newer rclone would spare the user; null: nothing, or the version is unknown. */
export function whyNewerRclone(version: RcloneVersion | null): Lacking | null {
  if (rcloneCan(version, "survivesBrokenUploads", true)) return null;
  const dots = rcloneCan(version, "encodesDots")
    ? ""
    : ", and names that end in a dot come back as other names (R.E.M. as RP85G1~P), which rsync --delete deletes";
  const uploads = `rclone ${version?.major}.${version?.minor} may end, or fail a file, when a route is lost during many uploads`;
  return { text: `${uploads}${dots}; not so with 1.69 or newer`, hint: NEWER_RCLONE };
}

/** Asks rclone for its version; null: rclone is missing, or does not print its version. */
export async function askRcloneVersion(clock: Clock, rclone: string): Promise<RcloneVersion | null> {
  const limits = { clock, deadlineMs: VERSION_DEADLINE_MS };
  const ran = await runCommand(rclone, ["version"], limits).catch(expecting(isOwnError, null));
  return ran === null ? null : parseRcloneVersion(ran.stdout);
}

export function parseRcloneVersion(text: string): RcloneVersion | null {
  const match = /^(?:rclone )?v(\d+)\.(\d+)(?:\.\d+-mountaineer\.(\d+)\b)?/.exec(text);
  if (match === null) return null;
  const [, major, minor, engine] = match;
  return { major: Number(major), minor: Number(minor), engine: engine === undefined ? null : Number(engine) };
}
