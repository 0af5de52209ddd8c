// The list of commands, in the order of the help. A new command is one file and one line here.

import { aliasAddCommand } from "../commands/alias/add.ts";
import { aliasListCommand } from "../commands/alias/list.ts";
import { aliasReconcileCommand } from "../commands/alias/reconcile.ts";
import { aliasRemoveCommand } from "../commands/alias/remove.ts";
import { approveCommand } from "../commands/approve.ts";
import { backendsAddCommand } from "../commands/backends/add.ts";
import { backendsEditCommand } from "../commands/backends/edit.ts";
import { backendsDisableCommand, backendsEnableCommand } from "../commands/backends/enable.ts";
import { backendsListCommand } from "../commands/backends/list.ts";
import { backendsLoginCommand } from "../commands/backends/login.ts";
import { backendsLogoutCommand } from "../commands/backends/logout.ts";
import { backendsLogsCommand } from "../commands/backends/logs.ts";
import { backendsRemoveCommand } from "../commands/backends/remove.ts";
import { backendsRestartCommand } from "../commands/backends/restart.ts";
import { callCommand } from "../commands/call.ts";
import { completionsCommand } from "../commands/completions.ts";
import { configDiffCommand } from "../commands/config/diff.ts";
import { configEditCommand } from "../commands/config/edit.ts";
import { configGetCommand } from "../commands/config/get.ts";
import { configHistoryCommand } from "../commands/config/history.ts";
import { configPathCommand } from "../commands/config/path.ts";
import { configRollbackCommand } from "../commands/config/rollback.ts";
import { configSchemaCommand } from "../commands/config/schema.ts";
import { configSetCommand } from "../commands/config/set.ts";
import { configShowCommand } from "../commands/config/show.ts";
import { configUnsetCommand } from "../commands/config/unset.ts";
import { configValidateCommand } from "../commands/config/validate.ts";
import { connectCommand } from "../commands/connect.ts";
import { demoCommand } from "../commands/demo.ts";
import { doctorCommand } from "../commands/doctor.ts";
import { fleetConfigDiffCommand } from "../commands/fleet/config-diff.ts";
import { fleetConfigGetCommand } from "../commands/fleet/config-get.ts";
import { fleetConfigHistoryCommand } from "../commands/fleet/config-history.ts";
import { fleetConfigRollbackCommand } from "../commands/fleet/config-rollback.ts";
import { fleetConfigSetCommand } from "../commands/fleet/config-set.ts";
import { fleetInitCommand } from "../commands/fleet/init.ts";
import { fleetInviteCommand } from "../commands/fleet/invite.ts";
import { fleetJoinCommand } from "../commands/fleet/join.ts";
import { fleetKeysRotateCommand } from "../commands/fleet/keys-rotate.ts";
import { fleetLeaveCommand } from "../commands/fleet/leave.ts";
import { fleetRemoveCommand } from "../commands/fleet/remove.ts";
import { fleetStatusCommand } from "../commands/fleet/status.ts";
import { foldersCommand } from "../commands/folders.ts";
import { importCommand } from "../commands/import.ts";
import { initCommand } from "../commands/init.ts";
import { installCommand } from "../commands/install.ts";
import { logsCommand } from "../commands/logs.ts";
import { mcpCommand } from "../commands/mcp.ts";
import { menubarCommand } from "../commands/menubar.ts";
import { monitorCommand } from "../commands/monitor.ts";
import { mountCommand } from "../commands/mount.ts";
import { openCommand } from "../commands/open.ts";
import { rcloneInstallCommand } from "../commands/rclone/install.ts";
import { reconcileCommand } from "../commands/reconcile.ts";
import { reloadCommand } from "../commands/reload.ts";
import { restartCommand } from "../commands/restart.ts";
import { secretListCommand } from "../commands/secret/list.ts";
import { secretRemoveCommand } from "../commands/secret/remove.ts";
import { secretSetCommand } from "../commands/secret/set.ts";
import { serverTokenCommand } from "../commands/server-token.ts";
import { sharesAddCommand } from "../commands/shares/add.ts";
import { sharesListCommand } from "../commands/shares/list.ts";
import { sharesRemoveCommand } from "../commands/shares/remove.ts";
import { statusCommand } from "../commands/status.ts";
import { switchCommand } from "../commands/switch.ts";
import { toolsApproveCommand } from "../commands/tools/approve.ts";
import { toolsDiffCommand } from "../commands/tools/diff.ts";
import { toolsListCommand } from "../commands/tools/list.ts";
import { tuiCommand } from "../commands/tui.ts";
import { uninstallCommand } from "../commands/uninstall.ts";
import { unmountCommand } from "../commands/unmount.ts";
import { unsentCommand } from "../commands/unsent.ts";
import { verifyCommand } from "../commands/verify.ts";
import type { CommandDefinition, CommandGroup } from "../input/command.ts";

const SHARES: CommandGroup = {
  name: "shares",
  alias: "favorites",
  summary: "list, add and remove shares",
  description: "The [[shares]] of the configuration, which are kept mounted.",
  examples: [
    { command: "mountaineer shares list", does: "see which shares there are" },
    { command: "mountaineer shares remove --share MEDIA --cleanup", does: "let go of one for good" },
  ],
};

const ALIAS: CommandGroup = {
  name: "alias",
  summary: "links to folders inside shares",
  description:
    "An alias leads to a folder of a share by a path that never changes. A daemon mends its link at every check.",
  examples: [
    { command: "mountaineer alias list", does: "see which links there are" },
    {
      command: "mountaineer alias add --name projects --share CORE --target-subpath Projects/2026",
      does: "make one",
    },
  ],
};

const BACKENDS: CommandGroup = {
  name: "backends",
  summary: "see, add, change and restart the MCP servers behind the gateway",
  description: "They are configured as [backends.NAME], and started, stopped and replaced by the daemon.",
  examples: [
    { command: "mountaineer backends list", does: "see how they are" },
    {
      command: "mountaineer backends add files -- npx -y @modelcontextprotocol/server-filesystem ~/Documents",
      does: "add one",
    },
    { command: "mountaineer backends logs files", does: "see what it says" },
  ],
};

const TOOLS: CommandGroup = {
  name: "tools",
  summary: "see the tools that the gateway publishes, and what changed of them",
  description: "Of all backends together, under the names that clients see.",
  examples: [
    { command: "mountaineer tools list", does: "see what there is to call" },
    { command: "mountaineer tools diff", does: "see which are not as they were" },
    { command: `mountaineer call read_text_file '{"path": "/tmp/notes.txt"}'`, does: "call one" },
  ],
};

const FLEET: CommandGroup = {
  name: "fleet",
  summary: "several machines that know of each other",
  description:
    "Over NATS, where [fleet] is configured. See docs/fleet.md, and docs/fleet-join.md for the way in.",
  examples: [
    { command: "mountaineer fleet init", does: "begin one, and print what the next machine types" },
    { command: "mountaineer fleet status", does: "see all machines" },
  ],
};

const FLEET_CONFIG: CommandGroup = {
  name: "fleet config",
  summary: "the configuration that all machines of the fleet have in common",
  description:
    "A TOML text under each machine's own file, signed by the operator's key on the machine where the fleet began. See " +
    "docs/fleet.md.",
  examples: [
    { command: "mountaineer fleet config get", does: "see it" },
    { command: "mountaineer fleet config set fleet.toml", does: "change it, on the operator's machine" },
  ],
};

const FLEET_KEYS: CommandGroup = {
  name: "fleet keys",
  summary: "the keys by which a fleet knows its machines and its operator",
  description: "Each can be exchanged in place, without joining again. See docs/fleet.md.",
  examples: [{ command: "mountaineer fleet keys rotate", does: "a new key for this machine" }],
};

const CONFIG: CommandGroup = {
  name: "config",
  summary: "show, change, check and undo the configuration",
  description:
    "With a daemon running they speak of its file, and it applies what they change at once. Every change keeps all " +
    "other bytes of the file, is checked as a whole before it is written, and can be undone.",
  examples: [
    { command: "mountaineer config set lsof-recheck off", does: "change a setting" },
    { command: "mountaineer config edit", does: "change several in your editor" },
    { command: "mountaineer config rollback", does: "undo that" },
  ],
};

const SECRET: CommandGroup = {
  name: "secret",
  summary: "keep passwords and tokens outside of the configuration",
  description:
    "The configuration names them as secret:NAME; their values are in the keyring or in a private file.",
  examples: [
    { command: "mountaineer secret set nas", does: "keep one" },
    { command: "mountaineer secret list", does: "see which are kept, and what uses them" },
  ],
};

const RCLONE: CommandGroup = {
  name: "rclone",
  summary: "a newer rclone than the system's",
  description: "The driver rclone mounts with the one in the home, if there is one, else with the system's.",
  examples: [{ command: "mountaineer rclone install", does: "take the official release into the home" }],
};

interface CommandSection {
  readonly heading: string;
  readonly entries: readonly (CommandDefinition | GroupedCommands)[];
}

interface GroupedCommands {
  readonly group: CommandGroup;
  readonly commands: readonly CommandDefinition[];
}

/** As --help shows them: first what a newcomer needs. */
export const SECTIONS: readonly CommandSection[] = [
  {
    heading: "To begin:",
    entries: [demoCommand, initCommand, importCommand, connectCommand, monitorCommand, installCommand],
  },
  {
    heading: "Every day:",
    entries: [statusCommand, tuiCommand, openCommand, menubarCommand, logsCommand, doctorCommand],
  },
  {
    heading: "Shares:",
    entries: [
      { group: SHARES, commands: [sharesListCommand, sharesAddCommand, sharesRemoveCommand] },
      mountCommand,
      unmountCommand,
      switchCommand,
      unsentCommand,
      verifyCommand,
      reconcileCommand,
      {
        group: ALIAS,
        commands: [aliasListCommand, aliasAddCommand, aliasRemoveCommand, aliasReconcileCommand],
      },
      foldersCommand,
      { group: RCLONE, commands: [rcloneInstallCommand] },
    ],
  },
  {
    heading: "MCP servers:",
    entries: [
      {
        group: BACKENDS,
        commands: [
          backendsListCommand,
          backendsAddCommand,
          backendsEditCommand,
          backendsRemoveCommand,
          backendsEnableCommand,
          backendsDisableCommand,
          backendsRestartCommand,
          backendsLogsCommand,
          backendsLoginCommand,
          backendsLogoutCommand,
        ],
      },
      { group: TOOLS, commands: [toolsListCommand, toolsDiffCommand, toolsApproveCommand] },
      callCommand,
      mcpCommand,
    ],
  },
  {
    heading: "Configuration:",
    entries: [
      {
        group: CONFIG,
        commands: [
          configGetCommand,
          configSetCommand,
          configUnsetCommand,
          configShowCommand,
          configValidateCommand,
          configPathCommand,
          configEditCommand,
          configSchemaCommand,
          configHistoryCommand,
          configDiffCommand,
          configRollbackCommand,
        ],
      },
      { group: SECRET, commands: [secretSetCommand, secretListCommand, secretRemoveCommand] },
      reloadCommand,
      restartCommand,
      approveCommand,
      serverTokenCommand,
    ],
  },
  {
    heading: "Many machines:",
    entries: [
      {
        group: FLEET,
        commands: [
          fleetStatusCommand,
          fleetInitCommand,
          fleetInviteCommand,
          fleetJoinCommand,
          fleetLeaveCommand,
          fleetRemoveCommand,
        ],
      },
      {
        group: FLEET_CONFIG,
        commands: [
          fleetConfigGetCommand,
          fleetConfigSetCommand,
          fleetConfigDiffCommand,
          fleetConfigHistoryCommand,
          fleetConfigRollbackCommand,
        ],
      },
      { group: FLEET_KEYS, commands: [fleetKeysRotateCommand] },
    ],
  },
  { heading: "More:", entries: [completionsCommand, uninstallCommand] },
];

export const COMMANDS: readonly CommandDefinition[] = SECTIONS.flatMap(({ entries }) =>
  entries.flatMap((entry) => ("group" in entry ? entry.commands : entry)),
);

export const COMMAND_GROUPS: readonly CommandGroup[] = SECTIONS.flatMap(({ entries }) =>
  entries.flatMap((entry) => ("group" in entry ? [entry.group] : [])),
);
