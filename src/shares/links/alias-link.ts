// Links to folders inside shares: made, repaired and removed. Never replaces what is not ours, and never makes a call
// that could reach a mount.
import { dirname, join } from "node:path";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import type { LinkLook, Prober } from "../prober/prober.ts";
import { blocked, createLink, judgeLink, type LinkOutcome, removeLink, replaceLink } from "./stable-link.ts";

export interface AliasSpec {
  readonly name: string;
  readonly share: string;
  /** Absolute: where the link is. */
  readonly path: string;
  /** From the share's root. */
  readonly targetSubpath: string;
  /** Absolute: `<shares_root>/<SHARE>/<subpath>`. It lies behind the share's stable link, and is never looked at. */
  readonly target: string;
}

export interface AliasLinkTools {
  readonly prober: Pick<Prober, "readLinks" | "realPath">;
  /** The targets that this home has given the link at `path`. */
  readonly madeTargets: (path: string) => ReadonlySet<string>;
  /** Remembers that a link is about to lead there; rejects when that cannot be written. */
  readonly remember: (path: string, target: string) => Promise<void>;
  /** Folders in which nothing may be made: mounts, or links to them. */
  readonly mountPaths: () => readonly string[];
  /** Deadline of each look, ms. */
  readonly waitMs: number;
}

/** Ensures that the link is there, given a look that was just taken; makes its folder if needed. Never rejects. */
export async function ensureAliasLink(
  tools: AliasLinkTools,
  spec: AliasSpec,
  look: LinkLook | undefined,
): Promise<LinkOutcome> {
  const { path, target } = spec;
  const made = tools.madeTargets(path);
  const found = judgeLink(look, path, target, (written) => made.has(written));
  if (found === "right") return noted(tools, spec);
  if (typeof found !== "string") return found;
  const fault = await placeFault(tools, path);
  if (fault !== null) return blocked(fault, "failed");
  try {
    // Before the link is made: a link that is not remembered would not count as ours.
    await tools.remember(path, target);
    await (found === "missing" ? createLink(path, target) : replaceLink(path, target));
    return { result: found === "missing" ? "created" : "repaired" };
  } catch (error) {
    return systemErrorCode(error) === "EEXIST"
      ? blocked(`something else has just appeared at ${path}`, "taken")
      : blocked(errorText(error), "failed");
  }
}

/** Removes a link that leads where we made it lead; true when none of ours is left. Never rejects. */
export async function removeAliasLink(
  tools: Pick<AliasLinkTools, "madeTargets">,
  path: string,
  look: LinkLook | undefined,
): Promise<boolean> {
  if (look === undefined || look.state === "unknown") return false;
  if (look.state !== "link" || !tools.madeTargets(path).has(look.target)) return true;
  try {
    await removeLink(path);
    return true;
  } catch (error) {
    return systemErrorCode(error) === "ENOENT";
  }
}

/** A link that already leads to the right place counts as ours from then on, no matter who made it. */
async function noted({ madeTargets, remember }: AliasLinkTools, spec: AliasSpec): Promise<LinkOutcome> {
  if (!madeTargets(spec.path).has(spec.target)) {
    // The link is right all the same; remembering is tried again with the next look.
    await remember(spec.path, spec.target).catch(() => {});
  }
  return { result: "right" };
}

/**
 * Why no link may be made at `path`: its folder, or the nearest existing one above, lies on a mount of ours, where a
 * call of the daemon might never return.
 */
async function placeFault(
  { prober, mountPaths, waitMs }: AliasLinkTools,
  path: string,
): Promise<string | null> {
  const above = foldersAbove(path);
  const looks = await prober.readLinks(above, waitMs);
  const index = looks.findIndex((look) => look.state !== "missing");
  const folder = above[index];
  const look = looks[index];
  if (folder === undefined || look === undefined || look.state === "unknown")
    return `${folder ?? dirname(path)} cannot be looked at`;
  if (look.state === "other" && look.kind !== "folder") return `${folder} is a ${look.kind}`;
  const real = await prober.realPath(folder, waitMs);
  if (real === null) {
    return look.state === "link"
      ? `${folder} is a link that leads nowhere`
      : `${folder} cannot be looked at: no answer`;
  }
  const mount = mountPaths().find((mountPath) => real === mountPath || real.startsWith(join(mountPath, "/")));
  return mount === undefined ? null : `${dirname(path)} lies on the share that is mounted at ${mount}`;
}

/** The folder of `path` first, `/` last. */
function foldersAbove(path: string): string[] {
  const folders = [dirname(path)];
  for (let folder = dirname(path); folder !== dirname(folder); ) {
    folder = dirname(folder);
    folders.push(folder);
  }
  return folders;
}
