// The exit codes of commands that change the configuration.
import type { CommandDefinition } from "../../input/command.ts";

export const EDIT_EXITS: CommandDefinition["exits"] = {
  0: "saved, and applied if a daemon runs; or the file said so already",
  1: "saved, but the daemon could not apply it",
  2: "there is no such key, or it cannot have that value; nothing was written",
  3: "the result would have mistakes; nothing was written",
  9: "the file was changed by someone else meanwhile; nothing was written",
};
