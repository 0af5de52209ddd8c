// The program that shows a notification on this system's desktop: AppleScript, which is part of macOS, or notify-send, which
// every desktop's notification service understands.

/** Plain text; whoever shows it reads nothing else out of it. */
export interface Notification {
  readonly title: string;
  readonly body: string;
}

export interface Notifier {
  readonly program: string;
  /** Arguments that ask for nothing but whether the program is there; null: it is part of the system. */
  readonly probeArgs: readonly string[] | null;
  /** What to do when the program is missing. */
  readonly missingHint: string;
  /** How the program is given one. */
  input(notification: Notification): { readonly args: readonly string[]; readonly stdin: string };
}

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

export const linuxNotifier: Notifier = {
  program: "notify-send",
  probeArgs: ["--version"],
  missingHint: "install notify-send (libnotify-bin on Debian and Ubuntu, libnotify elsewhere)",
  input: ({ title, body }) => ({
    // Everything behind "--" is text, also what begins with "-".
    args: ["--app-name=Mountaineer", "--", title, literalBody(body)],
    stdin: "",
  }),
};

/** In the body, notify-send reads escapes such as `\n`, and the desktop reads markup. */
function literalBody(body: string): string {
  return body
    .replaceAll("\\", "\\\\")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}

export const desktopNotifier: Notifier = process.platform === "darwin" ? macosNotifier : linuxNotifier;
