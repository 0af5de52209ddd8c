// Reads a secret's value: typed at the terminal without an echo, otherwise from standard input.
import { createReadStream } from "node:fs";
import { resolve } from "node:path";
import { foreignReference } from "../../config/values/foreign-reference.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { shellCommand, withoutByteOrderMark } from "../../runtime/text/plain-text.ts";
import { type InputParts, readInput, type StandardInput } from "./standard-input.ts";

/** Limit of a value: more than any password or token, and less than the limits of keyrings. */
const LONGEST_BYTES = 8_000;
const TOO_LONG = `a value has ${LONGEST_BYTES} bytes at most`;

/**
 * Reads a value, which must not be empty. Rejects with `usage` for an invalid value, and with the signal's
 * reason.
 */
export async function readSecretValue(
  name: string,
  input: InputParts,
  file: string | null = null,
): Promise<string> {
  const isTyped = file === null && input.stdin.isTTY === true;
  const value = isTyped
    ? await promptSecret(`Value of ${name} (not shown): `, input)
    : usable(await pipedIn(file === null ? input : { ...input, stdin: createReadStream(resolve(file)) }));
  const foreign = foreignReference(value);
  if (foreign === null) return value;
  const hint = /^op:/.test(value)
    ? shellCommand`op read ${value} | mountaineer secret set ${name}`
    : "store what it stands for";
  throw new MountaineerError("usage", `that is ${foreign}, and not the secret itself`, { hint });
}

/** Asks at the terminal without an echo; `stdin` must be a terminal. Rejects like `readSecretValue`. */
export async function promptSecret(question: string, { stdin, signal }: InputParts): Promise<string> {
  return usable(await typedSecretly(question, stdin, signal));
}

/** As `promptSecret`, but accepts an empty value, and asks again after an invalid one. Rejects with the signal's reason. */
export async function promptHidden(question: string, input: InputParts): Promise<string> {
  for (;;) {
    try {
      const value = await typedSecretly(question, input.stdin, input.signal);
      return value === "" ? "" : usable(value);
    } catch (error) {
      if (!(error instanceof MountaineerError) || error.code !== "usage") throw error;
      process.stderr.write(`  ${error.message}\n`);
    }
  }
}

function usable(value: string): string {
  if (value.trim() === "") throw unusable("the value is empty");
  if (value.includes("\0")) throw unusable("a value has no NUL character");
  if (Buffer.byteLength(value) > LONGEST_BYTES) throw unusable(TOO_LONG);
  return value;
}

/**
 * All of the input. Of one line, drops the line break at the end, because `echo` adds one; and the byte order mark with which
 * some editors begin a file.
 */
async function pipedIn({ stdin, signal }: InputParts): Promise<string> {
  const limits = { mostBytes: LONGEST_BYTES + 5, tooLong: () => unusable(TOO_LONG) };
  const text = withoutByteOrderMark(decoded(await readInput(stdin, signal, limits)));
  const line = text.replace(/\r?\n$/, "");
  return line.includes("\n") ? text : line;
}

/** Reads one line in raw mode; Ctrl-C ends the command as usual. */
function typedSecretly(question: string, terminal: StandardInput, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    let typed: number[] = [];
    const end = (finish: () => void): void => {
      terminal.off("data", onData);
      signal.removeEventListener("abort", onAbort);
      terminal.setRawMode?.(false);
      terminal.pause();
      process.stderr.write("\n");
      finish();
    };
    const onAbort = (): void => end(() => reject(signal.reason));
    const onData = (chunk: Buffer): void => {
      for (const byte of withoutEscapes(chunk)) {
        if (byte === ENTER || byte === NEWLINE || (byte === CTRL_D && typed.length > 0)) {
          const value = Buffer.from(typed);
          end(() => {
            try {
              resolve(decoded(value));
            } catch (error) {
              reject(error);
            }
          });
          return;
        }
        if (byte === CTRL_C || byte === CTRL_D) {
          // In raw mode, the terminal does not turn Ctrl-C into a signal.
          process.kill(process.pid, "SIGINT");
          return;
        }
        if (byte === BACKSPACE || byte === CTRL_H) typed = withoutLast(typed);
        else if (byte === CTRL_U) typed = [];
        else if (byte >= SPACE || byte === TAB) typed.push(byte);
      }
    };
    signal.addEventListener("abort", onAbort, { once: true });
    // Raw mode starts before the question is printed, so that no typed key is shown.
    terminal.setRawMode?.(true);
    terminal.on("data", onData);
    process.stderr.write(question);
    terminal.resume();
    if (signal.aborted) onAbort();
  });
}

const [CTRL_C, CTRL_D, CTRL_H, TAB, NEWLINE, ENTER, CTRL_U, SPACE, BACKSPACE] = [
  0x03, 0x04, 0x08, 0x09, 0x0a, 0x0d, 0x15, 0x20, 0x7f,
];

/** Removes the escape sequences of arrow and function keys, and of bracketed paste. */
function withoutEscapes(chunk: Buffer): Buffer {
  const [first = "", ...others] = chunk.toString("latin1").split("\x1b");
  const rest = others.map((part) => part.replace(/^(\[[0-9;?]*[@-~]|O[@-~])/, ""));
  return Buffer.from([first, ...rest].join(""), "latin1");
}

/** Removes the last UTF-8 character, which may have several bytes. */
function withoutLast(bytes: readonly number[]): number[] {
  let length = bytes.length - 1;
  while (length > 0 && ((bytes[length] ?? 0) & 0xc0) === 0x80) length--;
  return bytes.slice(0, Math.max(0, length));
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw unusable("a value is text, in UTF-8");
  }
}

function unusable(message: string): MountaineerError {
  return new MountaineerError("usage", message, { hint: "nothing was changed" });
}
