// A new backend that a person typed, and the edits that write it. Pure.
import { MountaineerError } from "../../runtime/errors.ts";
import { literalSecrets } from "../literal-secrets.ts";
import { freeSecretName } from "../secret-names.ts";
import type { BackendConfig } from "../snapshot.ts";
import { parseSecretText, type SecretText } from "../values/secret-text.ts";
import { tomlKey, tomlValue } from "./toml-value.ts";

/** The typed parts of a backend, in the file's notation; null or empty: not given. */
export interface BackendInput {
  readonly command: readonly [program: string, ...args: string[]] | null;
  readonly url: string | null;
  readonly env: ReadonlyMap<string, string>;
  readonly headers: ReadonlyMap<string, string>;
  readonly cwd: string | null;
  readonly group: string | null;
  readonly enabled: boolean | null;
  /** Values of further keys, such as `timeouts.init`, as one types them for `config set`. */
  readonly set: ReadonlyMap<string, string>;
}

export type TypedConnection =
  | { readonly command: string; readonly args: readonly string[] }
  | { readonly url: string };

/** Reads an address, or a command line, which it splits into words as a shell does. Throws `usage`. */
export function connectionOf(text: string): TypedConnection {
  if (/^https?:\/\//i.test(text)) return { url: text };
  const [command, ...args] = splitArgs(text);
  if (command === undefined) throw new MountaineerError("usage", "a server needs a command");
  return { command, args };
}

/** The edits that write a typed backend into the file, in the usual order of keys. */
export function backendEdits(
  name: string,
  typed: BackendInput,
): { readonly key: string; readonly value: string }[] {
  const at = `backends.${tomlKey(name)}`;
  const { command, url, env, headers, cwd, group, enabled, set } = typed;
  const edits: { key: string; value: string }[] = [];
  const put = (key: string, value: Parameters<typeof tomlValue>[0]): void => {
    edits.push({ key: `${at}.${key}`, value: tomlValue(value) });
  };
  if (command !== null) {
    const [program, ...args] = command;
    put("command", program);
    put("args", args);
  }
  if (url !== null) put("url", url);
  if (cwd !== null) put("cwd", cwd);
  if (group !== null) put("group", group);
  if (enabled !== null) put("enabled", enabled);
  for (const [variable, value] of env) put(`env.${tomlKey(variable)}`, value);
  for (const [header, value] of headers) put(`headers.${tomlKey(header)}`, value);
  for (const [key, value] of set) edits.push({ key: `${at}.${key}`, value });
  return edits;
}

export interface TypedSecret {
  readonly table: "env" | "headers";
  readonly key: string;
  readonly value: string;
}

/** The values of variables and headers that seem to be secrets. */
export function typedSecrets(
  name: string,
  { env, headers }: Pick<BackendInput, "env" | "headers">,
): readonly TypedSecret[] {
  const ofTable = (table: "env" | "headers", texts: ReadonlyMap<string, string>): TypedSecret[] =>
    [...texts].flatMap(([key, text]) => {
      const reading = parseSecretText(text);
      if (!reading.ok) return [];
      return literalSecrets([{ name, connection: connectionWith(table, key, reading.value) }]).map(
        ({ value }) => ({
          table,
          key,
          value,
        }),
      );
    });
  return [...ofTable("env", env), ...ofTable("headers", headers)];
}

function connectionWith(
  table: "env" | "headers",
  key: string,
  text: SecretText,
): BackendConfig["connection"] {
  return table === "env"
    ? { type: "stdio", command: "", args: [], env: { [key]: text }, cwd: "/" }
    : { type: "streamable-http", url: "http://localhost/", headers: { [key]: text } };
}

/** The parts of a command line or address that seem to be secrets, and that other users of the machine can read. */
export function openSecretsIn(
  name: string,
  { command, url }: { readonly command: readonly string[] | null; readonly url: string | null },
): ReturnType<typeof literalSecrets> {
  const [program = "", ...args] = command ?? [];
  const connection: BackendConfig["connection"] =
    url === null
      ? { type: "stdio", command: program, args, env: {}, cwd: "/" }
      : { type: "streamable-http", url, headers: {} };
  return literalSecrets([{ name, connection }]);
}

/** The same with references in place of all that seems to be a secret, and what is to be kept for them. */
export function withStoredSecrets(name: string, typed: BackendInput, isTaken: (name: string) => boolean) {
  const secrets = new Map<string, string>();
  const stored = (label: string, text: string, value: string): string => {
    const known = [...secrets].find(([, one]) => one === value)?.[0];
    const secret = known ?? freeSecretName(`${name}-${label}`, (one) => isTaken(one) || secrets.has(one));
    secrets.set(secret, value);
    return text.replace(value, () => `\${secret:${secret}}`);
  };
  const tables = { env: new Map(typed.env), headers: new Map(typed.headers) };
  for (const { table, key, value } of typedSecrets(name, typed))
    tables[table].set(key, stored(key, tables[table].get(key) ?? "", value));
  let { url } = typed;
  const [program, ...args] = typed.command ?? [];
  for (const { path, value } of openSecretsIn(name, typed)) {
    const [, , key, index = 0] = path;
    const argument = args[Number(index)] ?? "";
    const before = argument.startsWith("-") ? argument : (args[Number(index) - 1] ?? "");
    const option = /^--?([A-Za-z][\w-]*)/.exec(before)?.[1] ?? "secret";
    if (key === "args") args[Number(index)] = stored(option, argument, value);
    else if (key === "url" && url !== null) url = stored("address", url, value);
  }
  const command = program === undefined ? null : ([program, ...args] as const);
  return { typed: { ...typed, ...tables, url, command } satisfies BackendInput, secrets };
}

/**
 * Splits a line into words as a shell does, but expands nothing: no variables, no `~`, no patterns. Throws
 * `usage` for a quote that is not closed.
 */
export function splitArgs(line: string): string[] {
  const args: string[] = [];
  let arg: string | null = null;
  let quote: string | null = null;
  for (let at = 0; at < line.length; at++) {
    const character = line.charAt(at);
    const next = line.charAt(at + 1);
    if (quote === "'") {
      if (character === "'") quote = null;
      else arg = (arg ?? "") + character;
    } else if (character === "\\" && next !== "" && (quote === null || /["\\]/.test(next))) {
      arg = (arg ?? "") + next;
      at++;
    } else if (quote !== null) {
      if (character === quote) quote = null;
      else arg = (arg ?? "") + character;
    } else if (character === "'" || character === '"') {
      quote = character;
      arg ??= "";
    } else if (/\s/.test(character)) {
      if (arg !== null) args.push(arg);
      arg = null;
    } else arg = (arg ?? "") + character;
  }
  if (quote !== null) throw new MountaineerError("usage", `the command line has an open ${quote}`);
  if (arg !== null) args.push(arg);
  return args;
}
