// The programs that configure MCP servers in their own files: one row each, with everything that `import` and `connect`
// need.
import { access } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { ConfigTable } from "../config/edit/edit-value.ts";
import table from "./clients.json" with { type: "json" };
import type { RuleDialect } from "./rule-dialects.ts";

/** How a client starts this program. */
export interface OwnProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** A client in `clients.json`, which has a row for each. */
interface Row {
  /** The name as its makers write it. */
  readonly title: string;
  /**
   * Its files; `connect` writes the first that is not a project's if none exists. `./` is a project's folder, `*` both
   * this and the home, `APPS` the folder of applications, `CONFIG` that of settings; `$NAME|` a variable that replaces
   * the folder; `/*` at the end any file in a folder.
   */
  readonly files: readonly string[];
  /** Absent: JSON. */
  readonly format?: "toml" | "yaml";
  /** The path of the table that contains the servers by name; absent: `mcpServers`. */
  readonly section?: readonly string[];
  /** Members of an entry besides `command`, `args` and `env`. */
  readonly also?: ConfigTable;
  /** The form of an entry; absent: `command`, `args` and `env`. */
  readonly form?: keyof typeof FORMS;
  /**
   * What it replaces besides placeholders in braces. `dollar`: `$NAME`; `shell`: and `$(command)`; `file`: `{file:PATH}`;
   * `bang`: a credential that begins with `!` is a command.
   */
  readonly expands?: "dollar" | "shell" | "file" | "bang";
  /** True: its servers get all its own variables, so those of the desktop's session. */
  readonly passesAll?: boolean;
  /** The keys of an entry that it reads and that no backend has, so that an entry with one of them is not started. */
  readonly reads?: string;
  /** The keys that it reads and that restrict nothing, as `KEY` or, for one value, as `KEY=VALUE`. */
  readonly ignored?: string;
  /** Its rules about tools. */
  readonly rules?: {
    /** How it calls the tool T of the server S. */
    readonly tool: string;
    /** The files with rules besides its own; `agents/*`: of its agents. */
    readonly files: readonly string[];
    /** Its own form of rules; absent: a rule is a text that names a tool, and a denial comes first. */
    readonly dialect?: RuleDialect;
    /** Where its makers describe them. */
    readonly docs: string;
  };
  /** True for a gateway, and for a file that Mountaineer cannot write: its servers can be imported only. */
  readonly isImportOnly?: boolean;
  /** What the user must do before the program notices a change, with TITLE; null: nothing; absent: restart it. */
  readonly afterwards?: string | null;
}

const FORMS = {
  local: ({ command, args, env }: OwnProgram): ConfigTable => {
    return { type: "local", command: [command, ...args], environment: env };
  },
  extension: ({ command, args, env }: OwnProgram): ConfigTable => {
    const about = { type: "stdio", name: "mountaineer", description: "", enabled: true, timeout: 300 };
    return { ...about, cmd: command, args: [...args], envs: env };
  },
};

/** As bundles name it. */
export const PLATFORM = process.platform;

export type ClientName = keyof typeof table.clients;
export type Client = Required<Pick<Row, "title" | "files" | "section" | "afterwards" | "passesAll">> & {
  readonly name: ClientName;
  readonly format: "json" | "toml" | "yaml";
  readonly entry: (program: OwnProgram) => ConfigTable;
  readonly expands: NonNullable<Row["expands"]> | null;
  readonly reads: ReadonlySet<string>;
  readonly ignored: ReadonlySet<string>;
  readonly rules: NonNullable<Row["rules"]> | null;
  readonly isConnected: boolean;
};

// The assertions hold: a test reads each row, and the objects have no other keys.
const ROWS = table.clients as Readonly<Record<ClientName, Row>>;
export const CLIENT_NAMES = Object.keys(ROWS) as readonly ClientName[];

/** All clients, in the order in which `import` reads their files. */
export const CLIENTS = Object.fromEntries(
  CLIENT_NAMES.map((name) => [name, clientFrom(name, ROWS[name])]),
  // The assertion holds: each name has its client.
) as Readonly<Record<ClientName, Client>>;

function clientFrom(name: ClientName, row: Row): Client {
  const { title, files, also, form, reads = "", ignored = "", afterwards = "restart TITLE" } = row;
  const { format = "json", section = ["mcpServers"], expands = null, passesAll = false, rules = null } = row;
  const plain = ({ command, args, env }: OwnProgram): ConfigTable => {
    return { ...also, command, args: [...args], ...(Object.keys(env).length === 0 ? {} : { env }) };
  };
  return {
    ...{ name, title, format, section, expands, passesAll, isConnected: row.isImportOnly !== true },
    ...{ reads: keysIn(reads), ignored: keysIn(`${table.ignored} ${ignored}`) },
    entry: form === undefined ? plain : FORMS[form],
    files: inBoth(files),
    rules: rules === null ? null : { ...rules, files: inBoth(rules.files) },
    afterwards: afterwards?.replace("TITLE", title) ?? null,
  };
}

function inBoth(files: readonly string[]): readonly string[] {
  return files.flatMap((file) => (file.startsWith("*") ? [`~${file.slice(1)}`, `.${file.slice(1)}`] : file));
}

function keysIn(text: string): ReadonlySet<string> {
  return new Set(text.split(" "));
}

/** Keys that only say what a server is, in any client's file. */
export const ABOUT = keysIn(table.ignored);
/** Keys that lead to a credential in any file. */
const CREDENTIALS = keysIn("auth oauth apiKey auth_value");

/**
 * Whether a server may run without a key of its entry that no backend has: the key is a comment, or the client does not
 * read it, or it restricts nothing. In a file of an unknown client, a key counts that any known one reads.
 */
export function isIgnored(client: Client | null, key: string, value: unknown): boolean {
  if (/^(?:[_$]|\/\/|x-)/i.test(key) || value === null || value === "") return true;
  const clients = client === null ? Object.values(CLIENTS) : [client];
  if (clients.some(({ ignored }) => ignored.has(`${key}=${String(value)}`))) return true;
  if (CREDENTIALS.has(key) || clients.some(({ reads }) => reads.has(key))) return false;
  return client !== null || clients.some(({ ignored }) => ignored.has(key));
}

export interface ClientSurroundings {
  /** The user's home folder, absolute. */
  readonly userHome: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The current folder, where some clients read the servers of a project. */
  readonly folder: string;
  /** True: the servers that a client keeps for other folders also count. */
  readonly everyProject?: boolean;
  /** Whether the daemon has a variable, so that a reference to it stays; absent: it is not known to have any. */
  readonly keeps?: (variable: string) => boolean;
  /** True: a project's file gets no variable of this shell, because no one is asked. */
  readonly withholds?: boolean;
}

/** The path of a pattern as `files` has them. `isOfFolder`: it is in a project's folder, so anybody may have written it. */
export function pathOf(pattern: string, { userHome, environment, folder }: ClientSurroundings) {
  const settings = environment["XDG_CONFIG_HOME"] || "~/.config";
  const applications = PLATFORM === "darwin" ? "~/Library/Application Support" : settings;
  const path = pattern
    .replace(/^APPS(?=\/)/, applications)
    .replace(/^CONFIG(?=\/)/, settings)
    .replace(
      /^\$(\w+)\|([^*]*)(?=\/)/,
      (_, variable: string, usual: string) => environment[variable] || usual,
    );
  const isOfFolder = path.startsWith("./");
  return { path: isOfFolder ? join(folder, path) : path.replace(/^~(?=\/)/, userHome), isOfFolder };
}

/** The files of a client, the user's own first. They may not exist. */
export function clientFiles(name: ClientName, surroundings: ClientSurroundings) {
  return CLIENTS[name].files.map((pattern) => pathOf(pattern, surroundings));
}

/** Whether a file of the client is there that is not a project's. */
export async function hasOwnFile(name: ClientName, surroundings: ClientSurroundings): Promise<boolean> {
  const own = clientFiles(name, surroundings).filter(({ isOfFolder }) => !isOfFolder);
  const found = await Promise.allSettled(own.map(({ path }) => access(path)));
  return found.some(({ status }) => status === "fulfilled");
}

/**
 * Which client's file `path` is (null: none that is known), and the folder that its relative paths begin at (null: it is
 * the user's own file).
 */
export function clientOf(
  path: string,
  surroundings: ClientSurroundings,
): { readonly client: Client | null; readonly folder: string | null } {
  const clients = Object.values(CLIENTS);
  const own = clients.find(({ name }) =>
    clientFiles(name, surroundings).some((file) => !file.isOfFolder && isFileOf(file.path, path)),
  );
  if (own !== undefined) return { client: own, folder: null };
  const inProjects = clients.flatMap((client) =>
    client.files.flatMap((file) => {
      const depth = file.startsWith("./") ? file.split("/").length - 1 : 0;
      const folder = path.split("/").slice(0, -depth).join("/");
      return depth > 0 && isFileOf(`${folder}${file.slice(1)}`, path) ? [{ client, folder, depth }] : [];
    }),
  );
  const [nearest] = inProjects.sort((one, other) => other.depth - one.depth);
  if (nearest !== undefined) {
    const { client, folder } = nearest;
    // A file in a client's own folder is of the folder around it.
    return { client, folder: (OWN_FOLDERS.has(basename(folder)) ? dirname(folder) : folder) || "/" };
  }
  // Other editions of editors, and editors of another machine or in a container: files of the person.
  if (
    /\/User\/(?:profiles\/[^/]+\/)?(?:mcp|settings)\.json$|\/User\/globalStorage\/|\/\.var\/app\//.test(path)
  )
    return { client: null, folder: null };
  // A file in a hidden folder is of the folder around it.
  const [, folder = dirname(path)] = HIDDEN_FOLDER.exec(path) ?? [];
  return { client: null, folder: folder === surroundings.userHome ? null : folder };
}

const HIDDEN_FOLDER = /^(.+)\/\.[^/]+\/(?:[^/.][^/]*\/)*[^/]+$/;

/**
 * Whether a file of an unknown client is a project's, in whose folder its programs start: in a hidden folder, or at the root
 * of `folder`, the current one.
 */
export function isProjectFile(path: string, folder: string): boolean {
  const isRootFile = /^\.?mcp\.json$|\.code-workspace$/.test(basename(path));
  return HIDDEN_FOLDER.test(path) || (isRootFile && dirname(path) === folder);
}

/** The hidden folders in which clients keep their files. */
const OWN_FOLDERS = new Set(
  Object.values(CLIENTS).flatMap(({ files }) =>
    files.flatMap((file) => /\/(\.[^/]+)\//.exec(file)?.[1] ?? []),
  ),
);

/** Whether `path` is the file of the pattern, which may stand for any in a folder. */
export function isFileOf(pattern: string, path: string): boolean {
  return pattern.endsWith("/*") ? dirname(pattern) === dirname(path) : pattern === path;
}

/** The only client with servers at this place of a file of this format; null: none or several. */
export function clientWith(section: readonly string[], format: Client["format"]): Client | null {
  const clients = Object.values(CLIENTS).filter(
    (client) => client.format === format && client.section.join() === section.join(),
  );
  return clients.length === 1 ? (clients[0] ?? null) : null;
}
