// How this Mountaineer gets a newer version: that depends on what installed it.
import { type Bundle, packageRoot, readBundle } from "./launcher-path.ts";

const OF_TOOLS: Readonly<Record<string, string>> = {
  npm: "npm install --global mountaineerd@latest, then mountaineer restart",
  git: "git pull && npm ci, then mountaineer restart",
  dpkg: "sudo apt update && sudo apt install mountaineer (without the repository: apt install ./mountaineer_VERSION.deb), then mountaineer restart",
  rpm: "sudo dnf upgrade mountaineer (without the repository: dnf install ./mountaineer-VERSION.rpm), then mountaineer restart",
  brew: "brew upgrade mountaineer, then mountaineer restart",
};

/** Returns what a person does. `bundle`: null for a checkout or npm's package, at `root`. */
export function howToUpgrade(bundle: Bundle | null = readBundle(), root = packageRoot()): string {
  const by = bundle === null ? (root.includes("/node_modules/") ? "npm" : "git") : bundle.tool;
  if (by !== null) return OF_TOOLS[by] ?? `use ${by}, then mountaineer restart`;
  if (bundle?.current === null) return "unpack the newer one next to this folder, and run that";
  return "start the newer version's .run file once, then mountaineer restart";
}
