// How this Mountaineer gets a newer version: that depends on what installed it.
import { type Bundle, packageRoot, readBundle } from "./launcher-path.ts";

interface Upgrade {
  /** What installed it: "npm", "git", a package manager; null: a person did. */
  readonly by: string | null;
  /** What a person types. */
  readonly command: string;
}

const OF_TOOLS: Readonly<Record<string, string>> = {
  npm: "npm install --global mountaineerd@latest, then mountaineer restart",
  git: "git pull && npm ci, then mountaineer restart",
  dpkg: "sudo apt update && sudo apt install mountaineer (without the repository: apt install ./mountaineer_VERSION.deb), then mountaineer restart",
  rpm: "sudo dnf upgrade mountaineer (without the repository: dnf install ./mountaineer-VERSION.rpm), then mountaineer restart",
  brew: "brew upgrade mountaineer, then mountaineer restart",
};

/** `bundle`: null for a checkout or npm's package, at `root`. */
export function howToUpgrade(bundle: Bundle | null = readBundle(), root = packageRoot()): Upgrade {
  const by = bundle === null ? (root.includes("/node_modules/") ? "npm" : "git") : bundle.tool;
  if (by !== null) return { by, command: OF_TOOLS[by] ?? `use ${by}, then mountaineer restart` };
  if (bundle?.current === null)
    return { by, command: "unpack the newer one next to this folder, and run that" };
  return { by, command: "mountaineer upgrade FILE, with the newer version's .run file" };
}
