// Where paths lead, through links, even if the end of the path does not exist yet. The paths may lie on mounts, so
// only the prober runs this code.
import { lstat, realpath } from "node:fs/promises";
import { errnoOf } from "./file-checks.ts";
import type { ResolvedPath } from "./prober.ts";

/** Errors that mean that nothing can be there: the name or path is too long, or a file is where a folder should be. */
const NOTHING_THERE: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "ENAMETOOLONG"]);

/** Finds where each path leads, one path after the other, to take only one thread. Never rejects. */
export async function resolvePaths(paths: readonly string[]): Promise<readonly ResolvedPath[]> {
  const resolved: ResolvedPath[] = [];
  for (const path of paths) resolved.push(await resolvePath(path));
  return resolved;
}

/** `..` is left to the kernel, which resolves it from where a link leads. */
async function resolvePath(path: string): Promise<ResolvedPath> {
  // Slashes at the end are dropped, as servers do. With a slash at the end, a link to a file or to nothing would not
  // be found.
  let existing = withoutEndSlashes(path);
  let missing = "";
  for (;;) {
    try {
      const real = await realpath(existing);
      const at = `${real === "/" ? "" : real}${missing}`;
      return { at: at === "" ? "/" : at, exists: missing === "" };
    } catch (error) {
      const errno = errnoOf(error);
      if (!NOTHING_THERE.has(errno) || existing === "/") return { unclear: errno };
    }
    const isLink = await lstat(existing).then(
      (stats) => stats.isSymbolicLink(),
      () => false,
    );
    if (isLink) return { unclear: "a link that leads to nothing" };
    const end = existing.lastIndexOf("/");
    missing = `${existing.slice(end)}${missing}`;
    existing = withoutEndSlashes(existing.slice(0, end));
  }
}

/**
 * Removes slashes at the end, except the root's own. A regular expression would be slower: it would also try each run
 * of slashes inside the path.
 */
function withoutEndSlashes(path: string): string {
  let end = path.length;
  while (path.charAt(end - 1) === "/") end--;
  return path.slice(0, end) || "/";
}
