// The path of the package's launcher, for service files and clients' files. The path stays valid over
// upgrades.
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { jsonObject } from "../../runtime/text/json-object.ts";

/** The content of `bundle.json`: how the bundle was installed. */
export interface Bundle {
  /** The bundle's folder, absolute. */
  readonly root: string;
  /** The package manager that installed the bundle: "dpkg", "rpm", "brew"; null if a person did. */
  readonly tool: string | null;
  /** The path of a link that leads to the current version; null if this bundle has no such link. */
  readonly current: string | null;
}

/** The path of the shell script that a service manager runs, and that starts the daemon. */
export function supervisorPath(launcher: string): string {
  return join(dirname(launcher), "service-keeper.sh");
}

/** The package's folder, absolute. This code is two folders deep in a build, and three in the sources. */
export function packageRoot(): string {
  return fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "../../../" : "../../", import.meta.url));
}

/** Matches the folder name of an unpacked version: the version and a digest. */
export const VERSION_FOLDER = /^\d[\w.-]*-[0-9a-f]{12}$/;

/**
 * Reads `bundle.json`; null for a checkout or npm's package. Synchronous, because it only runs at a start.
 */
export function readBundle(root = packageRoot()): Bundle | null {
  const { existsSync, readFileSync } = process.getBuiltinModule("node:fs");
  const path = join(root, "bundle.json");
  const found = existsSync(path) ? jsonObject(readFileSync(path, "utf8")) : null;
  if (found === null) return null;
  const text = (name: string): string | null => {
    const value = found[name];
    return typeof value === "string" ? value : null;
  };
  const currentLink = join(root, "..", "current");
  const isOneOfMany = VERSION_FOLDER.test(basename(root)) && existsSync(join(currentLink, "bundle.json"));
  const current = text("stable") ?? (isOneOfMany ? currentLink : null);
  return { root, tool: text("tool"), current };
}

export function launcherPath(): string {
  return join(readBundle()?.current ?? packageRoot(), "bin", "mountaineer");
}
