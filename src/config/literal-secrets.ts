// Finds secrets that are written out in a configuration, by their form and by the names of their keys. Pure.

import { routeKeys, routesOf } from "./backend-routes.ts";
import {
  HIDDEN,
  hasUnclearPassword,
  hiddenValues,
  isSecretName,
  shownArguments,
  shownCommand,
  shownSecretText,
  shownUrl,
} from "./shown-values.ts";
import type { BackendConfig, StdioConnection } from "./snapshot.ts";
import { type KeyPath, pathText } from "./values/mistakes.ts";
import { type SecretText, storedParts } from "./values/secret-text.ts";

interface LiteralSecret {
  readonly key: string;
  readonly path: KeyPath;
  readonly value: string;
}

type Connection = BackendConfig["connection"];
type Named = Pick<BackendConfig, "name" | "connection" | "routes">;

/**
 * Values below this length count as settings, not secrets; so do common words and numbers, as in `--auth
 * none`.
 */
const SHORTEST = 4;
const SETTING =
  /^(?:\d{1,5}|true|false|none|null|auto|basic|bearer|token|default|disabled|enabled|required|optional|anonymous|stdio)$/i;

/** The secrets of all backends, in the file's order. The values must not be shown or logged. */
export function literalSecrets(backends: readonly Named[], find: Find = secretIn): readonly LiteralSecret[] {
  return backends.flatMap((backend) =>
    routesOf(backend).flatMap(({ connection }, route) =>
      ofConnection(connection, find).map(({ path: within, value }) => {
        const path = ["backends", backend.name, ...routeKeys(backend, route), ...within];
        return { key: pathText(path), path, value };
      }),
    ),
  );
}

/** The secret values of a connection, each once, so that logs can be filtered by them. */
export function literalValues(connection: Connection): readonly string[] {
  return [...new Set(ofConnection(connection, secretIn).map(({ value }) => value))];
}

/** The keys that open something. Other ones (`project_key`) only name a thing. */
const OPENING_KEY = /api|access|secret|private|token|passw|sign|encrypt|ssh|master|licen[cs]e/i;

/** Whether the value of a tool's argument is a secret by its name or form. It may be a thing's id, which looks random. */
export function isLiteralSecret(name: string, text: string): boolean {
  const isSecret = isSecretName(name) && (!/key$/i.test(name) || OPENING_KEY.test(name));
  return secretIn([], text, shownSecretText(isSecret ? name : "id", [text], "log")).length > 0;
}

/** The names of the variables whose values are secrets. */
export function literalVariables(env: Readonly<Record<string, SecretText>>): readonly string[] {
  const names = ofTexts("env", env, secretIn).map(({ path: [, name = ""] }) => String(name));
  return [...new Set(names)];
}

/** The keys of the values that `import` replaced by `(hidden)`. */
export function omittedKeys(backend: Named): readonly string[] {
  const isOmitted: Find = (path, value) => (value.includes(HIDDEN) ? [{ path, value }] : []);
  return literalSecrets([backend], isOmitted).map(({ key }) => key);
}

interface Found {
  readonly path: readonly (string | number)[];
  readonly value: string;
}

/** Finds values in a text; `shown` is the text in the form that logs show. */
type Find = (path: Found["path"], text: string, shown: string) => readonly Found[];

function ofConnection(connection: Connection, find: Find): readonly Found[] {
  if (connection.type === "stdio")
    return [...ofProgram(connection, find), ...ofTexts("env", connection.env, find)];
  const { url, headers } = connection;
  return [...find(["url"], url, shownUrl(url, "log")), ...ofTexts("headers", headers, find)];
}

function ofProgram({ command, args }: StdioConnection, find: Find): readonly Found[] {
  const shown = shownArguments(command, args, "log");
  return [
    ...find(["command"], command, shownCommand(command, "log")),
    ...args.flatMap((argument, index) => find(["args", index], argument, shown[index] ?? "")),
  ];
}

function ofTexts(table: string, texts: Readonly<Record<string, SecretText>>, find: Find): readonly Found[] {
  return Object.entries(texts).flatMap(([name, text]) =>
    text.flatMap((part) => {
      if (typeof part !== "string") return [];
      // Plain text next to a reference counts as a secret only if it looks like one, whatever the variable's
      // name.
      const label = text.length === 1 ? name : "";
      return find([table, name], part, shownSecretText(label, [part], "log"));
    }),
  );
}

function secretIn(path: Found["path"], text: string, shown: string): readonly Found[] {
  const isUnclear = hasUnclearPassword(text) && storedParts(text).length === 1;
  return hiddenValues([text], [isUnclear ? HIDDEN : shown])
    .filter((value) => value.length >= SHORTEST && !SETTING.test(value))
    .map((value) => ({ path, value }));
}
