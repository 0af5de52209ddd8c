// The commands `backup` and `backup restore`.
import { command, type GroupedCommands } from "../input/command.ts";

const PASSPHRASE = {
  "--passphrase-file <path>": "a file that has the passphrase; default: it is asked",
} as const;

const backupCommand = command("backup", {
  summary: "back up this home into one encrypted file",
  description: "With all secrets; without mounts, logs and caches. The daemon may run.",
  examples: {
    "mountaineer backup home.backup": "type a passphrase of 12 characters or more",
    "mountaineer backup home.backup --stop": "to move",
  },
  exits: { 1: "no file was written" },
  takes: {
    "<file>": "the file to write; a backup that is there is replaced",
    "--stop": "stop the daemon first, and do not start it again at login",
    ...PASSPHRASE,
  },
  run: async (context, given) => (await import("../service/backup.ts")).backUpHome(context, given),
});

const restoreCommand = command("backup restore", {
  summary: "restore a home from a backup",
  description:
    "Shows what will run and who may do what, and asks before it writes. Move: the old daemon is gone, and everything continues here. Copy: sessions, sign-ins, programs of people and the fleet stay with it.",
  examples: { "mountaineer backup restore home.backup": "into an empty home" },
  exits: { 1: "you said no", 3: "the file cannot be used; nothing was changed", 4: "a daemon runs here" },
  takes: {
    "<file>": "the backup",
    "--replace": "rename the present home, and restore in its place",
    ...PASSPHRASE,
  },
  run: async (context, given) => (await import("../service/backup.ts")).restoreHome(context, given),
});

export const BACKUP_COMMANDS: GroupedCommands = { group: backupCommand, commands: [restoreCommand] };
