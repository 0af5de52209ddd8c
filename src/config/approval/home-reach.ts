// Whether a backend's arguments or folder lead to Mountaineer's home, by their words alone: nothing is looked up, so that
// a link to the home is not seen. Pure.

import { expandPath, isWithin } from "../paths.ts";
import type { BackendConfig, MountaineerConfig } from "../snapshot.ts";

/** Both absolute. */
export interface HomePlace {
  readonly home: string;
  readonly userHome: string;
}

/** True when an argument or the `cwd` of a program is the home, lies in it, or lies above it. */
export function reachesHome({ enabled, connection }: BackendConfig, place: HomePlace): boolean {
  if (!enabled || connection.type !== "stdio") return false;
  const { args, cwd } = connection;
  const paths = [cwd, ...args.flatMap((argument) => pathsIn(argument, cwd, place.userHome))];
  return paths.some((path) => isWithin(path, place.home) || isWithin(place.home, path));
}

export function someReachHome({ backends }: MountaineerConfig, place: HomePlace): boolean {
  return backends.some((backend) => reachesHome(backend, place));
}

/** Also in `--root=/srv`, `/home/ann:/data`, `file:///srv` and `../..`. */
function pathsIn(argument: string, cwd: string, userHome: string): string[] {
  const pieces = new Set([argument, ...argument.split(/[=,:]/)]);
  return [...pieces].flatMap((piece) => {
    const path = piece.replace(/^file:\/\//, "").replace(/^\/{2,}/, "/");
    if (path.startsWith("/") || path === "~" || path.startsWith("~/")) return [expandPath(path, userHome)];
    const isRelative = path === "." || path === ".." || path.startsWith("./") || path.includes("../");
    return isRelative ? [expandPath(`${cwd}/${path}`, userHome)] : [];
  });
}
