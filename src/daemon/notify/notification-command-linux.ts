// Desktop notifications through notify-send, which every desktop's notification service understands.
import type { Notifier } from "./notifier.ts";

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
