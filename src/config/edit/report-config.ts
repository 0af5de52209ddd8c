// What a file's configuration says, fit to be read by others: one key a line, without comments, and of everything that
// may hold a secret no more than what is known to be harmless.
import { parseReference } from "../../secrets/reference.ts";
import { type KeyPath, pathText } from "../mistakes.ts";
import { fileText, textValues } from "../read/file-values.ts";
import { sectionAround } from "../schema/schema.ts";
import {
  HIDDEN,
  hiddenValues,
  shownArguments,
  shownSecretText,
  shownText,
  shownUrl,
  shownWritten,
} from "../shown-values.ts";
import type { BackendConfig, ConfigFormat } from "../snapshot.ts";
import { tomlValue } from "./toml-value.ts";

/** Of a valid file. Rejects with `config_invalid` for one that cannot be read. */
export async function reportedConfig(bytes: Uint8Array, format: ConfigFormat): Promise<string> {
  const lines: string[] = [];
  const tell = (path: KeyPath, value: unknown, around: unknown): void => {
    if (isTable(value)) {
      for (const [key, part] of Object.entries(value)) tell([...path, key], part, value);
    } else if (Array.isArray(value) && value.some(isTable)) {
      for (const [index, part] of value.entries()) tell([...path, index], part, value);
    } else lines.push(`${pathText(path)} = ${shownLine(path, value, around)}`);
  };
  tell([], await textValues(fileText(bytes), format), null);
  return lines.join("\n");
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function shownLine(path: KeyPath, value: unknown, around: unknown): string {
  const key = String(path.at(-1));
  const section = sectionAround(path.slice(0, -1));
  const isText = typeof value === "string";
  if (section === null) return HIDDEN;
  if (section.isOpen) return isText ? tomlValue(shownWritten(key, value, "report")) : HIDDEN;
  if (path[0] === "backends" && section.name === "backends") {
    if (key === "args" && Array.isArray(value)) {
      const command = isTable(around) ? String(around["command"]) : "";
      return tomlValue(shownArguments(command, value.map(String), "report"));
    }
    if (key === "url" && isText) return tomlValue(shownUrl(value, "report"));
    if (key === "command" && isText) return tomlValue(shownCommand(value));
  }
  if (!section.keys.includes(key)) return HIDDEN;
  if (section.keyDoc(key).isSecret || key === "password" || key === "token") {
    return isText && parseReference(value) !== null ? tomlValue(value) : HIDDEN;
  }
  if (Array.isArray(value)) return tomlValue(value.map((part) => shownAddress(String(part))));
  if (typeof value === "boolean" || typeof value === "number") return tomlValue(value);
  return tomlValue(shownAddress(String(value)));
}

/** A text that is no address, as it is: a receiver of traces may want its key in the path. */
function shownAddress(text: string): string {
  return /^[a-z][\w+.-]*:\/\//i.test(text) ? shownUrl(text, "report") : text;
}

/** A program's name is one word; what has blanks in it may be a whole command line. */
function shownCommand(command: string): string {
  return /\s/.test(command) ? shownText(command, "report") : shownText(command, "log");
}

/** What of these backends a report does not show, for whoever filters the rest of it. */
export function unreportedValues(backends: readonly Pick<BackendConfig, "connection">[]): readonly string[] {
  return backends.flatMap(({ connection }) => {
    if (connection.type !== "stdio") {
      const { url, headers } = connection;
      const hidden = hiddenValues([url], [shownUrl(url, "report")]);
      return [...hidden, ...hidden.flatMap((query) => query.split(/[&=]/)), ...unreportedTexts(headers)];
    }
    const { command, args, env } = connection;
    return [
      ...hiddenValues([command], [shownCommand(command)]),
      ...hiddenValues(args, shownArguments(command, args, "report")),
      ...unreportedTexts(env),
    ];
  });
}

function unreportedTexts(texts: Extract<BackendConfig["connection"], { type: "stdio" }>["env"]): string[] {
  return Object.entries(texts).flatMap(([name, text]) =>
    text.flatMap((part) =>
      typeof part === "string" ? hiddenValues([part], [shownSecretText(name, [part], "report")]) : [],
    ),
  );
}
