// Desktop notifications through AppleScript, which is part of macOS.
import type { Notifier } from "./notifier.ts";

/** It gets its words as arguments: nothing of them is read as a script. */
const SCRIPT = [
  "on run argv",
  "display notification (item 2 of argv) with title (item 1 of argv)",
  "end run",
  "",
].join("\n");

export const macosNotifier: Notifier = {
  program: "/usr/bin/osascript",
  probeArgs: null,
  missingHint: "osascript is part of macOS; see `mountaineer logs`",
  // "-" is the script on stdin; what follows it is the script's, also what begins with "-".
  input: ({ title, body }) => ({ args: ["-", title, body], stdin: SCRIPT }),
};
