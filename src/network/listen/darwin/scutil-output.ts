// The commands for `scutil`, and a reader of the changes that it prints.
import type { NetworkDelta } from "../events/network-delta.ts";
import { meaningOfKey, WATCHED_KEYS, WATCHED_PATTERNS } from "./scdynamicstore-keys.ts";

/** One session's input; it goes on while stdin is open. */
export const SCUTIL_COMMANDS = [
  ...WATCHED_KEYS.map((key) => `n.add ${key}`),
  ...WATCHED_PATTERNS.map((pattern) => `n.add ${pattern} pattern`),
  "n.watch",
  "",
].join("\n");

/**
 * Since configd-1351 a time stands before each line, and from the second line on also the time that has passed:
 * `11:05:09.123 (+0.250) `.
 */
const CHANGED_KEY = /^(?:\d{1,2}:\d\d:\d\d\.\d+ +(?:\(\+\d+\.\d+\) +)?)?changedKey \[\d+\] = (.*)$/;

/**
 * Reads one line: `notification callback (store address = 0x…)`, then `  changedKey [0] = KEY` for each key, with or
 * without a time before it. The head alone is a change too: without any key, all may have changed. null for all other
 * lines.
 */
export function deltaOfScutilLine(line: string): NetworkDelta | null {
  const text = line.trim();
  if (text.startsWith("notification callback")) return { kind: "unknown", detail: "scutil notified" };
  const key = CHANGED_KEY.exec(text)?.[1];
  const meaning = key === undefined ? null : meaningOfKey(key);
  if (meaning === null) return null;
  if (meaning.about === "global") return { kind: "unknown", detail: `the default route, ${meaning.family}` };
  const what = meaning.about === "link" ? "the link" : "the addresses";
  return { kind: "unknown", detail: `${what} of ${meaning.interfaceName}` };
}
