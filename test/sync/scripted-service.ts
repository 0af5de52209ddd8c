// A service whose answer a text names with its first word, and the detections that are tried with it.
import type { ReloadOutcome } from "../../src/sync/reload-outcome.ts";
import type { Detection } from "../../src/sync/sync-settings.ts";
import { APPLIED } from "./watcher-bench.ts";

/** Rejects texts that begin with "bad" or "torn", fails on "later". */
export async function service(text: string): Promise<ReloadOutcome> {
  if (text.startsWith("bad")) return { kind: "rejected", reason: `wrong: ${text}`, mistakes: [] };
  if (text.startsWith("torn")) return { kind: "rejected", reason: `no TOML: ${text}`, mistakes: [] };
  if (text.startsWith("later")) return { kind: "failed", reason: "the gateway is busy" };
  if (text.startsWith("same")) return { kind: "applied", changed: false, details: "", diff: null };
  return APPLIED;
}

export const DETECTIONS: readonly Detection[] = ["mtime", "hash", "inotify"];
