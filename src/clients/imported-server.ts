// Turns a server of a client into the section of a backend, with references instead of its secrets.
import type { ConfigTable } from "../config/edit/edit-value.ts";
import { literalSecrets } from "../config/literal-secrets.ts";
import { freeSecretName } from "../config/secret-names.ts";
import { HIDDEN, isSecretName, shownArguments, shownText, shownUrl } from "../config/shown-values.ts";
import type { BackendConfig } from "../config/snapshot.ts";
import { escaped, parseSecretText } from "../config/values/secret-text.ts";
import { isObject, type JsonMembers } from "../runtime/text/json-object.ts";
import { VARIABLE_NAME_FORM } from "../runtime/text/name-forms.ts";
import type { ClientSurroundings } from "./client.ts";
import { type ForeignServer, readForeignEntry } from "./entry-keys.ts";
import { createTextReader, type TextReader } from "./entry-texts.ts";

export interface ImportedServer {
  /** A valid name of a backend. */
  readonly name: string;
  readonly table: ConfigTable;
  /** Secrets from the file, by the names under which they are to be kept. Never shown. */
  readonly secrets: ReadonlyMap<string, string>;
  /** Names of secrets that the user still has to set. */
  readonly wanted: readonly string[];
  /** Settings that a backend does not have, one line each, without secrets. */
  readonly leftOver: readonly string[];
  /** Why the backend is imported disabled; null: for no problem. */
  readonly problem: string | null;
}

export interface ImportOptions extends Pick<ClientSurroundings, "userHome" | "environment"> {
  /** Secrets in arguments and addresses may be written to the configuration. */
  readonly allowLiteral: boolean;
  /** Names of the secrets that exist. */
  readonly kept: ReadonlySet<string>;
}

const WINDOWS_PATH = /^[A-Za-z]:[\\/]|^%[A-Za-z]+%/;
/** The scheme of an Authorization header, before its secret. */
const SCHEME = /^(?:bearer|basic|token|apikey) +/i;
/** Keys that change what a server does; a value that was not understood is a problem. */
const DECISIVE = [
  "args",
  "cwd",
  "env",
  "env_vars",
  "headers",
  "http_headers",
  "enabled",
  "disabled",
] as const;
const LONGEST_NAME = 64;
const LONGEST_LINE = 200;

/** null: the entry has neither a program nor an address. */
export function importedServer(
  name: string,
  entry: JsonMembers,
  options: ImportOptions,
): ImportedServer | null {
  const server = withoutShell(withoutProxy(readForeignEntry(entry)));
  if (server.command === null && server.url === null) return null;
  const ownName = backendName(name);
  const secrets = new Map<string, string>();
  const inputs = new Map<string, string>();
  const isTaken = (one: string): boolean =>
    secrets.has(one) || options.kept.has(one) || [...inputs.values()].includes(one);
  const unset = new Set<string>();
  const reader = createTextReader(options, (from, id) => {
    if (from === "variable") unset.add(id);
    // An existing secret belongs to another server, so the name must be unused.
    const secret = inputs.get(id) ?? freeSecretName(`${ownName}-${id}`, isTaken);
    inputs.set(id, secret);
    return secret;
  });
  const wanted: string[] = [];
  const problems: string[] = [];
  const plain = (text: string): string => take(reader.plain(text), wanted, problems);
  const connection =
    server.command === null
      ? addressed(server.url ?? "", plain, options, problems)
      : started(server.command, server, plain, options, problems);
  const texts = referenced(ownName, server, { reader, wanted, problems, secrets, isTaken });
  problems.push(...[...unset].map((variable) => `the variable ${variable} is not set here`));
  problems.push(
    ...DECISIVE.filter((key) => isGiven(server.unknown[key])).map((key) => `its ${key} is not understood`),
  );
  const [problem = null] = problems;
  const isEnabled = server.enabled && problem === null;
  return {
    name: ownName,
    table: { ...connection, ...(isEnabled ? {} : { enabled: false }), ...server.settings, ...texts },
    secrets,
    wanted: [...new Set(wanted)],
    leftOver: Object.entries(server.unknown).map(([key, value]) => leftOverLine(key, value)),
    problem,
  };
}

/** All secrets written out in an entry. The caller must not show them. */
export function entrySecrets(entry: JsonMembers): readonly string[] {
  const { command, args, env, url, headers } = readForeignEntry(entry);
  const given = Object.fromEntries(
    Object.entries(env).map(([key, text]) => [key, text === null ? [] : [text]]),
  );
  const sent = Object.fromEntries(Object.entries(headers).map(([key, text]) => [key, [text]]));
  const connections: BackendConfig["connection"][] = [
    { type: "stdio", command: command ?? "", args, env: given, cwd: "/" },
    { type: "streamable-http", url: url ?? "", headers: sent },
  ];
  return connections
    .flatMap((connection) => literalSecrets([{ name: "server", connection }]))
    .map(({ value }) => value);
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "";
}

function take(meaning: ReturnType<TextReader["plain"]>, wanted: string[], problems: string[]): string {
  wanted.push(...meaning.wanted);
  if (meaning.problem !== null) problems.push(meaning.problem);
  return meaning.text;
}

type Plain = (text: string) => string;

function started(
  given: string,
  { args, cwd }: ForeignServer,
  plain: Plain,
  { allowLiteral }: ImportOptions,
  problems: string[],
): ConfigTable {
  const command = plain(given);
  const words = args.map(plain);
  if ([command, ...words].some((word) => WINDOWS_PATH.test(word))) problems.push("it has a path of Windows");
  const holdsSecret = hasSecret({ type: "stdio", command, args: words, env: {}, cwd: "/" });
  if (holdsSecret && !allowLiteral) {
    problems.push("an argument holds a secret, which is left out: --allow-literal writes it as it is");
  }
  const shown = holdsSecret && !allowLiteral ? shownArguments(command, words, "log") : words;
  return {
    command,
    ...(shown.length === 0 ? {} : { args: [...shown] }),
    ...(cwd === null ? {} : { cwd: plain(cwd) }),
  };
}

function addressed(
  given: string,
  plain: Plain,
  { allowLiteral }: ImportOptions,
  problems: string[],
): ConfigTable {
  const url = plain(given);
  const hides = !allowLiteral && hasSecret({ type: "streamable-http", url, headers: {} });
  if (hides)
    problems.push("the address holds a secret, which is left out: --allow-literal writes it as it is");
  return { url: hides ? shownUrl(url, "log") : url };
}

function hasSecret(connection: BackendConfig["connection"]): boolean {
  return literalSecrets([{ name: "server", connection }]).length > 0;
}

interface Gathered {
  readonly reader: TextReader;
  readonly wanted: string[];
  readonly problems: string[];
  readonly secrets: Map<string, string>;
  readonly isTaken: (secret: string) => boolean;
}

/** The variables or headers, with a reference instead of each secret that is written out. */
function referenced(name: string, server: ForeignServer, gathered: Gathered): ConfigTable {
  const { reader, wanted, problems } = gathered;
  const isProgram = server.command !== null;
  const texts = Object.entries<string | null>(isProgram ? server.env : server.headers).map(([key, given]) => {
    const written = given ?? `\${${key}}`;
    const meaning = reader.reference(written);
    const text = take(meaning, wanted, problems);
    // A placeholder alone is no secret, but text beside it may be one.
    if (meaning.problem !== null) return [key, /^\$\{[^{}]*\}$/.test(written) ? text : HIDDEN] as const;
    return [key, withReferences(name, key, text, isProgram, gathered)] as const;
  });
  return texts.length === 0 ? {} : { [isProgram ? "env" : "headers"]: Object.fromEntries(texts) };
}

function withReferences(
  name: string,
  key: string,
  text: string,
  isProgram: boolean,
  { secrets, isTaken }: Gathered,
): string {
  const reading = parseSecretText(text);
  if (!reading.ok) return text;
  const connection: BackendConfig["connection"] = isProgram
    ? { type: "stdio", command: "", args: [], env: { [key]: reading.value }, cwd: "/" }
    : { type: "streamable-http", url: "http://localhost/", headers: { [key]: reading.value } };
  let referring = text;
  for (const { value: found } of literalSecrets([{ name, connection }])) {
    const value = found.replace(SCHEME, "");
    const secret = freeSecretName(`${name}-${key}`, isTaken);
    secrets.set(secret, value);
    referring = referring.replace(escaped(value), () => `\${secret:${secret}}`);
  }
  return referring.replace(/^\$\{(secret:[^{}]+)\}$/, "$1");
}

/** Removes `cmd /c`, by which Windows starts scripts. */
function withoutShell(server: ForeignServer): ForeignServer {
  const { command, args } = server;
  const [option = "", program, ...rest] = args;
  const isShell = command !== null && /^cmd(?:\.exe)?$/i.test(command) && /^\/c$/i.test(option);
  return isShell && program !== undefined ? { ...server, command: program, args: rest } : server;
}

export function backendName(name: string): string {
  const plain = name
    .normalize("NFKD")
    .replace(/[^A-Za-z0-9_-]+/g, "-")
    .replace(/^[-_]+|[-_]+$/g, "");
  return (/^[A-Za-z]/.test(plain) ? plain : `mcp-${plain}`).slice(0, LONGEST_NAME).replace(/[-_]+$/, "");
}

function leftOverLine(key: string, value: unknown): string {
  const shown = JSON.stringify(withoutSecrets(key, value)) ?? "";
  return `${key} = ${shown.length > LONGEST_LINE ? `${shown.slice(0, LONGEST_LINE)}…` : shown}`;
}

function withoutSecrets(key: string, value: unknown): unknown {
  if (typeof value === "string") return isSecretName(key) ? HIDDEN : shownText(value, "log");
  if (Array.isArray(value)) return value.map((one) => withoutSecrets(key, one));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, withoutSecrets(name, one)]));
}

// `npx mcp-remote ADDRESS` is a program that connects to an address. A backend connects to the address directly.
const RUNNER = /(?:^|[\\/])(?:npx|bunx|pnpx)(?:\.cmd)?$/i;
const PACKAGE = /^mcp-remote(?:@[\w.-]+)?$/;
const VARIABLE = new RegExp(`\\$\\{(${VARIABLE_NAME_FORM})\\}`, "g");
/** Options without an effect on requests to the server. */
const HARMLESS = new Set(["--debug", "--silent", "--allow-http"]);

/** The server by its address; unchanged if an argument has no counterpart for an address. */
function withoutProxy(server: ForeignServer): ForeignServer {
  const { command, args, env } = server;
  if (command === null || !RUNNER.test(command)) return server;
  const words = args.filter((word, index) => !(word === "-y" || word === "--yes") || index > 0);
  const [program = "", url = "", ...options] = words;
  if (!PACKAGE.test(program) || !/^https?:\/\//.test(url)) return server;
  const headers: Record<string, string> = {};
  for (let index = 0; index < options.length; index++) {
    const option = options[index] ?? "";
    const value = options[index + 1] ?? "";
    if (HARMLESS.has(option)) continue;
    index++;
    if (option === "--transport" && /^(?:http|sse)/.test(value)) continue;
    const [, name, content] = option === "--header" ? (/^([^:\s]+)\s*:\s*(.*)$/s.exec(value) ?? []) : [];
    if (name === undefined || content === undefined) return server;
    headers[name] = content.replace(VARIABLE, (written, variable: string) => env[variable] ?? written);
  }
  return { ...server, command: null, args: [], url, env: {}, headers };
}
