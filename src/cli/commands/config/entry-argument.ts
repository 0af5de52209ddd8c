// The argument N, an entry of the history.
import { type Command, InvalidArgumentError } from "commander";

export function addEntryArgument(command: Command, description: string): void {
  command.argument("[n]", `${description}; 1 is the one before the newest, and the default`, (text) => {
    if (!/^\d{1,9}$/.test(text))
      throw new InvalidArgumentError("It is a number of `mountaineer config history`.");
    return text;
  });
}

/** The entry that was asked for. */
export function readEntry([given]: readonly string[]): number {
  return given === undefined ? 1 : Number(given);
}
