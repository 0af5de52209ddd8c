// Whether programs can run in a sandbox on this machine.
import { spawnSync } from "node:child_process";

/** What this machine lacks for a sandbox; null: nothing. */
export function missingForSandbox(): string | null {
  if (process.platform !== "linux") return "bubblewrap is for Linux";
  const { error, status, stderr } = spawnSync("bwrap", ["--ro-bind", "/", "/", "--unshare-all", "true"]);
  if (error !== undefined) return "bwrap not found (apt install bubblewrap)";
  return status === 0 ? null : `bubblewrap is not permitted here: ${String(stderr).trim()}`;
}
