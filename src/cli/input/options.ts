// The options that several commands share, and how they are read.
import { type Command, InvalidArgumentError } from "commander";
import type { SwitchTarget } from "../../api/requests.ts";
import type { CommandContext, GivenOptions } from "./command.ts";

export const SWITCH_TARGETS: readonly SwitchTarget[] = ["tb", "fallback", "auto"];

/** Reads an option that may be given again. */
export function collected(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** `--share N`, repeatable, and `--all`. */
export function addShareOptions(command: Command): void {
  command
    .option("--share <name>", "only this share; may be given again for more", collected)
    .addOption(
      command.createOption("--all", "all shares (what happens without --share, too)").conflicts("share"),
    );
}

export function addJsonOption(command: Command): void {
  command.option("--json", "print the result as JSON");
}

/** How long a command waits for what comes of it, seconds. */
const USUAL_WAIT_SECS = 30;

export function addWaitOption(command: Command): void {
  command.option(
    "--wait <seconds>",
    `how long to wait for what comes of it; 0: not at all (default: ${USUAL_WAIT_SECS})`,
    (text: string) => {
      const seconds = /^\d{1,5}(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
      if (seconds <= 86_400) return seconds;
      throw new InvalidArgumentError("It is a number of seconds from 0 to 86400.");
    },
  );
}

export function readWaitMs(options: GivenOptions): number {
  const { wait } = options;
  return (typeof wait === "number" ? wait : USUAL_WAIT_SECS) * 1000;
}

/** The texts of an option that may be given again. */
export function readList(options: GivenOptions, name: string): readonly string[] {
  const value = options[name];
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

export function readSelection(options: GivenOptions): readonly string[] | null {
  const { share } = options;
  return Array.isArray(share) ? share.filter((name) => typeof name === "string") : null;
}

export function readFlag(options: GivenOptions, name: string): boolean {
  return options[name] === true;
}

/** An option's text; null when it was not given. */
export function readText(options: GivenOptions, name: string): string | null {
  const value = options[name];
  return typeof value === "string" ? value : null;
}

/** Prints a command's result: as JSON with `--json`, otherwise as `text` has it for people. */
export function showResult(
  { print }: Pick<CommandContext, "print">,
  options: GivenOptions,
  result: unknown,
  text: () => string,
): void {
  print(readFlag(options, "json") ? `${JSON.stringify(result, null, 2)}\n` : text());
}
