// A configuration for a report that other people read: one key a line, without comments, and only values that are known
// to be harmless.

import { routesOf } from "../backend-routes.ts";
import { fileText, textValues } from "../read/file-values.ts";
import { sectionAround } from "../schema/schema.ts";
import {
  HIDDEN,
  hiddenValues,
  shownArguments,
  shownCommand,
  shownSecretText,
  shownUrl,
} from "../shown-values.ts";
import type { BackendConfig, ConfigFormat } from "../snapshot.ts";
import { type KeyPath, pathText } from "../values/mistakes.ts";
import { isTable } from "../values/table.ts";
import { plain } from "./edit-value.ts";
import { shownOfKey } from "./shown-key.ts";
import { tomlValue } from "./toml-value.ts";

/** Returns the text that reports show for a valid file. Rejects with `config_invalid` if the file cannot be parsed. */
export async function reportedConfig(bytes: Uint8Array, format: ConfigFormat): Promise<string> {
  const lines: string[] = [];
  const visit = (path: KeyPath, value: unknown, around: unknown): void => {
    if (isTable(value)) {
      for (const [key, part] of Object.entries(value)) visit([...path, key], part, value);
    } else if (Array.isArray(value) && value.some(isTable)) {
      for (const [index, part] of value.entries()) visit([...path, index], part, value);
    } else lines.push(`${pathText(path)} = ${shownLine(path, value, around)}`);
  };
  visit([], await textValues(fileText(bytes), format), null);
  return lines.join("\n");
}

function shownLine(path: KeyPath, value: unknown, around: unknown): string {
  const key = String(path.at(-1));
  const section = sectionAround(path.slice(0, -1));
  const written = plain(value);
  if (section === null || written === null || !(section.isOpen || section.keys.includes(key))) return HIDDEN;
  // Lists under names that people choose (claims, arguments) are hidden.
  if (section.isOpen && Array.isArray(written)) return HIDDEN;
  const command = isTable(around) ? around["command"] : undefined;
  return tomlValue(shownOfKey(section.keyDoc(key), key, written, command, "report"));
}

/**
 * Returns the backends' values that a report hides, so that these values can also be removed from the rest of the
 * report.
 */
export function unreportedValues(
  backends: readonly Pick<BackendConfig, "connection" | "routes">[],
): readonly string[] {
  const routes = backends.flatMap((backend) => routesOf(backend));
  return routes.flatMap(({ connection }) => {
    if (connection.type !== "stdio") {
      const { url, headers } = connection;
      const hidden = hiddenValues([url], [shownUrl(url, "report")]);
      return [...hidden, ...hidden.flatMap((query) => query.split(/[&=]/)), ...unreportedTexts(headers)];
    }
    const { command, args, env } = connection;
    return [
      ...hiddenValues([command], [shownCommand(command, "report")]),
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
