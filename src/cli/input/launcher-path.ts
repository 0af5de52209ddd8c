// Where the package's launcher is: the program to write down for later, as builds and versions come and go.
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { jsonObject } from "../../runtime/text/json-object.ts";

/** What a bundle says of itself: how it was installed, and what it takes for an upgrade. */
export interface Bundle {
  /** Absolute. */
  readonly root: string;
  readonly version: string;
  /** As Node says it: "linux-x64". */
  readonly platform: string;
  /** Raw, in base64: the Ed25519 key that upgrades are signed with; null: it takes none. */
  readonly key: string | null;
  /** What installed it, and upgrades it: "dpkg", "rpm", "brew"; null: a person. */
  readonly tool: string | null;
  /** Leads to whichever version is current; null: there is none but this. */
  readonly current: string | null;
}

/** What runs the daemon for a service manager, of a launcher's package. */
export function keeperPath(launcher: string): string {
  return join(dirname(launcher), "service-keeper.sh");
}

/** Absolute. A build has one folder, two deep in the package; the sources have this one, which is three deep. */
export function packageRoot(): string {
  return fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "../../../" : "../../", import.meta.url));
}

/** As the single file names what it unpacks: version and digest. A folder that a person unpacked is none. */
export const VERSION_FOLDER = /^\d[\w.-]*-[0-9a-f]{12}$/;

/** Synchronous: at a start, not on a hot path. null: a checkout, or npm's package. */
export function readBundle(root = packageRoot()): Bundle | null {
  const { existsSync, readFileSync } = process.getBuiltinModule("node:fs");
  const path = join(root, "bundle.json");
  const found = existsSync(path) ? jsonObject(readFileSync(path, "utf8")) : null;
  if (found === null) return null;
  const text = (name: string): string | null => {
    const value = found[name];
    return typeof value === "string" ? value : null;
  };
  const beside = join(root, "..", "current");
  const isOneOfMany = VERSION_FOLDER.test(basename(root)) && existsSync(join(beside, "bundle.json"));
  const current = text("stable") ?? (isOneOfMany ? beside : null);
  const [version, platform] = [text("version") ?? "", text("platform") ?? ""];
  return { root, version, platform, key: text("key"), tool: text("tool"), current };
}

export function launcherPath(): string {
  return join(readBundle()?.current ?? packageRoot(), "bin", "mountaineer");
}
