// The absolute paths that the arguments of a backend's programs name. Pure.

import { posix } from "node:path";
import type { ServedBackend } from "../../config/snapshot.ts";
import { trimEnd } from "../../runtime/text/trim-end.ts";

type Reached = Pick<ServedBackend, "connection" | "routes">;

export function namedPaths(backend: Reached): readonly string[] {
  return sorted(commandsOf(backend).flatMap(({ args }) => absolutePaths(args.flatMap(pathsIn))));
}

function commandsOf({ connection, routes }: Reached) {
  const all = [connection, ...(routes ?? []).map((route) => route.connection)];
  return all.filter((one) => one.type === "stdio");
}

/** The paths that an argument may name: both `/shares/CORE` and the part after `=` in `--root=/shares/CORE`. */
function pathsIn(argument: string): readonly string[] {
  const at = argument.indexOf("=");
  return at === -1 ? [argument] : [argument, argument.slice(at + 1)];
}

function absolutePaths(paths: readonly string[]): readonly string[] {
  return paths.filter((path) => path.startsWith("/")).map((path) => trimEnd(posix.normalize(path), "/"));
}

function sorted(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].toSorted();
}
