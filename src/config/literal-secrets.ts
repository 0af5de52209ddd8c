// The secrets that a configuration holds written out, as far as their form, or the names that they stand under, shows
// it. Pure.

import { routeKeys, routesOf } from "./backend-routes.ts";
import {
  HIDDEN,
  hiddenValues,
  shownArguments,
  shownSecretText,
  shownText,
  shownUrl,
} from "./shown-values.ts";
import type { BackendConfig, StdioConnection } from "./snapshot.ts";
import { type KeyPath, pathText } from "./values/mistakes.ts";
import type { SecretText } from "./values/secret-text.ts";

interface LiteralSecret {
  /** The key that holds it: `backends.files.args[2]`. */
  readonly key: string;
  /** The same as a path. */
  readonly path: KeyPath;
  readonly value: string;
}

type Connection = BackendConfig["connection"];

/** Shorter values, and common words and numbers, count as settings: `--auth none`. */
const SHORTEST = 4;
const SETTING =
  /^(?:\d{1,5}|true|false|none|null|auto|basic|bearer|token|default|disabled|enabled|required|optional|anonymous|stdio)$/i;

/** Of all backends, in the file's order. Only the caller may show or keep a value. */
export function literalSecrets(
  backends: readonly Pick<BackendConfig, "name" | "connection" | "routes">[],
): readonly LiteralSecret[] {
  return backends.flatMap((backend) =>
    routesOf(backend).flatMap(({ connection }, route) =>
      ofConnection(connection).map(({ path: within, value }) => {
        const path = ["backends", backend.name, ...routeKeys(backend, route), ...within];
        return { key: pathText(path), path, value };
      }),
    ),
  );
}

/** Only the values, each once: none of them may appear in a log. */
export function literalValues(connection: Connection): readonly string[] {
  return [...new Set(ofConnection(connection).map(({ value }) => value))];
}

/** The keys in which `import` has left a value out. */
export function keysLeftOut(
  backend: Pick<BackendConfig, "name" | "connection" | "routes">,
): readonly string[] {
  return routesOf(backend).flatMap(({ connection }, route) =>
    textsOf(connection).flatMap(([key, text]) =>
      text.includes(HIDDEN) ? pathText(["backends", backend.name, ...routeKeys(backend, route), ...key]) : [],
    ),
  );
}

function textsOf(connection: Connection): readonly (readonly [KeyPath, string])[] {
  const tables = connection.type === "stdio" ? { env: connection.env } : { headers: connection.headers };
  const own =
    connection.type === "stdio"
      ? connection.args.map((text, index) => [["args", index], text] as const)
      : [[["url"], connection.url] as const];
  const named = Object.entries(tables).flatMap(([table, texts]) =>
    Object.entries(texts).map(
      ([name, text]) => [[table, name], text.filter((part) => typeof part === "string").join("")] as const,
    ),
  );
  return [...own, ...named];
}

interface Found {
  readonly path: readonly (string | number)[];
  readonly value: string;
}

function ofConnection(connection: Connection): readonly Found[] {
  if (connection.type === "stdio") return [...ofProgram(connection), ...ofTexts("env", connection.env)];
  const { url, headers } = connection;
  return [...found(["url"], url, shownUrl(url, "log")), ...ofTexts("headers", headers)];
}

function ofProgram({ command, args }: StdioConnection): readonly Found[] {
  const shown = shownArguments(command, args, "log");
  return [
    ...found(["command"], command, shownText(command, "log")),
    ...args.flatMap((argument, index) => found(["args", index], argument, shown[index] ?? "")),
  ];
}

function ofTexts(table: string, texts: Readonly<Record<string, SecretText>>): readonly Found[] {
  return Object.entries(texts).flatMap(([name, text]) =>
    text.flatMap((part) => {
      if (typeof part !== "string") return [];
      // Text beside a reference is not a secret of itself, unless it looks like one.
      const label = text.length === 1 ? name : "";
      return found([table, name], part, shownSecretText(label, [part], "log"));
    }),
  );
}

function found(path: Found["path"], text: string, shown: string): readonly Found[] {
  return hiddenValues([text], [shown])
    .filter((value) => value.length >= SHORTEST && !SETTING.test(value))
    .map((value) => ({ path, value }));
}
