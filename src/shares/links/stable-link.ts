// Symlinks that change their target in one step: they are never missing, and nothing of others is replaced.

import { open, rename, symlink, unlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { errorText } from "../../runtime/errors.ts";
import { ensureFolder } from "../../runtime/files/durable-file.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { LinkBlocked } from "../policy/share-seen.ts";
import { type LinkLook, NO_LINK_ANSWER, type Prober } from "../prober/prober.ts";

/** Longest part of a name, bytes, before something is added. */
const LONGEST_NAME = 200;
/** As `mkdir` makes them: what the umask leaves. */
const NEW_FOLDER = 0o777;

export type LinkOutcome = { readonly result: "right" | "created" | "repaired" } | LinkBlocked;

interface StableLinkOptions {
  readonly prober: Prober;
  readonly path: string;
  /** Absolute. */
  readonly target: string;
  /** Whether a link with this (absolute) target was made by Mountaineer; only such a link is replaced. */
  readonly isOurs: (target: string) => boolean;
  /** For looking at the link, ms. */
  readonly waitMs: number;
}

/**
 * Ensures that `path` is a symlink to `target`, and makes its folder if needed. The prober looks at it, so a right link
 * costs the daemon no file system call. Never rejects.
 */
export async function ensureStableLink(options: StableLinkOptions): Promise<LinkOutcome> {
  const { prober, path, target, isOurs, waitMs } = options;
  const look = await prober.readLink(path, waitMs);
  const found = judgeLink(look, path, target, (written) => isOurs(resolve(dirname(path), written)));
  if (found === "right") return { result: "right" };
  if (typeof found !== "string") return found;
  try {
    await (found === "missing" ? createLink(path, target) : replaceLink(path, target));
    return { result: found === "missing" ? "created" : "repaired" };
  } catch (error) {
    return blocked(errorText(error), "failed");
  }
}

/** What is to be done about a link, given a look; "ours" leads elsewhere. */
export function judgeLink(
  look: LinkLook | undefined,
  path: string,
  target: string,
  isOurs: (target: string) => boolean,
): "right" | "missing" | "ours" | LinkBlocked {
  if (look === undefined || look.state === "unknown") {
    const { text, isLate = false } = look ?? NO_LINK_ANSWER;
    return blocked(`${path} cannot be looked at: ${text}`, isLate ? "late" : "unseen");
  }
  if (look.state === "missing") return "missing";
  if (look.state === "other") return blocked(`${path} is a ${look.kind}`, "taken");
  if (look.target === target) return "right";
  return isOurs(look.target) ? "ours" : blocked(`${path} is a link to ${look.target}`, "taken");
}

export function blocked(by: string, why: LinkBlocked["why"]): LinkBlocked {
  return { result: "blocked", by, why };
}

/** Makes a link where nothing is, with its folder; rejects with EEXIST when something has appeared there. */
export async function createLink(path: string, target: string): Promise<void> {
  const folder = dirname(path);
  await ensureFolder(folder, NEW_FOLDER);
  await symlink(target, path);
  await keep(folder);
}

/** Replaces a link by another in one step. */
export async function replaceLink(path: string, target: string): Promise<void> {
  const folder = dirname(path);
  // Hidden, and named by us: what a crash left behind is replaced by the next one.
  const temporary = join(folder, temporaryName(basename(path)));
  await unlink(temporary).catch(() => {});
  await symlink(target, temporary);
  await rename(temporary, path);
  await keep(folder);
}

/** A name may have 255 bytes, up to four for a character, so a long one becomes a digest. */
function temporaryName(name: string): string {
  return `.${Buffer.byteLength(name) <= LONGEST_NAME ? name : sha256Of(name)}.mountaineer-new`;
}

/** Removes a link. */
export async function removeLink(path: string): Promise<void> {
  await unlink(path);
  await keep(dirname(path));
}

async function keep(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
