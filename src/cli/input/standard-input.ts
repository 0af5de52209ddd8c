// Reads standard input.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import type { ReadStream } from "node:tty";
import { errorText, isSystemError, MountaineerError, recoverFrom } from "../../runtime/errors.ts";

/** A pipe, a file or a terminal. */
export type StandardInput = Readable & Partial<Pick<ReadStream, "isTTY" | "setRawMode">>;

/** Standard input, and what ends the reading. */
export interface InputParts {
  readonly stdin: StandardInput;
  readonly signal: AbortSignal;
}

interface InputLimits {
  readonly mostBytes: number;
  /** The error if the input is longer than `mostBytes`. */
  readonly tooLong: () => MountaineerError;
  /** Stops after the first line. Default: reads to the end. */
  readonly oneLine?: boolean;
}

/** Reads the text. Rejects with `tooLong` for more than `mostBytes`, `usage` if it cannot be read, and with the signal's reason. */
export async function readInput(
  stdin: Readable,
  signal: AbortSignal,
  { mostBytes, tooLong, oneLine = false }: InputLimits,
): Promise<Buffer> {
  const onAbort = (): void => void stdin.destroy();
  signal.addEventListener("abort", onAbort, { once: true });
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    signal.throwIfAborted();
    for await (const chunk of stdin) {
      const piece = Buffer.from(chunk);
      bytes += piece.length;
      if (bytes > mostBytes) throw tooLong();
      chunks.push(piece);
      if (oneLine && piece.includes("\n")) break;
    }
  } catch (error) {
    signal.throwIfAborted();
    if (isSystemError(error)) throw new MountaineerError("usage", `reading it failed: ${errorText(error)}`);
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  return Buffer.concat(chunks);
}

/**
 * The text of what a person named instead of a file: standard input for `-`, or a pipe or device at the path. Null: it is a
 * file, or nothing.
 */
export async function readNamedInput(
  path: string,
  { stdin, signal }: InputParts,
  mostBytes: number,
): Promise<Buffer | null> {
  const isStdin = path === "-" || path === "/dev/stdin";
  const status = isStdin ? null : await stat(path).catch(recoverFrom(isSystemError, null));
  if (!isStdin && status?.isFIFO() !== true && status?.isCharacterDevice() !== true) return null;
  const tooLong = () => new MountaineerError("usage", `${path} has more than ${mostBytes} bytes`);
  return readInput(isStdin ? stdin : createReadStream(path), signal, { mostBytes, tooLong });
}

/** The address in the first line, trimmed. Rejects with `usage` if the line is empty. */
export async function readFirstLine({ stdin, signal }: InputParts): Promise<string> {
  const tooLong = () => new MountaineerError("usage", "standard input has no address in its first line");
  const read = await readInput(stdin, signal, { mostBytes: 16 * 1024, tooLong, oneLine: true });
  const [line = ""] = read.toString("utf8").split("\n");
  if (line.trim() === "") throw tooLong();
  return line.trim();
}
