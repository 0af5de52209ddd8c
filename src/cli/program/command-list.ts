// The list of commands, in the order of the help.

import { ALIAS_COMMANDS } from "../commands/alias.ts";
import { BACKENDS_COMMANDS } from "../commands/backends.ts";
import { BACKUP_COMMANDS } from "../commands/backup.ts";
import { CLIENTS_COMMANDS, connectCommand, importCommand, mcpCommand } from "../commands/clients.ts";
import { completionsCommand } from "../commands/completions.ts";
import { approveCommand, CONFIG_COMMANDS } from "../commands/config.ts";
import { demoCommand } from "../commands/demo.ts";
import { doctorCommand } from "../commands/doctor.ts";
import { FLEET_COMMANDS } from "../commands/fleet.ts";
import { initCommand } from "../commands/init.ts";
import { logsCommand } from "../commands/logs.ts";
import {
  mountCommand,
  reconcileCommand,
  unmountCommand,
  verifyCommand,
  wakeCommand,
} from "../commands/mount.ts";
import { PROGRAM_COMMANDS } from "../commands/program.ts";
import { answerCommand, questionsCommand } from "../commands/questions.ts";
import { reloadCommand } from "../commands/reload.ts";
import { restartCommand } from "../commands/restart.ts";
import { runCommand } from "../commands/run.ts";
import { SECRET_COMMANDS, serverTokenCommand } from "../commands/secret.ts";
import { SHARES_COMMANDS } from "../commands/shares.ts";
import { statusCommand } from "../commands/status.ts";
import { switchCommand } from "../commands/switch.ts";
import { callCommand, TOOLS_COMMANDS } from "../commands/tools.ts";
import { adminCommand, menubarCommand, openCommand, tuiCommand } from "../commands/tui.ts";
import { downCommand, monitorCommand, uninstallCommand, upCommand } from "../commands/up.ts";
import { accessCommand, USERS_COMMANDS, USERS_SECRET_COMMANDS } from "../commands/users.ts";
import { copyCommand, restoreCommand, versionsCommand } from "../commands/versions.ts";
import { whenCommand } from "../commands/when.ts";
import { whyCommand } from "../commands/why.ts";
import type { CommandDefinition, CommandGroup, GroupedCommands } from "../input/command.ts";

interface CommandSection {
  readonly heading: string;
  readonly entries: readonly (CommandDefinition | GroupedCommands)[];
}

/** The sections of --help; sections for newcomers come first. */
export const SECTIONS: readonly CommandSection[] = [
  {
    heading: "To begin:",
    entries: [
      demoCommand,
      initCommand,
      importCommand,
      connectCommand,
      upCommand,
      downCommand,
      monitorCommand,
    ],
  },
  {
    heading: "Every day:",
    entries: [
      statusCommand,
      whyCommand,
      tuiCommand,
      openCommand,
      adminCommand,
      menubarCommand,
      logsCommand,
      doctorCommand,
    ],
  },
  {
    heading: "Shares:",
    entries: [
      SHARES_COMMANDS,
      mountCommand,
      wakeCommand,
      unmountCommand,
      switchCommand,
      verifyCommand,
      reconcileCommand,
      whenCommand,
      versionsCommand,
      restoreCommand,
      copyCommand,
      ALIAS_COMMANDS,
      PROGRAM_COMMANDS,
    ],
  },
  {
    heading: "MCP servers:",
    entries: [
      BACKENDS_COMMANDS,
      TOOLS_COMMANDS,
      callCommand,
      runCommand,
      CLIENTS_COMMANDS,
      USERS_COMMANDS,
      USERS_SECRET_COMMANDS,
      accessCommand,
      questionsCommand,
      answerCommand,
      mcpCommand,
    ],
  },
  {
    heading: "Configuration:",
    entries: [
      CONFIG_COMMANDS,
      SECRET_COMMANDS,
      reloadCommand,
      restartCommand,
      approveCommand,
      serverTokenCommand,
    ],
  },
  {
    heading: "Many machines:",
    entries: [FLEET_COMMANDS],
  },
  { heading: "More:", entries: [BACKUP_COMMANDS, completionsCommand, uninstallCommand] },
];

export const COMMANDS: readonly CommandDefinition[] = SECTIONS.flatMap(({ entries }) =>
  entries.flatMap((entry) => {
    if (!("group" in entry)) return [entry];
    return "run" in entry.group ? [entry.group, ...entry.commands] : entry.commands;
  }),
);

export const COMMAND_GROUPS: readonly CommandGroup[] = SECTIONS.flatMap(({ entries }) =>
  entries.flatMap((entry) => ("group" in entry && !("run" in entry.group) ? [entry.group] : [])),
);
