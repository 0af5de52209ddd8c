// The program that shows desktop notifications: AppleScript on macOS, notify-send elsewhere.

/** Plain text: markup in it is shown as it is. */
export interface Notification {
  readonly title: string;
  readonly body: string;
}

export interface Notifier {
  readonly program: string;
  /** Arguments that only test whether the program exists; null if it is part of the system. */
  readonly probeArgs: readonly string[] | null;
  readonly missingHint: string;
  /** The arguments and the stdin with which the program shows a notification. */
  input(notification: Notification): { readonly args: readonly string[]; readonly stdin: string };
}

/** Texts are passed as arguments, so that nothing in them runs as a script. */
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
  // "-" reads the script from stdin; all later arguments are the script's, even if they begin with "-".
  input: ({ title, body }) => ({ args: ["-", title, body], stdin: SCRIPT }),
};

export const linuxNotifier: Notifier = {
  program: "notify-send",
  probeArgs: ["--version"],
  missingHint: "install notify-send (libnotify-bin on Debian and Ubuntu, libnotify elsewhere)",
  input: ({ title, body }) => ({
    // All arguments after "--" are text, even if they begin with "-".
    args: ["--app-name=Mountaineer", "--", title, literalBody(body)],
    stdin: "",
  }),
};

/** Escapes a body: notify-send interprets escapes such as `\n` in it, and the desktop interprets markup. */
function literalBody(body: string): string {
  return body
    .replaceAll("\\", "\\\\")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}

export const desktopNotifier: Notifier = process.platform === "darwin" ? macosNotifier : linuxNotifier;
