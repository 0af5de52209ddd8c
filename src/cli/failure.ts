// The message and the exit code of a command that failed: one clear line, and what to do.
import { ERROR_CODES, errorText, MountaineerError, systemErrorCode } from "../runtime/errors.ts";
import { harmless } from "../runtime/text/plain-text.ts";
import { paintFor, type TerminalStyle } from "./views/terminal-style.ts";

/** Errors of the machine, wherever they happen: reading the source would not help against them. */
const OF_THE_MACHINE: ReadonlySet<string | null> = new Set([
  "EACCES",
  "EDQUOT",
  "EFBIG",
  "EIO",
  "EISDIR",
  "ELOOP",
  "EMFILE",
  "ENAMETOOLONG",
  "ENFILE",
  "ENOMEM",
  "ENOSPC",
  "ENOTDIR",
  "EPERM",
  "EROFS",
]);
const MACHINE_EXIT = 1;

function isOfTheMachine(error: unknown): boolean {
  return OF_THE_MACHINE.has(systemErrorCode(error));
}

/** The error code's; 1 for what the machine refused, 70 for a mistake in Mountaineer. */
export function exitCodeOfError(error: unknown): number {
  if (!(error instanceof MountaineerError) && isOfTheMachine(error)) return MACHINE_EXIT;
  return ERROR_CODES[error instanceof MountaineerError ? error.code : "internal"].exit;
}

/** The lines for stderr; with `debug`, stacks and causes too. */
export function failureText(
  error: unknown,
  { style, debug }: { style: TerminalStyle; debug: boolean },
): string {
  const paint = paintFor(style);
  const told = error instanceof MountaineerError || isOfTheMachine(error);
  // A message may list several mistakes, a line each.
  const [first = "", ...more] = `${told ? "" : "internal error: "}${errorText(error)}`.split("\n");
  const lines = [
    `${paint.red("mountaineer:")} ${harmless(first)}`,
    ...more.map((line) => `  ${harmless(line.trimEnd())}`),
  ];
  const ofOwn = error instanceof MountaineerError ? error.hint : null;
  const hint = told
    ? ofOwn
    : "this is a mistake in Mountaineer; please report it, with MOUNTAINEER_DEBUG=1 set";
  if (hint !== null)
    lines.push(...hint.split("\n").map((line, index) => `  ${index === 0 ? "hint: " : ""}${harmless(line)}`));
  if (debug) {
    for (let cause = error; cause instanceof Error; cause = cause.cause) {
      lines.push(
        ...(cause.stack ?? cause.message).split("\n").map((line) => paint.dim(`  ${harmless(line)}`)),
      );
    }
  }
  return lines.map((line) => `${line}\n`).join("");
}
