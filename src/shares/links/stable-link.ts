// Symlinks that change their target atomically: they are never missing, and only our own links are replaced.

import { rename, symlink, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import { ensureFolder, syncFolder } from "../../runtime/files/durable-file.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { LinkBlocked } from "../policy/share-observation.ts";
import { type LinkReading, NO_LINK_ANSWER } from "../prober/prober.ts";

/** Maximum length of a name to which an ending is added, bytes. */
const LONGEST_NAME = 200;
/** The mode of `mkdir`, reduced by the umask. */
const NEW_FOLDER = 0o777;

export type LinkOutcome = { readonly result: "right" | "created" | "repaired" } | LinkBlocked;

/**
 * Ensures that `path` is a symlink to `target`, and makes the symlink's folder if needed. `reading` was just taken.
 * `isOurs`: whether Mountaineer made a link with that target; only such a link is replaced. `prepare` runs before a
 * change and resolves with an obstacle to the change, or null. Never rejects.
 */
export async function ensureLink(
  path: string,
  target: string,
  reading: LinkReading | undefined,
  isOurs: (target: string) => boolean,
  prepare: () => Promise<string | null> = async () => null,
): Promise<LinkOutcome> {
  const found = judgeLink(reading, path, target, isOurs);
  if (found === "right") return { result: "right" };
  if (typeof found !== "string") return found;
  try {
    const obstacle = await prepare();
    if (obstacle !== null) return blocked(obstacle, "failed");
    await (found === "missing" ? createLink(path, target) : replaceLink(path, target));
    return { result: found === "missing" ? "created" : "repaired" };
  } catch (error) {
    // EEXIST from mkdir means that a file is in the place of a folder above the link; the link's own path may be
    // free.
    const isTaken =
      systemErrorCode(error) === "EEXIST" && (error as NodeJS.ErrnoException).syscall === "symlink";
    return isTaken
      ? blocked(`something else has just appeared at ${path}`, "taken")
      : blocked(errorText(error), "failed");
  }
}

/** Returns the state of a link that was read. "ours": Mountaineer made the link, but the link has another target. */
export function judgeLink(
  reading: LinkReading | undefined,
  path: string,
  target: string,
  isOurs: (target: string) => boolean,
): "right" | "missing" | "ours" | LinkBlocked {
  if (reading === undefined || reading.state === "unknown") {
    const { text, isLate = false } = reading ?? NO_LINK_ANSWER;
    return blocked(`${path} cannot be checked: ${text}`, isLate ? "late" : "unseen");
  }
  if (reading.state === "missing") return "missing";
  if (reading.state === "other") return blocked(`${path} is a ${reading.kind}`, "taken");
  if (reading.target === target) return "right";
  return isOurs(reading.target) ? "ours" : blocked(`${path} is a link to ${reading.target}`, "taken");
}

export function blocked(by: string, why: LinkBlocked["why"]): LinkBlocked {
  return { result: "blocked", by, why };
}

/** Makes a link and its folder; rejects with EEXIST if the path has been taken since. */
export async function createLink(path: string, target: string): Promise<void> {
  const folder = dirname(path);
  await ensureFolder(folder, NEW_FOLDER);
  await symlink(target, path);
  await syncFolder(folder);
}

export async function replaceLink(path: string, target: string): Promise<void> {
  const folder = dirname(path);
  // A fixed hidden name: the next attempt removes what a crash has left.
  const temporary = join(folder, temporaryName(basename(path)));
  await unlink(temporary).catch(() => {});
  await symlink(target, temporary);
  await rename(temporary, path);
  await syncFolder(folder);
}

/**
 * The name of a new link until it replaces the old one. Names have at most 255 bytes, and a character up to
 * four, so a long name becomes a digest.
 */
function temporaryName(name: string): string {
  return `.${Buffer.byteLength(name) <= LONGEST_NAME ? name : sha256Of(name)}.mountaineer-new`;
}

export async function removeLink(path: string): Promise<void> {
  await unlink(path);
  await syncFolder(dirname(path));
}
