// The package's version, shown by every command and by the API.
/** Reads package.json, synchronously: at a start, not on a hot path. */
export function packageVersion(): string {
  // A build has its own beside it: the checkout's, or an upgraded package's, may be a newer one by now.
  const manifestPath = import.meta.url.endsWith(".ts") ? "../../package.json" : "./package.json";
  // Not imported: its face for ES modules loads all streams, which takes 2 ms.
  const text = process
    .getBuiltinModule("node:fs")
    .readFileSync(new URL(manifestPath, import.meta.url), "utf8");
  const manifest: unknown = JSON.parse(text);
  if (typeof manifest === "object" && manifest !== null && "version" in manifest)
    return String(manifest.version);
  return "unknown";
}
