// Turns a server of a client into the section of a backend, with references instead of its secrets.

import { resolve } from "node:path";
import type { ConfigTable } from "../config/edit/edit-value.ts";
import { literalSecrets } from "../config/literal-secrets.ts";
import { freeSecretName } from "../config/secret-names.ts";
import {
  HIDDEN,
  hiddenIn,
  isSecretName,
  shownArguments,
  shownCommand,
  shownText,
  shownUrl,
} from "../config/shown-values.ts";
import type { BackendConfig } from "../config/snapshot.ts";
import { isCredentialHeader } from "../config/values/backend-names.ts";
import { escaped, parseSecretText, storedParts } from "../config/values/secret-text.ts";
import { sha256Of } from "../runtime/files/sha256.ts";
import { isObject, type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import { VARIABLE_NAME_FORM } from "../runtime/text/name-forms.ts";
import { trimEnd } from "../runtime/text/trim-end.ts";
import { type ForeignServer, readForeignEntry } from "./entry-keys.ts";
import { createTextReader, isVariableNamed, type TextReader, type TextSurroundings } from "./entry-texts.ts";

export interface ImportedServer {
  readonly name: string;
  readonly table: ConfigTable;
  /** Secrets from the file, by the names under which they are to be kept. Never shown. */
  readonly secrets: ReadonlyMap<string, string>;
  /** Names of secrets that the user still has to set. */
  readonly wanted: readonly string[];
  /** The settings of the client's entry that the import could not use, one line each, without secrets. */
  readonly unusedSettings: readonly string[];
  /** What the import did to the entry, or left to the user, that decides whether the server works; one line each. */
  readonly remarks: readonly string[];
  /** Why the backend is imported as disabled; null: there is no such reason. */
  readonly problem: string | null;
}

export interface ImportOptions extends TextSurroundings {
  /** Whether the client starts its programs in `project`. If not, `project` is only the folder of the file. */
  readonly startsThere: boolean;
  /** Names that its secrets cannot have. */
  readonly taken: ReadonlySet<string>;
  /** The variables in the file that the entry names; null: it names none that can be read. */
  readonly variables?: Readonly<Record<string, string>> | null;
}

const WINDOWS_PATH = /^[A-Za-z]:[\\/]|^%[A-Za-z]+%/;
/** The scheme of an Authorization header, before its secret. */
const SCHEME = /^(?:bearer|basic|token|apikey) +/i;
/** Keys that change what a server does. If the value of one is not understood, the backend is imported disabled. */
const DECISIVE =
  "args cwd env environment envs env_vars env_keys headers http_headers enabled disabled active isActive quarantined apiKey auth_value".split(
    " ",
  );
/** Ignored keys that a server may need, with the remark for the person: why the key is ignored, or what to do. */
const REMARKED: Readonly<Record<string, string>> = {
  envFile: "is not read: put its variables into env",
  headersHelper: "is never run: put its headers into headers",
  url: "is not used: it has a command",
  command: "is not used: its type needs an address",
};
const LONGEST_NAME = 64;
const LONGEST_LINE = 200;

/** Converts a client's entry to a backend; null if the entry has neither a program nor an address. */
export function importedServer(
  name: string,
  entry: JsonMembers,
  options: ImportOptions,
): ImportedServer | null {
  const remarks: string[] = [];
  const server = withoutProxy(withoutWrapper(readForeignEntry(entry), (line) => remarks.push(line)));
  const { command, url, settings } = server;
  const { envFile, ...others } = server.unknown;
  const unknown = options.variables ? others : server.unknown;
  if (options.variables)
    remarks.push(`the variables of its envFile ${String(envFile)} are stored as secrets`);
  if (command === null && url === null) return null;
  if (isOtherScript(name)) remarks.push(`it is called ${name} there`);
  const reading = new ServerReading(backendName(name), options);
  const connection = command === null ? reading.address(url ?? "") : reading.program(command, server);
  // A token in a header is the other way to sign in.
  const hasToken = Object.keys(server.headers).some(isCredentialHeader);
  const texts =
    command === null
      ? { ...reading.texts("headers", server.headers), ...(hasToken ? {} : reading.signIn(server.signIn)) }
      : reading.variables(server);
  const [problem = null] = [
    ...reading.problems,
    ...[...reading.unset].map((variable) => `the variable ${variable} is not set here`),
    ...DECISIVE.filter((key) => isGiven(unknown[key])).map((key) => `its ${key} is not understood`),
  ];
  remarks.push(...writtenOut(texts));
  const isEnabled = server.enabled && problem === null;
  if (command === null && !hasToken && server.signIn.id !== null)
    remarks.push("its client id must allow the address http://127.0.0.1/callback");
  for (const [key, line] of Object.entries(REMARKED))
    if (isGiven(unknown[key]) && unknown[key] !== false) remarks.push(`its ${key} ${line}`);
  return {
    name: reading.name,
    table: { ...connection, ...(isEnabled ? {} : { enabled: false }), ...settings, ...texts },
    secrets: reading.secrets,
    wanted: [...reading.wanted],
    unusedSettings: Object.entries(unknown).map(([key, value]) => unusedLine(key, value)),
    remarks,
    problem,
  };
}

/** A line for each value that is called a secret, but is too short or plain to be taken for one. */
function writtenOut(texts: ConfigTable): readonly string[] {
  const values = Object.entries({ ...objectOf(texts["env"]), ...objectOf(texts["headers"]) });
  return values.flatMap(([key, value]) =>
    isSecretName(key) &&
    typeof value === "string" &&
    value !== "" &&
    value !== HIDDEN &&
    !/\$[{(]|^secret:/.test(value)
      ? [`its ${key} stays written out in the file, as it does not look like a secret`]
      : [],
  );
}

/** All secrets written out in an entry. The caller must not show them. */
export function entrySecrets(entry: JsonMembers): readonly string[] {
  const { command, args, env, url, headers } = readForeignEntry(entry);
  const given = Object.fromEntries(
    Object.entries(env).map(([key, text]) => [key, text === null ? [] : [text]]),
  );
  const sent = Object.fromEntries(Object.entries(headers).map(([key, text]) => [key, [text]]));
  const found = [
    ...secretsIn({ type: "stdio", command: command ?? "", args, env: given, cwd: "/" }),
    ...secretsIn({ type: "streamable-http", url: url ?? "", headers: sent }),
  ];
  return found.filter((secret) => !isVariableNamed(secret));
}

function secretsIn(connection: BackendConfig["connection"]): readonly string[] {
  return literalSecrets([{ name: "server", connection }]).map(({ value }) => value);
}

function isSecretValue(value: string): boolean {
  return secretsIn({ type: "stdio", command: "", args: ["--token", value], env: {}, cwd: "/" }).length > 0;
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "";
}

/** Reads the texts of one server, and gathers its secrets and problems. */
class ServerReading {
  readonly name: string;
  /** Secrets from the entry, by their new names. */
  readonly secrets = new Map<string, string>();
  readonly wanted = new Set<string>();
  readonly problems: string[] = [];
  readonly unset = new Set<string>();
  readonly #options: ImportOptions;
  readonly #reader: TextReader;
  /** The names of the secrets that stand for an input or an unset variable, by the id of the input or variable. */
  readonly #inputs = new Map<string, string>();

  constructor(name: string, options: ImportOptions) {
    this.name = name;
    this.#options = options;
    this.#reader = createTextReader(options, (from, id, value) => {
      if (from === "variable" && value === null) this.unset.add(id);
      const secret = this.#inputs.get(id) ?? this.#newName(id);
      this.#inputs.set(id, secret);
      if (value !== null) this.secrets.set(secret, value);
      return secret;
    });
  }

  program(given: string, { args, cwd: givenCwd, env }: ForeignServer): ConfigTable {
    const { project, startsThere } = this.#options;
    const program = this.#plain(given, false);
    const plainArgs = args.map((arg) => this.#plain(arg, true));
    const isOfWindows = WINDOWS_PATH.test(givenCwd ?? "");
    if (isOfWindows) this.problems.push(`its cwd is a path of Windows: ${givenCwd}`);
    else if ([program, ...plainArgs].some((arg) => WINDOWS_PATH.test(arg)))
      this.problems.push("it has a path of Windows");
    const folder = givenCwd === null || isOfWindows ? null : this.#plain(givenCwd, false);
    const start = folder ?? (needsFolder(program, [...plainArgs, ...pathsIn(env)], startsThere) ? "." : null);
    const cwd = project === null || start === null ? folder : resolve(project, start);
    if (cwd !== null && /^[^/~$]/.test(cwd))
      this.problems.push(`its cwd ${cwd} is relative, and the file does not say to which folder`);
    const isRelative = /^[^/~]+\//.test(program) && !WINDOWS_PATH.test(program);
    const command = isRelative && cwd !== null ? resolve(cwd, program) : program;
    const secrets = secretsIn({ type: "stdio", command, args: [], env: {}, cwd: "/" });
    if (secrets.length > 0) this.problems.push("its command holds a secret, which is left out");
    const shown = shownArguments(command, plainArgs, "log");
    const written = plainArgs.map((arg, index) =>
      this.#moved(arg, shown[index] ?? "", keyAt(plainArgs, index)),
    );
    return {
      command: secrets.length > 0 ? shownCommand(command, "log") : command,
      ...(written.length === 0 ? {} : { args: written }),
      ...(cwd === null ? {} : { cwd }),
    };
  }

  address(given: string): ConfigTable {
    const url = this.#plain(given, true);
    const scheme = /^(?!https?:)([a-z][a-z\d+.-]*:\/\/)/i.exec(url)?.[1];
    if (scheme !== undefined)
      this.problems.unshift(`its address begins with ${scheme}; servers are reached by http:// or https://`);
    if (!/^https?:\/\/[^/?#]*\$\{|^\$\{/i.test(url))
      return { url: this.#moved(url, shownUrl(url, "log"), "url") };
    const shown = shownUrl(given, "log");
    this.problems.unshift(`its address is ${shown}`);
    return { url: shown };
  }

  /**
   * Moves the hidden parts of an argument or address into secrets, and returns the text with references in their places.
   * In a single word, everything from the first hidden part to the last becomes one secret.
   */
  #moved(text: string, shown: string, key: string): string {
    const around = shown.split(HIDDEN);
    const [before = ""] = around;
    const after = around.at(-1) ?? "";
    const isOne = !/[\s;|]|&&/.test(shown);
    const values = isOne ? [text.slice(before.length, text.length - after.length)] : hiddenIn(text, shown);
    const texts = isOne ? [before, after] : around;
    if (around.length === 1 || !values.some(isSecretValue)) return text;
    const isWhole = text === texts.map((part, index) => part + (values[index] ?? "")).join("");
    if (!isWhole || text.includes(HIDDEN) || values.some((value) => storedParts(value).length !== 1)) {
      this.problems.push("a value mixes a secret with a placeholder; it is left out");
      return shown;
    }
    const stored = values.map((value) =>
      isSecretValue(value) ? `\${secret:${this.#keep(key, value)}}` : value,
    );
    return texts.map((part, index) => part + (stored[index] ?? "")).join("");
  }

  /** The variables of a program, after those of the file that its entry names. */
  variables({ env }: ForeignServer): ConfigTable {
    const named = Object.entries(this.#options.variables ?? {}).filter(([name]) => !Object.hasOwn(env, name));
    const stored = named.map(
      ([name, value]) => [name, value && `secret:${this.#keep(name, value)}`] as const,
    );
    const texts = { ...Object.fromEntries(stored), ...objectOf(this.texts("env", env)["env"]) };
    return Object.keys(texts).length === 0 ? {} : { env: texts as ConfigTable };
  }

  /** How to sign in at the address. The secret is a reference, as it is in a variable. */
  signIn({ id, secret, others }: ForeignServer["signIn"]): ConfigTable {
    const clients = {
      ...(id === null ? {} : { client_id: this.#plain(id, false) }),
      ...(secret === null ? {} : (this.texts("env", { client_secret: secret })["env"] as ConfigTable)),
      ...others,
    };
    return Object.keys(clients).length === 0 ? {} : { auth: clients };
  }

  /** The variables or headers, with a reference instead of each secret that is written out. */
  texts(key: "env" | "headers", given: Readonly<Record<string, string | null>>): ConfigTable {
    const texts = Object.entries(given).map(([name, text]) => {
      const written = text ?? `\${${name}}`;
      const meaning = this.#reader.reference(written);
      const taken = this.#take(meaning);
      if (meaning.problem === null) return [name, this.#withReferences(key, name, taken)] as const;
      // A lone placeholder is not a secret, but the text around a placeholder may be.
      return [name, /^\$?\{+[^{}]*\}+$/.test(written) ? taken : HIDDEN] as const;
    });
    return texts.length === 0 ? {} : { [key]: Object.fromEntries(texts) };
  }

  #withReferences(key: "env" | "headers", name: string, text: string): string {
    const reading = parseSecretText(text);
    if (!reading.ok) return text;
    const found = secretsIn(
      key === "env"
        ? { type: "stdio", command: "", args: [], env: { [name]: reading.value }, cwd: "/" }
        : { type: "streamable-http", url: "http://localhost/", headers: { [name]: reading.value } },
    );
    let referring = text;
    for (const literal of found) {
      const value = literal.replace(SCHEME, "");
      const secret = this.#keep(name, value);
      referring = referring.replace(escaped(value), () => `\${secret:${secret}}`);
    }
    return referring.replace(/^\$\{(secret:[^{}]+)\}$/, "$1");
  }

  /** Keeps a secret, and returns its name. */
  #keep(key: string, value: string): string {
    const secret = this.#newName(key);
    this.secrets.set(secret, value);
    return secret;
  }

  /** A name that is not taken, because an existing secret belongs to another server. */
  #newName(key: string): string {
    const { taken } = this.#options;
    return freeSecretName(
      `${this.name}-${key}`,
      (name) => this.secrets.has(name) || taken.has(name) || [...this.#inputs.values()].includes(name),
    );
  }

  #plain(text: string, mayRefer: boolean): string {
    return this.#take(this.#reader.plain(text, mayRefer));
  }

  #take({ text, wanted, problem }: ReturnType<TextReader["plain"]>): string {
    for (const secret of wanted) this.wanted.add(secret);
    if (problem !== null) this.problems.push(problem);
    return text;
  }
}

/** Programs that start a package by name, whatever the working folder. */
const PACKAGE_RUNNER = /^(?:npx|bunx|pnpx|uvx)$/;

/** Whether a program depends on the folder in which it is started. */
function needsFolder(command: string, args: readonly string[], startsThere: boolean): boolean {
  const isRunner = PACKAGE_RUNNER.test(command);
  if (startsThere && !isRunner) return true;
  const operands = args.map((arg) => arg.replace(/^-[^=]*=?/, "")).filter((arg) => arg !== "");
  return (isRunner ? operands.slice(1) : [command, ...operands]).some(
    (arg) => /[./]/.test(arg) && !/^(?:[/@~]|\d[\d.]*$|[\w+.-]+:\/\/)/.test(arg),
  );
}

/** The values of variables that are paths in the folder. */
function pathsIn(env: ForeignServer["env"]): readonly string[] {
  return Object.values(env).flatMap((text) => (/^\.{1,2}(?:\/|$)/.test(text ?? "") ? [text ?? ""] : []));
}

/** What a secret among the arguments is named after: its option or variable. */
function keyAt(args: readonly string[], index: number): string {
  const [, name = ""] = /^-*([A-Za-z_][\w.-]*)=/.exec(args[index] ?? "") ?? [];
  const [, option = ""] = /^-+([A-Za-z][\w-]*)$/.exec(args[index - 1] ?? "") ?? [];
  return name || option || "argument";
}

const WINDOWS_END = /\.(?:cmd|exe|bat)$/i;

/** Removes wrappers that start a program only on Windows: `cmd /c`, `wsl`, `.cmd`. `report`: what was done. */
function withoutWrapper(server: ForeignServer, report: (line: string) => void): ForeignServer {
  const { command, args } = server;
  if (command === null) return server;
  const name = command.replace(WINDOWS_END, "");
  const [option = "", program, ...rest] = args;
  if (/^cmd$/i.test(name) && /^\/c$/i.test(option) && program !== undefined) {
    report("started without cmd /c");
    return withoutWrapper({ ...server, command: program, args: rest }, report);
  }
  if (/^wsl$/i.test(name)) {
    let { cwd } = server;
    let at = 0;
    for (; /^(?:-d|--distribution|--cd)$/.test(args[at] ?? ""); at += 2)
      if (args[at] === "--cd") cwd = args[at + 1] ?? cwd;
    if (/^(?:--|-e|--exec)$/.test(args[at] ?? "")) at++;
    const inner = args[at];
    if (inner === undefined || inner.startsWith("-")) return server;
    report("started without wsl: it must be on this machine");
    return { ...server, command: inner, args: args.slice(at + 1), cwd };
  }
  if (name !== command && !/[\\/]/.test(command)) {
    report(`${command} is ${name} here`);
    return { ...server, command: name };
  }
  if (args.length === 0 && !command.includes("\\") && /[&|;<>'"]/.test(command) && /\s/.test(command)) {
    report("its command is run by a shell");
    return { ...server, command: "sh", args: ["-c", command] };
  }
  if (!/^[\w@.-][^'"\\]*\s/.test(command)) return server;
  const [first = "", ...others] = command.trim().split(/\s+/);
  report("its command was split into words");
  return { ...server, command: first, args: [...others, ...args] };
}

const DIGEST_LENGTH = 4;

/** The backend's name for a server's name. A name in another script ends in a digest, so that it stays unique. */
export function backendName(name: string): string {
  const split = name.normalize("NFKD").replace(/\p{M}+/gu, "");
  const plain = trimEnd(split.replace(/[^A-Za-z0-9_-]+/g, "-").replace(/^[-_]+/, ""), "-_");
  const named = (/^[A-Za-z]/.test(plain) ? plain : `mcp-${plain}`).slice(0, LONGEST_NAME);
  if (!isOtherScript(name)) return trimEnd(named, "-_");
  const digest = sha256Of(name).slice(0, DIGEST_LENGTH);
  return `${trimEnd(named.slice(0, LONGEST_NAME - 1 - DIGEST_LENGTH), "-_")}-${digest}`;
}

/** True if the name has letters or digits that a backend's name cannot have. */
function isOtherScript(name: string): boolean {
  return /(?![A-Za-z0-9])[\p{L}\p{N}]/u.test(name.normalize("NFKD"));
}

function unusedLine(key: string, value: unknown): string {
  const shown = JSON.stringify(withoutSecrets(key, value)) ?? "";
  return `${key} = ${shown.length > LONGEST_LINE ? `${shown.slice(0, LONGEST_LINE)}…` : shown}`;
}

function withoutSecrets(key: string, value: unknown): unknown {
  if (typeof value === "string") return isSecretName(key) ? HIDDEN : shownText(value, "log");
  if (Array.isArray(value)) return value.map((one) => withoutSecrets(key, one));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, withoutSecrets(name, one)]));
}

// `npx mcp-remote ADDRESS` is a program that connects to an address. The imported backend connects to the address
// itself instead.
const RUNNER = /(?:^|[\\/])(?:npx|bunx|pnpx)(?:\.cmd)?$/i;
const PACKAGE = /^mcp-remote(?:@[\w.-]+)?$/;
const VARIABLE = new RegExp(`\\$\\{(${VARIABLE_NAME_FORM})\\}`, "g");
/** Options of mcp-remote without an effect on requests to the server. */
const IGNORED_FLAGS = new Set(["--debug", "--silent", "--allow-http"]);

/**
 * Replaces `mcp-remote` by the address that it connects to. Changes nothing if one of its arguments has no
 * counterpart in a backend.
 */
function withoutProxy(server: ForeignServer): ForeignServer {
  const { command, args, env } = server;
  if (command === null || !RUNNER.test(command)) return server;
  const ownArgs = args.filter((arg, index) => !(arg === "-y" || arg === "--yes") || index > 0);
  const [program = "", url = "", ...options] = ownArgs;
  if (!PACKAGE.test(program) || !/^https?:\/\//.test(url)) return server;
  const headers: Record<string, string> = {};
  for (let index = 0; index < options.length; index++) {
    const option = options[index] ?? "";
    const value = options[index + 1] ?? "";
    if (IGNORED_FLAGS.has(option)) continue;
    index++;
    if (option === "--transport" && /^(?:http|sse)/.test(value)) continue;
    const [, name, content] = option === "--header" ? (/^([^:\s]+)\s*:\s*(.*)$/s.exec(value) ?? []) : [];
    if (name === undefined || content === undefined) return server;
    headers[name] = content.replace(VARIABLE, (written, variable: string) => env[variable] ?? written);
  }
  return { ...server, command: null, args: [], url, env: {}, headers };
}
