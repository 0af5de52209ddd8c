// A file's values, key by key and unchecked, for editing and showing.
import { MountaineerError } from "../../runtime/errors.ts";
import type { ConfigFormat } from "../snapshot.ts";
import { decodeText, type ParsedText, type SyntaxFinding, textPositions } from "./source-text.ts";
import { parseToml } from "./toml-text.ts";
import { parseYaml } from "./yaml-text.ts";

/** The format of a text without a name: TOML, unless its first line that is not a comment begins a YAML mapping. */
export function formatOfText(text: string): ConfigFormat {
  const first = /^(?!\s*(?:#|$)).*$/m.exec(text)?.[0] ?? "";
  return /^\s*(?:---|[\w."'-]+\s*:(?:\s|$))/.test(first) ? "yaml" : "toml";
}

/** Reads a text in its format; errors are in `syntax`. */
export async function parseText(text: string, format: ConfigFormat): Promise<ParsedText> {
  return format === "toml" ? parseToml(text) : await parseYaml(text);
}

function unreadable(text: string, finding: Omit<SyntaxFinding, "path" | "hint">): MountaineerError {
  const { offset, found, expected } = finding;
  const { line, column } = textPositions(text).positionAt(offset);
  const message = `the configuration cannot be read at ${line}:${column}: found ${found}, expected ${expected}`;
  return new MountaineerError("config_invalid", message, { hint: "correct the file in an editor first" });
}

/** The file's tables and values, objects without prototype. Rejects with `config_invalid` for a syntax error. */
export async function textValues(text: string, format: ConfigFormat): Promise<unknown> {
  const { value, syntax } = await parseText(text, format);
  const [first] = syntax;
  if (first !== undefined) throw unreadable(text, first);
  return value;
}

/** The text of the file without its byte order mark. Rejects with `config_invalid` if the bytes are not text. */
export function fileText(bytes: Uint8Array): string {
  const decoded = decodeText(bytes);
  if (decoded.ok) return decoded.text;
  const { before, found, expected } = decoded;
  throw unreadable(before, { offset: before.length, found, expected });
}
