// Turns a server of a client into the section of a backend, with references instead of its secrets.

import { resolve } from "node:path";
import { argumentKinds } from "../config/argument-kinds.ts";
import type { ConfigTable } from "../config/edit/edit-value.ts";
import { literalSecrets } from "../config/literal-secrets.ts";
import { freeSecretName } from "../config/secret-names.ts";
import {
  HIDDEN,
  hasUnclearPassword,
  hiddenIn,
  isSecretName,
  shownArguments,
  shownCommand,
  shownText,
  shownUnclearUrl,
  shownUrl,
} from "../config/shown-values.ts";
import type { BackendConfig } from "../config/snapshot.ts";
import { isCredentialHeader, parseHeaderName } from "../config/values/backend-names.ts";
import { fillsReferences, foreignReference } from "../config/values/foreign-reference.ts";
import { escaped, parseSecretText, storedParts } from "../config/values/secret-text.ts";
import { sha256Of } from "../runtime/files/sha256.ts";
import { isObject, type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import { isVariableName } from "../runtime/text/name-forms.ts";
import { trimEnd } from "../runtime/text/trim-end.ts";
import { ABOUT, type Client, isIgnored } from "./client.ts";
import { type ForeignServer, MAPPED, readForeignEntry } from "./entry-keys.ts";
import { createTextReader, isVariableNamed, type TextReader, type TextSurroundings } from "./entry-texts.ts";
import { sandboxSettings } from "./imported-sandbox.ts";
import { startsInFolder } from "./package-runner.ts";
import { withoutProxy, withoutWrapper } from "./started-program.ts";
import { wantedOf } from "./wanted-variables.ts";

export interface ImportedServer {
  readonly name: string;
  readonly table: ConfigTable;
  /** Secrets from the file, by the names under which they are to be kept. Never shown. */
  readonly secrets: ReadonlyMap<string, string>;
  /** Names of secrets that the user still has to set; until then the backend is disabled. */
  readonly wanted: readonly string[];
  /** True: nothing but the secrets that are `wanted` keeps it from running. */
  readonly isWaiting: boolean;
  /** The variables of this shell whose values it gets, and what becomes of each: a line for each. */
  readonly given: ReadonlyMap<string, string>;
  /** The settings of the client's entry that the import could not use, one line each, without secrets. */
  readonly unusedSettings: readonly string[];
  /** What the import did to the entry, or left to the user, that decides whether the server works; one line each. */
  readonly remarks: readonly string[];
  /** Why the backend is imported as disabled, all reasons; null: there is none, besides secrets that are `wanted`. */
  readonly problem: string | null;
  /** True: the client has it switched off. */
  readonly isOff: boolean;
  /**
   * The digest of the entry as read, if the import did not carry over all of it: servers that differ here are different;
   * null: it did.
   */
  readonly incomplete: string | null;
}

export interface ImportOptions extends TextSurroundings {
  /** The client whose file it is; null: none that is known. It starts its programs in `project`, if that is not null. */
  readonly client: Client | null;
  /** Whether it starts its programs in `project`; absent: if the client is known. */
  readonly isOfProject?: boolean;
  /** Whether a program that runs packages finds something of the project in `project`. */
  readonly findsPackages?: boolean;
  /** Names that its secrets cannot have. */
  readonly taken: ReadonlySet<string>;
  /** The variables in the file that the entry names; null: it names none that can be read. */
  readonly variables?: Readonly<Record<string, string>> | null;
  /** The variables of this shell that are left out of `environment`, because no one was asked. */
  readonly withheld?: ReadonlySet<string>;
}

const WINDOWS_PATH = /^[A-Za-z]:[\\/]|^%[A-Za-z]+%/;
/** The scheme of an Authorization header, before its secret. */
const SCHEME = /^(?:bearer|basic|token|apikey) +/i;
/** The value of a credential's header without a credential. */
const NO_CREDENTIAL = /^(?:bearer|basic|token|apikey)? *$/i;
/** Ignored keys that a server may need, with the remark for the person: why the key is ignored, or what to do. */
const NOT_DECISIVE: Readonly<Record<string, string>> = {
  envFile: "is not read: put its variables into env",
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
  const reading = new ServerReading(backendName(name), options, server);
  const connection = command === null ? reading.address(url ?? "") : reading.program(command, server);
  const headers = command === null ? ownHeaders(server.headers, remarks) : {};
  const left = Object.entries(unknown).filter(
    ([key, value]) => isGiven(value) && !ABOUT.has(key) && !isIgnored(options.client, key, value),
  );
  const isWhole = left.length === 0 && Object.keys(headers).length === Object.keys(server.headers).length;
  // A token in a header is the other way to sign in.
  const hasToken = Object.keys(headers).some(isCredentialHeader);
  const texts =
    command === null
      ? { ...reading.texts("headers", headers), ...(hasToken ? {} : reading.signIn(server.signIn)) }
      : reading.variables(server);
  const problems = [...reading.problems, ...reading.unset, ...reasonsIn(unknown, options.client)];
  const problem = problems.length === 0 ? null : [...new Set(problems)].join("; ");
  remarks.push(...reading.remarks, ...writtenOut(texts));
  const isEnabled = server.enabled && problem === null && reading.wanted.size === 0;
  if (command === null && !hasToken && server.signIn.id !== null) {
    const { redirect_host: host = "127.0.0.1", redirect_port: port } = server.signIn.others;
    remarks.push(
      `its client id must allow the address http://${host}${port === undefined ? "" : `:${port}`}/callback`,
    );
  }
  for (const [key, line] of Object.entries(NOT_DECISIVE))
    if (isGiven(unknown[key]) && unknown[key] !== false) remarks.push(`its ${key} ${line}`);
  const { start, ...rest } = settings;
  const { enabled: _, settings: __, ...read } = server;
  const starts = start === undefined && !reading.startsInProject ? {} : { start: "on-demand" };
  return {
    name: reading.name,
    table: {
      ...connection,
      ...(isEnabled ? {} : { enabled: false }),
      ...(options.package === undefined || command === null ? {} : { package: options.package }),
      ...(command === null ? {} : starts),
      ...rest,
      ...texts,
    },
    secrets: reading.secrets,
    wanted: [...reading.wanted],
    isWaiting: server.enabled && problem === null && reading.wanted.size > 0,
    given: reading.given,
    unusedSettings: Object.entries(unknown).flatMap(([key, value]) =>
      ABOUT.has(key) ? [] : [unusedLine(key, value)],
    ),
    remarks,
    problem,
    isOff: !server.enabled,
    incomplete:
      isWhole && problem === null ? null : digestOf({ ...read, unknown: Object.fromEntries(left), problem }),
  };
}

/** The digest of a value, whatever the order of its keys. */
function digestOf(value: JsonMembers): string {
  const sorted = (_: string, one: unknown) =>
    isObject(one) ? Object.fromEntries(Object.entries(one).sort()) : one;
  return sha256Of(JSON.stringify(value, sorted));
}

/** The headers without those that belong to the protocol, which no client sends as its file has them. */
function ownHeaders(headers: ForeignServer["headers"], remarks: string[]): ForeignServer["headers"] {
  const named = Object.entries(headers).map(([name, text]) => [name.trim(), text] as const);
  const own = named.filter(([name]) => {
    const reading = parseHeaderName(name);
    if (!reading.ok) remarks.push(`its header ${name} is left out: expected ${reading.expected}`);
    return reading.ok;
  });
  return Object.fromEntries(own);
}

/** Why an entry with these keys is not started. */
function reasonsIn(unknown: JsonMembers, client: Client | null): readonly string[] {
  return Object.entries(unknown).flatMap(([key, value]) => {
    if (key in NOT_DECISIVE || !isGiven(value)) return [];
    if (MAPPED.has(key)) return [`its ${key} is not understood`];
    const why =
      key === "headersHelper" ? "is never run: put its headers into headers" : "has no counterpart here";
    return isIgnored(client, key, value) ? [] : [`its ${key} ${why}`];
  });
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
  const parts = (texts: ForeignServer["env"]) =>
    Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, text === null ? [] : [text]]));
  const found = [
    ...secretsIn({ type: "stdio", command: command ?? "", args, env: parts(env), cwd: "/" }),
    ...secretsIn({ type: "streamable-http", url: url ?? "", headers: parts(headers) }),
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
  readonly given = new Map<string, string>();
  readonly remarks: string[] = [];
  /** True: what it runs is in a project's folder, so that its content changes with what is checked out there. */
  startsInProject = false;
  readonly #options: ImportOptions;
  readonly #reader: TextReader;
  /** Its program fills in its own references. */
  readonly #isBehind: boolean;
  /** The names of the secrets that stand for an input or an unset variable, by the id of the input or variable. */
  readonly #inputs = new Map<string, string>();

  constructor(name: string, options: ImportOptions, { command, args }: ForeignServer) {
    this.name = name;
    this.#options = options;
    this.#isBehind = fillsReferences(command ?? "", args);
    const named = (from: "input" | "variable", id: string, value: string | null): string => {
      const isWithheld = options.withheld?.has(id) === true;
      const why = isWithheld
        ? "of this shell is not given to a project's server by --yes"
        : "is not set here";
      if (from === "variable" && value === null) this.unset.add(`the variable ${id} ${why}`);
      const secret = this.#inputs.get(id) ?? this.#newName(id);
      this.#inputs.set(id, secret);
      if (value !== null) this.secrets.set(secret, value);
      if (value !== null && from === "variable") this.given.set(id, `is stored as secret:${secret}`);
      return secret;
    };
    this.#reader = createTextReader(options, named, (variable) =>
      this.given.set(variable, "is written into the file"),
    );
  }

  program(given: string, { args, cwd: givenCwd, env, sandbox }: ForeignServer): ConfigTable {
    const { project, client, findsPackages = false } = this.#options;
    const { isOfProject = client !== null } = this.#options;
    const program = this.#plain(given, false);
    const kinds = argumentKinds(given, args);
    const plainArgs = args.map((arg, index) => this.#plain(arg, true, kinds[index] === "code"));
    const isOfWindows = WINDOWS_PATH.test(givenCwd ?? "");
    if (isOfWindows) this.problems.push(`its cwd is a path of Windows: ${givenCwd}`);
    else if ([program, ...plainArgs].some((arg) => WINDOWS_PATH.test(arg)))
      this.problems.push("it has a path of Windows");
    const folder = givenCwd === null || isOfWindows ? null : this.#plain(givenCwd, false);
    const texts = [...plainArgs, ...pathsIn(env)];
    const start =
      folder ??
      (this.#isBelow(project) && startsInFolder(program, texts, isOfProject, findsPackages) ? "." : null);
    const cwd = project === null || start === null ? folder : resolve(project, start);
    this.startsInProject = project !== null && cwd !== null && `${cwd}/`.startsWith(`${project}/`);
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
    const { wantsSession } = wantedOf(command, plainArgs);
    return {
      command: secrets.length > 0 ? shownCommand(command, "log") : command,
      ...(written.length === 0 ? {} : { args: written }),
      ...(cwd === null ? {} : { cwd }),
      ...(wantsSession && client?.passesAll === true ? { session: true } : {}),
      ...(sandbox === null ? {} : { sandbox: this.#sandbox(sandbox, cwd) }),
    };
  }

  /** A folder at or above the home would open Mountaineer's own to the server. */
  #isBelow(folder: string | null): boolean {
    return folder !== null && !`${this.#options.userHome}/`.startsWith(`${folder}/`.replace("//", "/"));
  }

  #sandbox(sandbox: JsonMembers, cwd: string | null): ConfigTable {
    const folder = cwd ?? this.#options.userHome;
    const { table, problem } = sandboxSettings(sandbox, cwd, (path) =>
      resolve(folder, this.#plain(path, false)),
    );
    if (problem !== null) this.problems.push(problem);
    return table;
  }

  address(given: string): ConfigTable {
    const url = this.#plain(given, true);
    const scheme = /^(?!https?:)([a-z][a-z\d+.-]*:\/\/)/i.exec(url)?.[1];
    if (scheme !== undefined)
      this.problems.unshift(`its address begins with ${scheme}; servers are reached by http:// or https://`);
    if (hasUnclearPassword(given)) {
      this.problems.unshift(
        "its address may have a password, whose end is unclear: all before the last @ is left out",
      );
      return { url: shownUnclearUrl(given) };
    }
    if (!/^https?:\/\/[^/?#]*\$\{|^\$\{/i.test(url))
      return { url: this.#moved(url, shownUrl(url, "log"), "url") };
    this.problems.unshift(`its url is to be written: it is ${shownUrl(given, "log")}`);
    this.wanted.clear();
    // A host that does not exist.
    return { url: `https://unset.invalid/${this.name}` };
  }

  /**
   * Moves the hidden parts of an argument or address into secrets, and returns the text with references in their places.
   * In a single word, everything from the first hidden part to the last becomes one secret.
   */
  #moved(text: string, shown: string, key: string): string {
    if (hasUnclearPassword(text) && storedParts(text).length === 1)
      return `\${secret:${this.#keep(key, text)}}`;
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

  /** The variables of a program: those of the file that its entry names, its own, and those of this shell that it wants. */
  variables({ env, command, args }: ForeignServer): ConfigTable {
    const named = Object.entries(this.#options.variables ?? {}).filter(([name]) => !Object.hasOwn(env, name));
    const stored = named.map(
      ([name, value]) => [name, value && `secret:${this.#keep(name, value)}`] as const,
    );
    const wanted = wantedOf(command ?? "", args).variables.filter(
      (name) => this.#options.environment[name] !== undefined && !Object.hasOwn(env, name),
    );
    const given = { ...env, ...Object.fromEntries(wanted.map((name) => [name, null])) };
    const texts = {
      ...Object.fromEntries(stored),
      ...objectOf(this.texts("env", this.#passable(given))["env"]),
    };
    return Object.keys(texts).length === 0 ? {} : { env: texts as ConfigTable };
  }

  /** The variables that a shell passes on to what it starts: it drops others in silence. */
  #passable(env: ForeignServer["env"]): ForeignServer["env"] {
    const [passed, dropped] = [true, false].map((isPassed) =>
      Object.entries(env).filter(([name]) => isVariableName(name) === isPassed),
    );
    for (const [name] of dropped ?? [])
      this.problems.push(`its variable ${name} reaches no program: names have letters, digits and _`);
    return Object.fromEntries(passed ?? []);
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
    const texts = Object.entries(given).flatMap(([name, text]): (readonly [string, string])[] => {
      const written = text ?? `\${${name}}`;
      const meaning = this.#reader.reference(written, this.#isBehind);
      if (key === "headers" && isCredentialHeader(name) && NO_CREDENTIAL.test(meaning.text)) {
        this.remarks.push(`its ${name} is left out: ${written} is empty here`);
        return [];
      }
      const taken = this.#take(meaning);
      if (this.#isBehind && foreignReference(written) !== null) return [[name, taken]];
      if (meaning.problem === null) return [[name, this.#withReferences(key, name, taken)]];
      // Credentials are references in any case, so its own secret is to be stored in place of it.
      if (key === "headers" && isCredentialHeader(name)) return [[name, this.#missing(name, written)]];
      // A lone placeholder is not a secret, but the text around a placeholder may be.
      return [[name, /^\$?\{+[^{}]*\}+$/.test(written) ? taken : HIDDEN]];
    });
    return texts.length === 0 ? {} : { [key]: Object.fromEntries(texts) };
  }

  /** The reference to a secret that the user has to set. */
  #missing(name: string, written: string): string {
    const secret = this.#newName(name);
    this.#inputs.set(`${name} of ${this.name}`, secret);
    this.wanted.add(secret);
    return `${SCHEME.exec(written)?.[0] ?? ""}\${secret:${secret}}`;
  }

  #withReferences(key: "env" | "headers", name: string, text: string): string {
    const reading = parseSecretText(text);
    if (!reading.ok) return text;
    const [whole, ...others] = reading.value;
    if (typeof whole === "string" && others.length === 0 && hasUnclearPassword(whole))
      return `secret:${this.#keep(name, whole)}`;
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
    for (const name of this.given.keys())
      if (this.#options.environment[name] === value) this.given.set(name, `is stored as secret:${secret}`);
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

  #plain(text: string, mayRefer: boolean, isCode = false): string {
    return this.#take(this.#reader.plain(text, mayRefer, this.#isBehind, isCode));
  }

  #take({ text, wanted, problem }: ReturnType<TextReader["plain"]>): string {
    for (const secret of wanted) this.wanted.add(secret);
    if (problem !== null) this.problems.push(problem);
    return text;
  }
}

/** The values of variables that are paths in the folder. */
function pathsIn(env: ForeignServer["env"]): readonly string[] {
  return Object.values(env).flatMap((text) => (/^\.{1,2}(?:\/|$)/.test(text ?? "") ? [text ?? ""] : []));
}

/** What a secret among the arguments is named after: its option or variable. */
function keyAt(args: readonly string[], index: number): string {
  const name = optionIn(args[index], /^(-*)([A-Za-z_][\w.-]*)=/);
  const option = optionIn(args[index - 1], /^(-+)([A-Za-z][\w-]*)$/);
  return (isSecretName(option) ? option : name || option) || "argument";
}

/** Empty where the word after one dash may be a letter and its value: `-pPASSWORD`. */
function optionIn(argument: string | undefined, pattern: RegExp): string {
  const [, dashes = "", name = ""] = pattern.exec(argument ?? "") ?? [];
  return dashes === "-" && name.length > 1 && !isSecretName(name) ? "" : name;
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
