// Links to folders inside shares: made, repaired and removed. Only our own links are changed, and no call reaches a mount.
import { dirname, join } from "node:path";
import { systemErrorCode } from "../../runtime/errors.ts";
import type { LinkReading, Prober } from "../prober/prober.ts";
import { ensureLink, type LinkOutcome, removeLink } from "./stable-link.ts";

export interface AliasSpec {
  readonly name: string;
  readonly share: string;
  /** The link, absolute. */
  readonly path: string;
  /** The folder's path from the share's root. */
  readonly targetSubpath: string;
  /**
   * The absolute path `<shares_root>/<SHARE>/<subpath>`, which leads through the share's stable link. No filesystem
   * call is made on it.
   */
  readonly target: string;
}

export interface AliasLinkTools {
  readonly prober: Pick<Prober, "readLinks" | "realPath">;
  /** Targets that a daemon with this home folder has given the link at `path`. */
  readonly madeTargets: (path: string) => ReadonlySet<string>;
  /** Remembers a target of the link; rejects when that cannot be written. */
  readonly remember: (path: string, target: string) => Promise<void>;
  /** The paths of shares' mounts and of links to them; no alias link may be made inside them. */
  readonly mountPaths: () => readonly string[];
  /** Deadline of each check, ms. */
  readonly waitMs: number;
}

/** Ensures that the link exists, and makes its folder if needed. Never rejects. */
export async function ensureAliasLink(
  tools: AliasLinkTools,
  spec: AliasSpec,
  reading: LinkReading | undefined,
): Promise<LinkOutcome> {
  const { path, target } = spec;
  const made = tools.madeTargets(path);
  const outcome = await ensureLink(
    path,
    target,
    reading,
    (written) => made.has(written),
    async () => {
      const obstacle = await pathFault(tools, path);
      // The target is remembered before the link is made, because a link that is not remembered would not
      // count as ours.
      if (obstacle === null) await tools.remember(path, target);
      return obstacle;
    },
  );
  // A link that is right counts as ours from now on, no matter who made it. A failed write is repeated with the next check.
  if (outcome.result === "right" && !made.has(target)) await tools.remember(path, target).catch(() => {});
  return outcome;
}

/** Removes a link of ours at `path`. Resolves with true if no link of ours is left there. Never rejects. */
export async function removeAliasLink(
  tools: Pick<AliasLinkTools, "madeTargets">,
  path: string,
  reading: LinkReading | undefined,
): Promise<boolean> {
  if (reading === undefined || reading.state === "unknown") return false;
  if (reading.state !== "link" || !tools.madeTargets(path).has(reading.target)) return true;
  try {
    await removeLink(path);
    return true;
  } catch (error) {
    return systemErrorCode(error) === "ENOENT";
  }
}

/**
 * Why no link may be made at `path`; null: a link may be made. The folder of `path`, or the nearest existing
 * folder above it, must not lie on a mount of ours, where a call of the daemon might never return.
 */
async function pathFault(
  { prober, mountPaths, waitMs }: AliasLinkTools,
  path: string,
): Promise<string | null> {
  const above = foldersAbove(path);
  const readings = await prober.readLinks(above, waitMs);
  const index = readings.findIndex((reading) => reading.state !== "missing");
  const folder = above[index];
  const reading = readings[index];
  if (folder === undefined || reading === undefined || reading.state === "unknown")
    return `${folder ?? dirname(path)} cannot be checked`;
  if (reading.state === "other" && reading.kind !== "folder") return `${folder} is a ${reading.kind}`;
  const real = await prober.realPath(folder, waitMs);
  if (real === null) {
    return reading.state === "link"
      ? `${folder} is a link that leads nowhere`
      : `${folder} cannot be checked: no answer`;
  }
  const mount = mountPaths().find((mountPath) => real === mountPath || real.startsWith(join(mountPath, "/")));
  return mount === undefined ? null : `${dirname(path)} lies on the share that is mounted at ${mount}`;
}

/** The folder of `path` first, `/` last. */
function foldersAbove(path: string): string[] {
  const folder = dirname(path);
  return folder === path ? [] : [folder, ...foldersAbove(folder)];
}
