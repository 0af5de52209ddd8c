// The options that say what a backend is, and what they mean as keys of its section.
import { isAbsolute, resolve } from "node:path";
import { tomlKey, tomlValue } from "../../config/edit/toml-value.ts";
import { parseBackendName } from "../../config/values/backend-names.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { Given } from "./command.ts";

/** The typed parts of a backend, as the file would hold them; null or empty: not given. */
export interface TypedBackend {
  /** The program and its arguments. */
  readonly command: readonly [program: string, ...args: string[]] | null;
  readonly url: string | null;
  readonly env: ReadonlyMap<string, string>;
  readonly headers: ReadonlyMap<string, string>;
  readonly cwd: string | null;
  readonly group: string | null;
  readonly enabled: boolean | null;
  /** `timeouts.init`, and the value as `config set` takes it. */
  readonly set: ReadonlyMap<string, string>;
}

export const BACKEND_OPTIONS = {
  "--url <address>": "a server that is elsewhere, in place of a program",
  "-t, --transport <kind>": "stdio, or http for an address; it is known by what is given",
  "-e, --env <KEY=value>": {
    about:
      "a variable of the program: text, ${VARIABLE} or secret:NAME; KEY alone is ${KEY}; may be given again",
    isList: true,
  },
  "-H, --header <'Name: value'>": {
    about: "a header of each request, likewise; may be given again",
    isList: true,
  },
  "--cwd <folder>": "the folder that the program is started in",
  "--group <name>": "a name under which several are shown together",
  "--set <key=value>": { about: "any other key, as in timeouts.init=60; may be given again", isList: true },
  "--allow-literal": "write values that look like secrets into the file all the same",
} as const;

/** Rejects with `usage`. `words` are those behind the name: a program with its arguments, or an address. */
export function readBackendOptions(
  given: Given<typeof BACKEND_OPTIONS> & { readonly disabled?: boolean },
  words: readonly string[],
): TypedBackend {
  const { transport, cwd, group, disabled = false } = given;
  const [first, ...rest] = words;
  const isAddress = first !== undefined && /^https?:\/\//i.test(first) && rest.length === 0;
  if (given.url !== null && first !== undefined) {
    throw usage("a backend is a program or an address, and both were given", "leave one of them out");
  }
  const url = given.url ?? (isAddress ? first : null);
  const command: TypedBackend["command"] = first === undefined || isAddress ? null : [first, ...rest];
  requireTransport(transport, url, command);
  return {
    command,
    url,
    env: new Map(given.env.map(variableOf)),
    headers: new Map(given.header.map(headerOf)),
    // What a person types is relative to where they stand; a daemon stands elsewhere.
    cwd: cwd === null || isAbsolute(cwd) || /^~(\/|$)/.test(cwd) ? cwd : resolve(cwd),
    group,
    enabled: disabled ? false : null,
    set: new Map(given.set.map(settingOf)),
  };
}

function requireTransport(kind: string | null, url: string | null, command: TypedBackend["command"]): void {
  if (kind === null) return;
  const isHttp = kind === "http" || kind === "streamable-http";
  if (!isHttp && kind !== "stdio") {
    throw usage(`--transport ${kind} is not known`, "it is stdio or http");
  }
  if (isHttp && command !== null) throw usage("--transport http needs an address", "--url https://…");
  if (!isHttp && url !== null) throw usage("--transport stdio needs a program", "give it after --");
}

/** The edits that write it into the section of this backend, in the file's usual order. */
export function backendEdits(
  name: string,
  typed: TypedBackend,
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

/** Rejects with `usage` a name that no backend can have. */
export function readBackendName(text: string): string {
  const reading = parseBackendName(text);
  if (reading.ok) return reading.value;
  const { expected, hint } = reading;
  throw usage(`${JSON.stringify(text)} is no name for a backend: expected ${expected}`, hint);
}

function variableOf(text: string): readonly [string, string] {
  const at = text.indexOf("=");
  if (at === -1) return [text, `\${${text}}`];
  return [text.slice(0, at), text.slice(at + 1)];
}

function headerOf(text: string): readonly [string, string] {
  const [, name = "", value = ""] = /^([^:=\s]+)\s*[:=]\s*(.*)$/s.exec(text) ?? [];
  // The text is not quoted, because it may be a secret.
  if (name === "") throw usage("a --header is not understood", "write it as --header 'Name: value'");
  return [name, value];
}

function settingOf(text: string): readonly [string, string] {
  const at = text.indexOf("=");
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw usage("a --set is not understood", "write it as --set timeouts.init=60");
}

function usage(message: string, hint: string | null): MountaineerError {
  return new MountaineerError("usage", message, hint === null ? {} : { hint });
}
