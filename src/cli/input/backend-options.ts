// The options of `backends add` and `backends edit`, and the keys of the configuration that they set.
import { isAbsolute, resolve } from "node:path";
import type { BackendInput } from "../../config/edit/new-backend.ts";
import { parseBackendName } from "../../config/values/backend-names.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { ParsedInput } from "./command.ts";

export const BACKEND_OPTIONS = {
  "--url <address>": "the address of a remote server, instead of a program",
  "-t, --transport <kind>": "stdio, or http for an address; default: as it looks",
  "-e, --env <KEY=value>": {
    about: "a variable: text, ${VARIABLE} or secret:NAME; only KEY means ${KEY}; repeatable",
    isList: true,
  },
  "-H, --header <'Name: value'>": {
    about: "a header of each request, likewise; repeatable",
    isList: true,
  },
  "--cwd <folder>": "the program's working folder",
  "--group <name>": "the group to list it in",
  "--set <key=value>": { about: "any other key, as in timeouts.init=60; repeatable", isList: true },
  "--allow-literal": "write values that look like secrets as plain text",
} as const;

/**
 * Reads the options. `args`: the arguments after the server's name, either a program with its arguments or
 * an address. Throws `usage`.
 */
export function readBackendOptions(
  given: ParsedInput<typeof BACKEND_OPTIONS> & { readonly disabled?: boolean },
  args: readonly string[],
): BackendInput {
  const { transport, cwd, group, disabled = false } = given;
  const [first, ...rest] = args;
  const isAddress = first !== undefined && /^https?:\/\//i.test(first) && rest.length === 0;
  if (given.url !== null && first !== undefined) {
    throw usage("a server is a program or an address, and both were given", "give only one");
  }
  const url = given.url ?? (isAddress ? first : null);
  const command: BackendInput["command"] = first === undefined || isAddress ? null : [first, ...rest];
  requireTransport(transport, url, command);
  return {
    command,
    url,
    env: new Map(given.env.map(variableOf)),
    headers: new Map(given.header.map(headerOf)),
    // A typed path is relative to this process's working folder, which a daemon does not share.
    cwd: cwd === null || isAbsolute(cwd) || /^~(\/|$)/.test(cwd) ? cwd : resolve(cwd),
    group,
    enabled: disabled ? false : null,
    set: new Map(given.set.map(settingOf)),
  };
}

function requireTransport(kind: string | null, url: string | null, command: BackendInput["command"]): void {
  if (kind === null) return;
  const isHttp = kind === "http" || kind === "streamable-http";
  if (!isHttp && kind !== "stdio") {
    throw usage(`--transport ${kind} is not known`, "it is stdio or http");
  }
  if (isHttp && command !== null) throw usage("--transport http needs an address", "--url https://…");
  if (!isHttp && url !== null) throw usage("--transport stdio needs a program", "give it after --");
}

/** Throws `usage` for an invalid name. */
export function readBackendName(text: string): string {
  const reading = parseBackendName(text);
  if (reading.ok) return reading.value;
  const { expected, hint } = reading;
  throw usage(`${JSON.stringify(text)} cannot name a server: expected ${expected}`, hint);
}

function variableOf(text: string): readonly [string, string] {
  const at = text.indexOf("=");
  if (at === -1) return [text, `\${${text}}`];
  return [text.slice(0, at), text.slice(at + 1)];
}

function headerOf(text: string): readonly [string, string] {
  const [, name = "", value = ""] = /^([^:=\s]+)\s*[:=]\s*(.*)$/s.exec(text) ?? [];
  // The message does not show the text, which may be a secret.
  if (name === "") throw usage("a --header is not understood", "write it as --header 'Name: value'");
  return [name, value];
}

function settingOf(text: string): readonly [string, string] {
  const at = text.indexOf("=");
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw usage("a --set is not understood", "write it as --set timeouts.init=60");
}

function usage(message: string, hint: string | null): MountaineerError {
  return new MountaineerError("usage", message, { hint });
}
