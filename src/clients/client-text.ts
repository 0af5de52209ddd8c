// Reads the text of a client's file: JSON with or without comments, TOML or YAML.
import { type ParseError, parse, printParseErrorCode } from "jsonc-parser";
import { textValues } from "../config/read/file-values.ts";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import { withoutByteOrderMark } from "../runtime/text/plain-text.ts";

export function unreadable(message: string, more: ErrorOptions & { readonly hint?: string } = {}) {
  return new MountaineerError("client_unreadable", message, more);
}

/** The file's values; undefined for an empty text. Rejects with `client_unreadable`, with the place of the error. */
export async function clientValues(text: string, path: string): Promise<unknown> {
  const [, end = ""] = /\.(toml|ya?ml)$/i.exec(path) ?? [];
  if (end !== "") {
    const format = end.toLowerCase() === "toml" ? "toml" : "yaml";
    try {
      return await textValues(text, format);
    } catch (error) {
      const what = `${path} is not ${format.toUpperCase()} that can be read`;
      throw unreadable(`${what}: ${errorText(error)}`, { cause: error });
    }
  }
  const errors: ParseError[] = [];
  const plain = withoutByteOrderMark(text);
  const value = parsed(plain, errors, path);
  const [first] = errors;
  if (first === undefined) return value;
  const before = plain.slice(0, first.offset).split("\n");
  const position = `${before.length}:${(before.at(-1) ?? "").length + 1}`;
  const what = printParseErrorCode(first.error)
    .replace(/\B[A-Z]/g, " $&")
    .toLowerCase();
  throw unreadable(`${path} is not JSON that can be read: at ${position}, ${what}`, {
    hint: "correct it in an editor first; nothing was changed",
  });
}

function parsed(text: string, errors: ParseError[], path: string): unknown {
  try {
    return parse(text, errors, { allowTrailingComma: true, allowEmptyContent: true });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw unreadable(`${path} is nested too deep to be read`);
  }
}
