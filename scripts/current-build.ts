// Finds the last result of `npm run build`.
import { readFileSync, statSync } from "node:fs";
import { glob, stat } from "node:fs/promises";
import path from "node:path";

const ROOT = path.resolve(import.meta.dirname, "..");

function pointerOf(root: string): string {
  return path.join(root, "dist/current");
}

/** The build's folder; null: no build. */
export function currentBuild(root = ROOT): string | null {
  try {
    return path.join(root, "dist", readFileSync(pointerOf(root), "utf8").trim());
  } catch {
    return null;
  }
}

/** True if a build exists and no source has changed since. */
export async function isBuildFresh(root = ROOT): Promise<boolean> {
  const pointer = statSync(pointerOf(root), { throwIfNoEntry: false });
  if (pointer === undefined) return false;
  for await (const file of glob("src/**/*.{ts,tsx}", { cwd: root })) {
    if ((await stat(path.join(root, file))).mtimeMs > pointer.mtimeMs) return false;
  }
  return true;
}
