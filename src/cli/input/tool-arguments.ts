// Reads a tool's arguments from the command line or from stdin.
import type { Readable } from "node:stream";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { parseExactly } from "../../runtime/text/exact-json.ts";
import { isObject } from "../../runtime/text/json-object.ts";

/** As much as the daemon takes. */
const STDIN_LIMIT_BYTES = 16 * 1024 * 1024;
const HINT = `they are a JSON object in quotes: mountaineer call TOOL '{"path": "/tmp"}'`;

/**
 * `given` as an object; undefined is {}, `-` is what `stdin` holds. Rejects with `usage`, and with the signal's reason.
 */
export async function readToolArguments(
  given: string | undefined,
  stdin: Readable,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  if (given === undefined) return {};
  const text = given === "-" ? await readStdin(stdin, signal) : given;
  let value: unknown;
  try {
    value = parseExactly(text);
  } catch (error) {
    throw new MountaineerError("usage", `the arguments are not JSON: ${errorText(error)}`, {
      hint: HINT,
      cause: error,
    });
  }
  if (isObject(value)) return value;
  throw new MountaineerError("usage", "the arguments are JSON, but no object", { hint: HINT });
}

async function readStdin(stdin: Readable, signal: AbortSignal): Promise<string> {
  const onAbort = (): void => void stdin.destroy();
  signal.addEventListener("abort", onAbort, { once: true });
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    signal.throwIfAborted();
    for await (const chunk of stdin) {
      const piece = Buffer.from(chunk);
      bytes += piece.length;
      if (bytes > STDIN_LIMIT_BYTES) {
        throw new MountaineerError("usage", `the arguments are longer than ${STDIN_LIMIT_BYTES} bytes`);
      }
      chunks.push(piece);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  return Buffer.concat(chunks).toString("utf8");
}
