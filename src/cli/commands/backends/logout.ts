// The command `mountaineer backends logout`.
import { harmless } from "../../../runtime/text/plain-text.ts";
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";
import { paintFor } from "../../views/terminal-style.ts";

export const backendsLogoutCommand: CommandDefinition = {
  name: "backends logout",
  summary: "forget the sign-in to a backend's server",
  description:
    "Removes the tokens and the client that was registered for them, and tells the server, so that they are of no use to " +
    "anybody. The next login begins anew.",
  examples: [{ command: "mountaineer backends logout tickets", does: "sign out" }],
  exits: { 2: "there is no backend of that name" },
  addOptions(command) {
    command.argument("<name>", "the backend");
    addJsonOption(command);
  },
  async run(context, options, [name = ""]) {
    const { openSignIn } = await import("../../in-process/open.ts");
    const report = await (await openSignIn(context)).logout(name, context.signal);
    if (readFlag(options, "json")) context.print(`${JSON.stringify(report, null, 2)}\n`);
    else {
      const paint = paintFor(context.stdoutStyle);
      const shown = paint.bold(harmless(name));
      const text = report.was_signed_in
        ? `${paint.green(paint.symbols.good)} ${shown}  is signed out${report.revoked ? ", and its server was told" : ""}\n`
        : `${paint.dim(paint.symbols.skip)} ${shown}  was not signed in\n`;
      context.print(text);
    }
    if (!report.was_signed_in) return 0;
    const { tellDaemon } = await import("../../sessions/sign-in-notice.ts");
    await tellDaemon(context, name);
    return 0;
  },
};
