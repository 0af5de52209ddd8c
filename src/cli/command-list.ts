// Owns the list of commands, in the order in which help shows them. A new command is one file and one line here.
import type { CommandDefinition, CommandGroup } from "./command.ts";
import { configDiffCommand } from "./commands/config/diff.ts";
import { configEditCommand } from "./commands/config/edit.ts";
import { configGetCommand } from "./commands/config/get.ts";
import { configHistoryCommand } from "./commands/config/history.ts";
import { configPathCommand } from "./commands/config/path.ts";
import { configRollbackCommand } from "./commands/config/rollback.ts";
import { configSchemaCommand } from "./commands/config/schema.ts";
import { configSetCommand } from "./commands/config/set.ts";
import { configShowCommand } from "./commands/config/show.ts";
import { configUnsetCommand } from "./commands/config/unset.ts";
import { configValidateCommand } from "./commands/config/validate.ts";
import { demoCommand } from "./commands/demo.ts";
import { monitorCommand } from "./commands/monitor.ts";
import { mountCommand } from "./commands/mount.ts";
import { reconcileCommand } from "./commands/reconcile.ts";
import { reloadCommand } from "./commands/reload.ts";
import { statusCommand } from "./commands/status.ts";
import { switchCommand } from "./commands/switch.ts";
import { tuiCommand } from "./commands/tui.ts";
import { unmountCommand } from "./commands/unmount.ts";
import { verifyCommand } from "./commands/verify.ts";

export const COMMANDS: readonly CommandDefinition[] = [
  monitorCommand,
  statusCommand,
  verifyCommand,
  reconcileCommand,
  mountCommand,
  unmountCommand,
  switchCommand,
  reloadCommand,
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
  tuiCommand,
  demoCommand,
];

export const COMMAND_GROUPS: readonly CommandGroup[] = [
  {
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
  },
];
