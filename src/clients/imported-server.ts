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
  readonly name: string;
  readonly table: ConfigTable;
  /** Secrets from the file, by the names under which they are to be kept. Never shown. */
  readonly secrets: ReadonlyMap<string, string>;
  /** Names of secrets that the user still has to set. */
  readonly wanted: readonly string[];
  /** The settings of the client's entry that the import could not use, one line each, without secrets. */
  readonly leftOver: readonly string[];
  /** Why the backend is imported as disabled; null: there is no such reason. */
  readonly problem: string | null;
}

export interface ImportOptions extends Pick<ClientSurroundings, "userHome" | "environment"> {
  /** True: secrets in arguments and addresses may be written to the configuration. */
  readonly allowLiteral: boolean;
  readonly kept: ReadonlySet<string>;
}

const WINDOWS_PATH = /^[A-Za-z]:[\\/]|^%[A-Za-z]+%/;
/** The scheme of an Authorization header, before its secret. */
const SCHEME = /^(?:bearer|basic|token|apikey) +/i;
/** Keys that change what a server does. If the value of one is not understood, the backend is imported disabled. */
const DECISIVE = "args cwd env env_vars headers http_headers enabled disabled".split(" ");
const LONGEST_NAME = 64;
const LONGEST_LINE = 200;

/** Returns null if the entry has neither a program nor an address. */
export function importedServer(
  name: string,
  entry: JsonMembers,
  options: ImportOptions,
): ImportedServer | null {
  const server = withoutShell(withoutProxy(readForeignEntry(entry)));
  const { command, url, settings, unknown } = server;
  if (command === null && url === null) return null;
  const reading = new ServerReading(backendName(name), options);
  const connection = command === null ? reading.address(url ?? "") : reading.program(command, server);
  const texts =
    command === null ? reading.texts("headers", server.headers) : reading.texts("env", server.env);
  const [problem = null] = [
    ...reading.problems,
    ...[...reading.unset].map((variable) => `the variable ${variable} is not set here`),
    ...DECISIVE.filter((key) => isGiven(unknown[key])).map((key) => `its ${key} is not understood`),
  ];
  const isEnabled = server.enabled && problem === null;
  return {
    name: reading.name,
    table: { ...connection, ...(isEnabled ? {} : { enabled: false }), ...settings, ...texts },
    secrets: reading.secrets,
    wanted: [...reading.wanted],
    leftOver: Object.entries(unknown).map(([key, value]) => leftOverLine(key, value)),
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
  return [
    ...secretsIn({ type: "stdio", command: command ?? "", args, env: given, cwd: "/" }),
    ...secretsIn({ type: "streamable-http", url: url ?? "", headers: sent }),
  ];
}

function secretsIn(connection: BackendConfig["connection"]): readonly string[] {
  return literalSecrets([{ name: "server", connection }]).map(({ value }) => value);
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
    this.#reader = createTextReader(options, (from, id) => {
      if (from === "variable") this.unset.add(id);
      const secret = this.#inputs.get(id) ?? this.#newName(id);
      this.#inputs.set(id, secret);
      return secret;
    });
  }

  program(given: string, { args, cwd }: ForeignServer): ConfigTable {
    const command = this.#plain(given);
    const words = args.map((word) => this.#plain(word));
    if ([command, ...words].some((word) => WINDOWS_PATH.test(word)))
      this.problems.push("it has a path of Windows");
    const hides = this.#hides("an argument", { type: "stdio", command, args: words, env: {}, cwd: "/" });
    const shown = hides ? shownArguments(command, words, "log") : words;
    return {
      command,
      ...(shown.length === 0 ? {} : { args: [...shown] }),
      ...(cwd === null ? {} : { cwd: this.#plain(cwd) }),
    };
  }

  address(given: string): ConfigTable {
    const url = this.#plain(given);
    const hides = this.#hides("the address", { type: "streamable-http", url, headers: {} });
    return { url: hides ? shownUrl(url, "log") : url };
  }

  /** The variables or headers, with a reference instead of each secret that is written out. */
  texts(key: "env" | "headers", given: Readonly<Record<string, string | null>>): ConfigTable {
    const texts = Object.entries(given).map(([name, text]) => {
      const written = text ?? `\${${name}}`;
      const meaning = this.#reader.reference(written);
      const taken = this.#take(meaning);
      if (meaning.problem === null) return [name, this.#withReferences(key, name, taken)] as const;
      // A lone placeholder is no secret, but text beside a placeholder may be one.
      return [name, /^\$\{[^{}]*\}$/.test(written) ? taken : HIDDEN] as const;
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
      const secret = this.#newName(name);
      this.secrets.set(secret, value);
      referring = referring.replace(escaped(value), () => `\${secret:${secret}}`);
    }
    return referring.replace(/^\$\{(secret:[^{}]+)\}$/, "$1");
  }

  /** A name that no secret has yet, because an existing secret belongs to another server. */
  #newName(key: string): string {
    const { kept } = this.#options;
    return freeSecretName(
      `${this.name}-${key}`,
      (name) => this.secrets.has(name) || kept.has(name) || [...this.#inputs.values()].includes(name),
    );
  }

  /** True if the connection contains a secret that may not be written; this is recorded as a problem. */
  #hides(where: string, connection: BackendConfig["connection"]): boolean {
    if (this.#options.allowLiteral || secretsIn(connection).length === 0) return false;
    this.problems.push(`${where} holds a secret, which is left out: --allow-literal writes it as it is`);
    return true;
  }

  #plain(text: string): string {
    return this.#take(this.#reader.plain(text));
  }

  #take({ text, wanted, problem }: ReturnType<TextReader["plain"]>): string {
    for (const secret of wanted) this.wanted.add(secret);
    if (problem !== null) this.problems.push(problem);
    return text;
  }
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

// `npx mcp-remote ADDRESS` is a program that connects to an address. The imported backend connects to the address
// itself instead.
const RUNNER = /(?:^|[\\/])(?:npx|bunx|pnpx)(?:\.cmd)?$/i;
const PACKAGE = /^mcp-remote(?:@[\w.-]+)?$/;
const VARIABLE = new RegExp(`\\$\\{(${VARIABLE_NAME_FORM})\\}`, "g");
/** Options of mcp-remote without an effect on requests to the server. */
const HARMLESS = new Set(["--debug", "--silent", "--allow-http"]);

/**
 * Replaces `mcp-remote` by the address that it connects to. Changes nothing if one of its arguments has no
 * counterpart in a backend.
 */
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
