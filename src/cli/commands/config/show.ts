// The command `mountaineer config show`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";

export const configShowCommand: CommandDefinition = {
  name: "config show",
  summary: "print the configuration file, or all that holds",
  description:
    "The file as it is; with --effective every key, those that the file leaves out with their defaults. With --json " +
    "and without --effective: where the file is, its hash, the hash of what runs, and its text.",
  examples: [
    { command: "mountaineer config show", does: "print the file" },
    { command: "mountaineer config show --effective", does: "see what holds, defaults and all" },
    {
      command: "mountaineer config show --effective --json | jq .global.check_interval_secs",
      does: "use it in a script",
    },
  ],
  exits: {},
  addOptions(command) {
    command.option("--effective", "every key that holds, with defaults");
    addJsonOption(command);
  },
  async run(context, options) {
    const { viewConfig } = await import("../../sessions/config-session.ts");
    return viewConfig(context, async (view) => {
      const { path, format, place, daemon } = view;
      const bytes = await view.read();
      const source = { bytes: bytes ?? new Uint8Array(), format, place };
      const json = readFlag(options, "json");
      if (readFlag(options, "effective")) {
        const { effectiveData, effectiveText } = await import("../../../config/edit/effective.ts");
        const { jsonText } = await import("../../edits/config-value-text.ts");
        context.print(json ? jsonText(await effectiveData(source)) : await effectiveText(source));
        return 0;
      }
      const { decodedText } = await import("../../sessions/config-text.ts");
      const { sha256Of } = await import("../../../runtime/files/sha256.ts");
      const text = decodedText(bytes);
      if (json) {
        const running = daemon === null ? null : (await daemon.ask("sync", null, context.signal)).sha256;
        const report = { path, format, sha256: sha256Of(bytes), text, running_sha256: running };
        context.print(`${JSON.stringify(report, null, 2)}\n`);
        return 0;
      }
      if (bytes === null) context.note(`${path} is not there yet; every key has its default`);
      const { forTerminal } = await import("../../views/diff-view.ts");
      context.print(context.isTerminal ? forTerminal(text) : text);
      return 0;
    });
  },
};
