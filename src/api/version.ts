// Owns the version that every face and the API tell: the package's.
import { readFileSync } from "node:fs";

/** Reads package.json, synchronously: at a start, not on a hot path. */
export function packageVersion(): string {
  // The same two steps up from src/api and from dist/api.
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const manifest: unknown = JSON.parse(text);
  if (typeof manifest === "object" && manifest !== null && "version" in manifest)
    return String(manifest.version);
  return "unknown";
}
