// Reads the text of a client's file: JSON, also with comments or in the form of JSON5, TOML or YAML.
import { constants } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type ParseError, parse, printParseErrorCode } from "jsonc-parser";
import { formatOfText, textValues } from "../config/read/file-values.ts";
import {
  errorText,
  isSystemError,
  MountaineerError,
  recoverFrom,
  systemErrorCode,
} from "../runtime/errors.ts";
import { parseJson } from "../runtime/text/parse-json.ts";
import { withoutByteOrderMark } from "../runtime/text/plain-text.ts";
import type { Client } from "./client.ts";

export function unreadable(message: string, more: ErrorOptions & { readonly hint?: string } = {}) {
  return new MountaineerError("client_unreadable", message, more);
}

/** The format of a client's file by its name, else by its content. */
export function clientFormat(text: string, path: string): Client["format"] {
  const [, end = ""] = /\.(toml|ya?ml|json[c5]?)$/i.exec(path) ?? [];
  if (end !== "") return /^json/i.test(end) ? "json" : /^toml$/i.test(end) ? "toml" : "yaml";
  return /^\s*(?:$|[{"]|\[\s*(?:[{"]|\])|\/[/*])/.test(withoutByteOrderMark(text))
    ? "json"
    : formatOfText(text);
}

/** The file's values; undefined for an empty text. Rejects with `client_unreadable`, with the place of the error. */
export async function clientValues(
  text: string,
  path: string,
  format: Client["format"] = clientFormat(text, path),
): Promise<unknown> {
  if (format !== "json") {
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
  const inJson5: ParseError[] = [];
  const other = parsed(asJson(plain), inJson5, path);
  if (inJson5.length === 0) return other;
  const before = plain.slice(0, first.offset).split("\n");
  const position = `${before.length}:${(before.at(-1) ?? "").length + 1}`;
  const what = printParseErrorCode(first.error)
    .replace(/\B[A-Z]/g, " $&")
    .toLowerCase();
  throw unreadable(`${path} is not JSON that can be read: at ${position}, ${what}`, {
    hint: "correct it in an editor first; nothing was changed",
  });
}

/** The text of JSON5 as JSON: keys and texts in double quotes, and no comments. */
function asJson(text: string): string {
  const parts =
    /"(?:\\.|[^"\\])*"?|'((?:\\.|[^'\\])*)'?|\/\/.*|\/\*[\s\S]*?(?:\*\/|$)|(?<![\w$])([A-Za-z_$][\w$]*)(?=\s*:)/g;
  return text.replace(parts, (whole: string, single: string | undefined, key: string | undefined) => {
    if (key !== undefined) return JSON.stringify(key);
    if (single !== undefined) return `"${single.replace(/\\'/g, "'").replace(/(?<!\\)"/g, '\\"')}"`;
    return whole.startsWith('"') ? whole : "";
  });
}

function parsed(text: string, errors: ParseError[], path: string): unknown {
  try {
    // The other parser takes a key `__proto__` for the object's prototype.
    return parseJson(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw tooDeep(error, path);
  }
  try {
    return parse(text, errors, { allowTrailingComma: true, allowEmptyContent: true });
  } catch (error) {
    throw tooDeep(error, path);
  }
}

function tooDeep(error: unknown, path: string): unknown {
  return error instanceof RangeError ? unreadable(`${path} is nested too deep to be read`) : error;
}

/**
 * Maximum size of a client's file. It is large, because Claude Code keeps its history in the file that has
 * its servers.
 */
export const LARGEST_FILE_BYTES = 64 * 1024 * 1024;

/** null: there is no file. Rejects with `client_unreadable`. */
export async function readClientFile(path: string): Promise<string | null> {
  try {
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const status = await file.stat();
    if (!status.isFile()) throw unreadable(`${path} is not a file`);
    if (status.size > LARGEST_FILE_BYTES) throw unreadable(`${path} is larger than 64 MiB`);
    return textOf(await file.readFile(), path);
  } catch (error) {
    if (error instanceof MountaineerError) throw error;
    const code = systemErrorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw unreadable(`${path} cannot be read: ${errorText(error)}`, { cause: error });
  }
}

/** Decodes the file without losing a byte, because the text is written back later. */
export function textOf(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    const hint = "save it as UTF-8 in an editor first; nothing was changed";
    throw unreadable(`${path} is not UTF-8`, { hint, cause });
  }
}

/** The paths that a path means: all files in a folder if it ends in `/*`, else itself. */
export async function pathsAt(path: string): Promise<readonly string[]> {
  if (!path.endsWith("/*")) return [path];
  const names = await readdir(dirname(path)).catch(recoverFrom(isSystemError, [] as string[]));
  return names
    .filter((name) => !name.startsWith("."))
    .sort()
    .map((name) => join(dirname(path), name));
}

const unread = recoverFrom((error) => error instanceof MountaineerError, null);

/** The values of a file; null if it cannot be read. Of Markdown, those before the text. */
export async function valuesAt(path: string): Promise<unknown> {
  const text = await readClientFile(path).catch(unread);
  if (text === null) return null;
  const isMarkdown = path.endsWith(".md");
  const [, head = ""] = isMarkdown ? (/^---\n([\s\S]*?)\n---/.exec(text) ?? []) : [];
  return clientValues(isMarkdown ? head : text, isMarkdown ? `${path}.yaml` : path).catch(unread);
}
