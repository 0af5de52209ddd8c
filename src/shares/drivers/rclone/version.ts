// What an rclone can do, by its version: a table with the first version that has each ability.

import { canBuildEngine } from "../../../rclone-release/installed.ts";
import { isEngine, type RcloneVersion } from "../../../rclone-release/rclone-version.ts";
import { ENGINE_RELEASE } from "../../../rclone-release/releases.ts";
import type { MissingRequirement } from "../mount-driver.ts";

/** The first minor version of rclone 1 that has the ability. */
const SINCE = {
  /** rclone has an SMB backend. */
  speaksSmb: 60,
  /** An upload into the root no longer makes a folder named by an encoded dot there. */
  encodesDots: 61,
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

const NEWER_RCLONE = "install a newer rclone: mountaineer rclone install (or https://rclone.org/downloads)";

/** The drawbacks of this rclone compared with the engine; null: it is the engine, or its version is unknown. */
export async function stockCosts(
  version: RcloneVersion | null,
  canBuild = canBuildEngine,
): Promise<MissingRequirement | null> {
  if (version === null || isEngine(version)) return null;
  const text = rcloneCan(version, "survivesBrokenUploads")
    ? "reads up to three times slower than Mountaineer's own"
    : "works, with known problems (docs/reference/drivers.md)";
  return {
    text: `rclone ${version.major}.${version.minor} ${text}`,
    hint: cureOf(version, await canBuild()),
  };
}

function cureOf(version: RcloneVersion, canBuild: boolean): string {
  if (canBuild) return "build Mountaineer's own: npm run engine (in the clone)";
  if (ENGINE_RELEASE !== null) return "install Mountaineer's own: mountaineer rclone install";
  const cure = "Mountaineer's own comes with its packages (docs/use/install.md)";
  return rcloneCan(version, "survivesBrokenUploads") ? cure : `${NEWER_RCLONE}; ${cure}`;
}
