// Where paths lead, through links, even if their end does not exist yet. It touches the mounts, so only the prober runs
// it.
import { lstat, realpath } from "node:fs";
import { systemErrorCode } from "../../runtime/errors.ts";
import type { PathPlace } from "./prober.ts";

/** Errors that mean that nothing can be there: the name or path is too long, or a file is where a folder should be. */
const NOTHING_THERE: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "ENAMETOOLONG"]);

/** One after the other, to take only one thread. Never rejects. */
export async function pathPlaces(paths: readonly string[]): Promise<readonly PathPlace[]> {
  const places: PathPlace[] = [];
  for (const path of paths) places.push(await placeOf(path));
  return places;
}

/** `..` is left to the kernel, which goes up from where a link leads. */
async function placeOf(path: string): Promise<PathPlace> {
  // With a slash at its end, a link to a file or to nothing would not be found; servers drop that slash.
  let there = withoutEndSlashes(path);
  let missing = "";
  for (;;) {
    const found = await realPathOf(there);
    if ("path" in found) {
      const at = `${found.path === "/" ? "" : found.path}${missing}`;
      return { at: at === "" ? "/" : at, exists: missing === "" };
    }
    if (!NOTHING_THERE.has(found.errno) || there === "/") return { unclear: found.errno };
    if (await isLink(there)) return { unclear: "a link that leads to nothing" };
    const end = there.lastIndexOf("/");
    missing = `${there.slice(end)}${missing}`;
    there = withoutEndSlashes(there.slice(0, end));
  }
}

/** All but the root's own. Not by a pattern, which would try each run of slashes within. */
function withoutEndSlashes(path: string): string {
  let end = path.length;
  while (path.charAt(end - 1) === "/") end--;
  return path.slice(0, end) || "/";
}

function realPathOf(path: string): Promise<{ readonly path: string } | { readonly errno: string }> {
  return new Promise((resolve) =>
    realpath.native(path, (error, found) =>
      resolve(error === null ? { path: found } : { errno: systemErrorCode(error) ?? "EIO" }),
    ),
  );
}

function isLink(path: string): Promise<boolean> {
  return new Promise((resolve) =>
    lstat(path, (error, stats) => resolve(error === null && stats.isSymbolicLink())),
  );
}
