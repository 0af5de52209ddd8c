// Owns the list of commands, in the order in which help shows them. A new command is one file and one line here.
import type { CommandDefinition } from "./command.ts";
import { demoCommand } from "./commands/demo.ts";
import { monitorCommand } from "./commands/monitor.ts";
import { mountCommand } from "./commands/mount.ts";
import { reconcileCommand } from "./commands/reconcile.ts";
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
  tuiCommand,
  demoCommand,
];
