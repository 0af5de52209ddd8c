// Owns how a command that failed says so: one clear line, what to do, and its exit code.
import { ERROR_CODES, errorText, MountaineerError } from "../runtime/errors.ts";
import { harmless } from "../runtime/plain-text.ts";
import { type Look, paintFor } from "./look.ts";

export function exitCodeOfError(error: unknown): number {
  return ERROR_CODES[error instanceof MountaineerError ? error.code : "internal"].exit;
}

/** The lines for stderr; with `debug`, stacks and causes too. */
export function failureText(error: unknown, { look, debug }: { look: Look; debug: boolean }): string {
  const paint = paintFor(look);
  const own = error instanceof MountaineerError;
  // A message may list several mistakes, a line each.
  const [first = "", ...more] = (own ? error.message : `internal error: ${errorText(error)}`).split("\n");
  const lines = [
    `${paint.red("mountaineer:")} ${harmless(first)}`,
    ...more.map((line) => `  ${harmless(line.trimEnd())}`),
  ];
  const hint = own
    ? error.hint
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
