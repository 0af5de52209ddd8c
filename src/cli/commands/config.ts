// The commands `mountaineer config ...`.
import { type CommandDefinition, command, type GroupedCommands } from "../input/command.ts";
import { entryNumber, showJson, showResult } from "../input/options.ts";
import { FAILED_EXIT } from "../views/results-view.ts";

const EDIT_EXITS: CommandDefinition["exits"] = {
  0: "saved, and applied if a daemon runs; or the file has that value already",
  1: "saved, but the daemon could not apply it",
  2: "there is no such key, or the value is not allowed; nothing was written",
  3: "the result would have errors; nothing was written",
  9: "someone else has changed the file since it was read; nothing was written",
};

const ENTRY_ARGUMENT = {
  "[n]": {
    about: "the entry; 1 is the one before the newest, and the default",
    read: entryNumber,
    expected: "a number of `mountaineer config history`",
    otherwise: 1,
  },
} as const;

const KEY_ARGUMENT = {
  "<key>":
    "section.key, shares.NAME.key, or a short name: lsof-recheck, auto-failback (names with dots in quotes)",
} as const;

const configGetCommand = command("config get", {
  takesUrl: true,
  summary: "print the value of one key",
  description: "Its value in the file, else its default.",
  examples: {
    "mountaineer config get global.check_interval_secs": "how often the daemon checks",
    "mountaineer config get shares.CORE.thunderbolt_host": "for one share, by its name",
    "mountaineer config get lsof-recheck": "with a short name",
  },
  exits: { 1: "the key is not in the file and has no default" },
  takes: KEY_ARGUMENT,
  async run(context, { key }) {
    const { viewConfig } = await import("../sessions/config-session.ts");
    const { parseConfigKey } = await import("../../config/edit/key-path.ts");
    const { getConfigValue } = await import("../../config/edit/effective.ts");
    const { jsonText, valueText } = await import("../edits/config-key-change.ts");
    const known = parseConfigKey(key);
    const current = await viewConfig(context, async ({ read, format, homeContext }) =>
      getConfigValue({ bytes: (await read()) ?? new Uint8Array(), format, homeContext }, known),
    );
    const value = current.source === "absent" ? null : current.value;
    if (context.json) context.print(jsonText({ key, source: current.source, value }));
    else if (value !== null) context.print(`${valueText(value)}\n`);
    else if (current.source === "absent") context.notify(`it is not set: ${current.rule ?? "required"}`);
    return value === null ? FAILED_EXIT : 0;
  },
});

const configSetCommand = command("config set", {
  takesUrl: true,
  summary: "set one key in the configuration file",
  description: "Put -- before a value that begins with -.",
  examples: {
    "mountaineer config set global.check_interval_secs 0.5": "check twice a second",
    "mountaineer config set lsof-recheck off": "do not check for open files every time",
    "mountaineer config set shares.CORE.fallback_host 192.168.1.30": "change a share",
  },
  exits: EDIT_EXITS,
  takes: {
    ...KEY_ARGUMENT,
    "<value>": "a TOML value, else plain text; on and off mean true and false",
  },
  run: async (context, { key, value }) =>
    (await import("../edits/config-key-change.ts")).setKey(context, { key, value }),
});

const configUnsetCommand = command("config unset", {
  takesUrl: true,
  summary: "remove one key from the configuration file, so that its default applies",
  description: "A key that is not in the file is not an error.",
  examples: {
    "mountaineer config unset global.check_interval_secs": "back to the default",
    "mountaineer config unset shares.CORE.fallback_interface": "of one share",
  },
  exits: EDIT_EXITS,
  takes: KEY_ARGUMENT,
  run: async (context, { key }) =>
    (await import("../edits/config-key-change.ts")).setKey(context, { key, value: null }),
});

const configShowCommand = command("config show", {
  takesUrl: true,
  summary: "print the configuration file, or all values in effect",
  description: "With --json: the file's path, text and hash, and the running configuration's hash.",
  examples: {
    "mountaineer config show": "print the file",
    "mountaineer config show --effective": "see all values, with defaults",
    "mountaineer config show --effective --json | jq .global.check_interval_secs": "use it in a script",
  },
  takes: {
    "--effective": "every key in effect, with defaults",
  },
  async run(context, given) {
    const { viewConfig } = await import("../sessions/config-session.ts");
    return viewConfig(context, async (view) => {
      const { path, format, homeContext, daemon } = view;
      const bytes = await view.read();
      const source = { bytes: bytes ?? new Uint8Array(), format, homeContext };
      const json = context.json;
      if (given.effective) {
        const { effectiveData, effectiveText } = await import("../../config/edit/effective.ts");
        const { jsonText } = await import("../edits/config-key-change.ts");
        context.print(json ? jsonText(await effectiveData(source)) : await effectiveText(source));
        return 0;
      }
      const { decodedText } = await import("../../config/read/config-bytes.ts");
      const { sha256Of } = await import("../../runtime/files/sha256.ts");
      const text = decodedText(bytes);
      if (json) {
        const running = daemon === null ? null : (await daemon.call("sync", null, context.signal)).sha256;
        const report = { path, format, sha256: sha256Of(bytes), text, running_sha256: running };
        showJson(context, report);
        return 0;
      }
      if (bytes === null) context.notify(`${path} is not there yet; every key has its default`);
      const { printableLines } = await import("../../runtime/text/plain-text.ts");
      context.print(context.isTerminal ? printableLines(text) : text);
      return 0;
    });
  },
});

const configValidateCommand = command("config validate", {
  summary: "check a configuration file, and list every error in it",
  description:
    "Also warns about what a start would meet, such as a missing program or secret, or a taken port. Uses no network, applies nothing.",
  examples: {
    "mountaineer config validate": "check the file in use",
    "mountaineer config validate draft.toml": "check another file before you use it",
    "mountaineer config validate - < draft.toml": "check what another program writes",
  },
  exits: { 0: "the configuration is valid", 3: "it has errors; each one is listed with its position" },
  takes: {
    "[file]": "TOML or YAML by its extension, else by its content; - is standard input",
    "--format <format>": { about: "its format, whatever its name", choices: ["toml", "yaml"] },
  },
  run: async (context, { file, format }) =>
    (await import("../edits/config-check.ts")).checkConfig(context, file, format),
});

const configPathCommand = command("config path", {
  takesUrl: true,
  summary: "print where the configuration file is",
  description: "Without a daemon, the file that it would use.",
  examples: { 'less "$(mountaineer config path)"': "read it" },
  isText: true,
  takes: {},
  async run(context) {
    const { viewConfig } = await import("../sessions/config-session.ts");
    context.print(`${await viewConfig(context, async ({ path }) => path)}\n`);
  },
});

const configSchemaCommand = command("config schema", {
  summary: "print the JSON Schema of the configuration file",
  description: "For editors that complete and check while you type.",
  examples: { "mountaineer config schema > config.schema.json": "keep it next to a configuration" },
  isText: true,
  takes: {},
  async run(context) {
    const { configJsonSchema } = await import("../../config/schema/schema.ts");
    showJson(context, configJsonSchema());
  },
});

const configHistoryCommand = command("config history", {
  takesUrl: true,
  summary: "list the accepted configurations, newest first",
  description: "The newest 50 are kept. Entry 0 is the running one.",
  examples: {
    "mountaineer config history": "see what changed when",
    "mountaineer config history --json | jq -r '.[0].sha256'": "use it in a script",
  },
  async run(context) {
    const { viewConfig } = await import("../sessions/config-session.ts");
    const { renderHistory } = await import("../views/history-view.ts");
    const { entries } = await viewConfig(context, ({ call }) => call("history", null, context.signal));
    showResult(context, entries, () => renderHistory(entries, context.stdoutStyle));
    if (entries.length === 0) context.notify("no configuration has been accepted yet");
  },
});

const configDiffCommand = command("config diff", {
  takesUrl: true,
  summary: "show what changed in the configuration file since an accepted one",
  description: "Entry 0 shows which part of the file is not running.",
  examples: {
    "mountaineer config diff": "see the last change",
    "mountaineer config diff 0": "see what was not accepted",
  },
  exits: { 0: "the differences are shown, if any", 2: "the history has no such entry" },
  isText: true,
  takes: ENTRY_ARGUMENT,
  async run(context, { n }) {
    const { viewConfig } = await import("../sessions/config-session.ts");
    const { diffText } = await import("../../config/history/text-diff.ts");
    const { decodedText } = await import("../../config/read/config-bytes.ts");
    const { renderDiff } = await import("../views/diff-view.ts");
    const diff = await viewConfig(context, async (view) => {
      const names = { before: `history ${n}`, after: view.path };
      return diffText(
        await view.call("historyText", { n }, context.signal),
        decodedText(await view.read()),
        names,
      );
    });
    context.print(context.isTerminal ? renderDiff(diff, context.stdoutStyle) : diff);
    if (diff === "") context.notify(`the file is the same as entry ${n}`);
    return 0;
  },
});

const configRollbackCommand = command("config rollback", {
  takesUrl: true,
  summary: "restore an accepted configuration, as a whole",
  description:
    "A rollback can be undone. 0 restores the running configuration over a missing file, or a faulty one, which it keeps with `.set-aside` after its name. At a terminal it shows the difference and asks.",
  examples: {
    "mountaineer config rollback": "undo the last change",
    "mountaineer config rollback 0 --yes": "back to the running configuration, without a question",
  },
  exits: {
    ...EDIT_EXITS,
    1: "you said no, or the daemon could not apply it",
    2: "the history has no such entry",
  },
  takes: {
    ...ENTRY_ARGUMENT,
    "--yes": "do not ask",
  },
  run: async (context, { n, yes }) =>
    (await import("../edits/config-rollback.ts")).rollBack(context, n, !context.json && !yes),
});

export const CONFIG_COMMANDS: GroupedCommands = {
  group: {
    name: "config",
    summary: "show, change, check and undo the configuration",
    description:
      "A running daemon applies changes at once. Each change keeps all other bytes of the file, is written only if the result is valid, and can be undone.",
    examples: {
      "mountaineer config set lsof-recheck off": "change a setting",
      "mountaineer config rollback": "undo that",
    },
  },
  commands: [
    configGetCommand,
    configSetCommand,
    configUnsetCommand,
    configShowCommand,
    configValidateCommand,
    configPathCommand,
    configSchemaCommand,
    configHistoryCommand,
    configDiffCommand,
    configRollbackCommand,
  ],
};

export const approveCommand = command("approve", {
  takesUrl: true,
  summary: "review and approve waiting changes of the configuration",
  description:
    "Changes of what runs wait, if another program made them ([trust] approve can add kinds); the approved version stays in use. Approvals apply at once, or at the next start. Only --mode loosens which changes wait.",
  examples: {
    "mountaineer approve": "answer yes or no to each waiting change",
    "mountaineer approve files": "only the changes of the server files",
    "mountaineer approve --list": "see what waits, and change nothing",
    "mountaineer approve --mode none": "apply every change of the file at once",
  },
  exits: { 1: "you said no, or it could not be applied", 2: "nothing of that name waits" },
  takes: {
    "[name...]": "an entry as --list shows it: files, backends.files, incoming_auth",
    "--all": "everything that waits, with one question",
    "--list": "only show what waits",
    "--yes": "do not ask",
    "--mode <mode>": {
      about: "which changes wait from now on; `default`: as servers reach the home",
      choices: ["commands", "all", "none", "default"],
      conflicts: ["all", "list"],
    },
  },
  async run(context, { name: names, mode, list, all, yes }) {
    const { approveEntries, listEntries, setApproveMode } = await import("../edits/approve-entries.ts");
    if (mode !== null) return setApproveMode(context, mode, !yes);
    return list
      ? listEntries(context, names)
      : approveEntries(context, names, { needsConfirmation: !yes, all });
  },
});
