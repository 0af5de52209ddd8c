// Reads a tool's arguments from the command line or from stdin.
import type { Readable } from "node:stream";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { parseExactly } from "../../runtime/text/exact-json.ts";
import { isObject } from "../../runtime/text/json-object.ts";
import { readInput } from "./standard-input.ts";

/** Limit of the arguments, the same as the daemon's. */
const MOST_BYTES = 16 * 1024 * 1024;
const LIMITS = {
  mostBytes: MOST_BYTES,
  tooLong: () => new MountaineerError("usage", `the arguments are longer than ${MOST_BYTES} bytes`),
};
const HINT = `they are a JSON object in quotes: mountaineer call TOOL '{"path": "/tmp"}'`;

/** Parses `given`; null is {}, and `-` reads `stdin`. Rejects with `usage`, and with the signal's reason. */
export async function readToolArguments(
  given: string | null,
  stdin: Readable,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  if (given === null) return {};
  const text = given === "-" ? (await readInput(stdin, signal, LIMITS)).toString("utf8") : given;
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
