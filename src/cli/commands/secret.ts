// The commands `mountaineer secret ...`.

import { Argument, Option } from "commander";
import type { CommandContext, CommandDefinition, GroupedCommands } from "../input/command.ts";
import { addJsonOption, readFlag, showResult } from "../input/options.ts";
import { parseSecretName } from "../input/secret-name.ts";

const APPLIED_WITHIN_MS = 20_000;

const secretSetCommand: CommandDefinition = {
  name: "secret set",
  summary: "keep a password or token, for secret:NAME in the configuration",
  description:
    "Asks for the value without showing it, or reads one line from standard input; it is never an argument. It is kept in the " +
    "system's keyring (the Secret Service on Linux, the Keychain on macOS) where one answers, else in a file of this " +
    "home that only its owner can read. A running daemon uses it at once.",
  examples: [
    { command: "mountaineer secret set nas", does: "keep the password that secret:nas stands for" },
    {
      command: "mountaineer secret set token --in file < token.txt",
      does: "keep what a file holds, in this home",
    },
  ],
  exits: {},
  addOptions(command) {
    command
      .addArgument(new Argument("<name>", "the name that secret:NAME refers to").argParser(parseSecretName))
      .addOption(
        new Option(
          "--in <place>",
          "where to keep it; without it where it is, else the keyring, else the file",
        ).choices(["keyring", "file"]),
      );
    addJsonOption(command);
  },
  async run(context, options, [name = ""]) {
    const [{ openSecrets }, { readSecretValue }, { placeName }, { paintFor }] = await Promise.all([
      import("../in-process/open.ts"),
      import("../input/secret-question.ts"),
      import("../views/secret-view.ts"),
      import("../views/terminal-style.ts"),
    ]);
    const keeper = await openSecrets(context);
    const value = await readSecretValue(name, context);
    const place = options["in"] === "file" || options["in"] === "keyring" ? options["in"] : null;
    const change = await keeper.set(name, value, place, context.signal);
    if (readFlag(options, "json")) {
      context.print(`${JSON.stringify(change, null, 2)}\n`);
      return 0;
    }
    const paint = paintFor(context.stdoutStyle);
    context.print(`${paint.green(paint.symbols.good)} ${name} is kept: ${placeName(change.kept)}\n`);
    await tellDaemon(context);
    return 0;
  },
};

async function tellDaemon({ home, note, signal }: CommandContext): Promise<void> {
  const { connectToDaemon } = await import("../../api/client/client.ts");
  // If the daemon is somebody else's, or hangs, that is no failure: the secret is kept.
  const daemon = await connectToDaemon(home).catch(() => null);
  if (daemon === null) return;
  const within = AbortSignal.any([signal, AbortSignal.timeout(APPLIED_WITHIN_MS)]);
  const report = await daemon.ask("reload", { secrets: true }, within).catch(() => null);
  if (report?.failure !== null) note("the running daemon takes it with: mountaineer reload");
  else if (report.reloaded) note("the running daemon uses it now");
}

const secretListCommand: CommandDefinition = {
  name: "secret list",
  summary: "see which secrets are kept, where, and what uses them",
  description:
    "Names only; no value is read. Those that the configuration refers to and nobody keeps are listed, too.",
  examples: [
    { command: "mountaineer secret list", does: "see them" },
    {
      command: "mountaineer secret list --json | jq -r '.secrets[] | select(.kept == null) | .name'",
      does: "name those that are still to be set",
    },
  ],
  exits: {},
  addOptions(command) {
    addJsonOption(command);
  },
  async run(context, options) {
    const { openSecrets } = await import("../in-process/open.ts");
    const { renderSecrets } = await import("../views/secret-view.ts");
    const report = await (await openSecrets(context)).list();
    showResult(context, options, report, () => renderSecrets(report, context.stdoutStyle));
    return 0;
  },
};

const secretRemoveCommand: CommandDefinition = {
  name: "secret remove",
  summary: "forget a secret",
  description:
    "Removes it from where it is kept. Mounts and backends that use it go on until they are started again.",
  examples: [{ command: "mountaineer secret remove nas", does: "forget it" }],
  exits: {},
  addOptions(command) {
    command.addArgument(new Argument("<name>", "as secret list shows it").argParser(parseSecretName));
    addJsonOption(command);
  },
  async run(context, options, [name = ""]) {
    const { openSecrets } = await import("../in-process/open.ts");
    const { placeName } = await import("../views/secret-view.ts");
    const { paintFor } = await import("../views/terminal-style.ts");
    const change = await (await openSecrets(context)).remove(name, context.signal);
    if (readFlag(options, "json")) context.print(`${JSON.stringify(change, null, 2)}\n`);
    else {
      const paint = paintFor(context.stdoutStyle);
      context.print(`${paint.green(paint.symbols.good)} ${name} is removed: ${placeName(change.kept)}\n`);
    }
    return 0;
  },
};

export const SECRET_COMMANDS: GroupedCommands = {
  group: {
    name: "secret",
    summary: "keep passwords and tokens outside of the configuration",
    description:
      "The configuration names them as secret:NAME; their values are in the keyring or in a private file.",
    examples: [
      { command: "mountaineer secret set nas", does: "keep one" },
      { command: "mountaineer secret list", does: "see which are kept, and what uses them" },
    ],
  },
  commands: [secretSetCommand, secretListCommand, secretRemoveCommand],
};
