// The package's version: shown by every command and by the API, and sent to every server as `User-Agent`.
let agent: string | null = null;
let version: string | null = null;

import { parseJson } from "./text/parse-json.ts";

/** The value of `User-Agent`. Firewalls of servers refuse requests that have none. */
export function userAgent(): string {
  agent ??= `mountaineer/${packageVersion()}`;
  return agent;
}

/** Such as "0.1.0". Reads package.json once, because an upgrade may remove it; throws a system error if it is missing. */
export function packageVersion(): string {
  version ??= readVersion();
  return version;
}

function readVersion(): string {
  // A build has a copy of package.json beside it, because the package's own file may be newer than the
  // running build.
  const manifestPath = import.meta.url.endsWith(".ts") ? "../../package.json" : "./package.json";
  // Not imported: the ES module of node:fs loads all streams, which takes 2 ms.
  const text = process
    .getBuiltinModule("node:fs")
    .readFileSync(new URL(manifestPath, import.meta.url), "utf8");
  const manifest: unknown = parseJson(text);
  if (typeof manifest === "object" && manifest !== null && "version" in manifest)
    return String(manifest.version);
  return "unknown";
}
