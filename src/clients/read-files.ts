// Reads the servers of clients, or of files that the user names.
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { parseEnv } from "node:util";
import { entryOfServerJson } from "../registry/server-json.ts";
import { errorText, MountaineerError, recoverFrom, systemErrorCode } from "../runtime/errors.ts";
import { isObject, type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import { VARIABLE_NAME_FORM } from "../runtime/text/name-forms.ts";
import {
  CLIENT_NAMES,
  CLIENTS,
  type ClientName,
  type ClientSurroundings,
  clientFiles,
  clientOf,
} from "./client.ts";
import { clientValues, unreadable } from "./client-text.ts";
import { isServerEntry } from "./entry-keys.ts";
import { createTextReader } from "./entry-texts.ts";
import type { FoundFile } from "./import-plan.ts";
import { type ImportedServer, type ImportOptions, importedServer } from "./imported-server.ts";

/**
 * Maximum size of a client's file. It is large, because Claude Code keeps its history in the file that has
 * its servers.
 */
const LARGEST_FILE_BYTES = 64 * 1024 * 1024;

/** null: there is no file. Rejects with `client_unreadable`. */
export async function readClientFile(path: string): Promise<string | null> {
  try {
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const status = await file.stat();
    if (!status.isFile()) throw unreadable(`${path} is not a file`);
    if (status.size > LARGEST_FILE_BYTES) throw unreadable(`${path} is larger than 64 MiB`);
    return textOf(await file.readFile(), path);
  } catch (error) {
    if (error instanceof MountaineerError) throw error;
    const code = systemErrorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw unreadable(`${path} cannot be read: ${errorText(error)}`, { cause: error });
  }
}

/** Decodes the file without losing a byte, because the text is written back later. */
function textOf(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    const hint = "save it as UTF-8 in an editor first; nothing was changed";
    throw unreadable(`${path} is not UTF-8`, { hint, cause });
  }
}

/**
 * Reads the existing files of the named clients. A `path` is a file that the user named, so it must exist. `skip`: is
 * called with the reason why a file cannot be read; null: the call then rejects.
 */
export async function readFoundFiles(
  sources: readonly (ClientName | { readonly path: string })[],
  surroundings: ClientSurroundings,
  takenNames: ReadonlySet<string>,
  skip: ((reason: string) => void) | null = null,
): Promise<readonly FoundFile[]> {
  const found: FoundFile[] = [];
  const taken = new Set(takenNames);
  for (const source of sources) {
    const isName = typeof source === "string";
    const files = isName ? clientFiles(source, surroundings) : [{ ...source, isOfFolder: false }];
    for (const { path, isOfFolder } of files) {
      if (found.some((file) => file.path === path)) continue;
      const servers = await readServers(path, surroundings, taken).catch((error: unknown) => {
        if (skip === null || !(error instanceof MountaineerError)) throw error;
        skip(error.message);
        return null;
      });
      if (servers === null && !isName)
        throw unreadable(`there is no file at ${path}`, {
          hint: `name a file, or one of the clients ${CLIENT_NAMES.join(", ")}`,
        });
      const client = isName ? CLIENTS[source].title : basename(path);
      const title = isOfFolder ? `${client} in ${surroundings.folder}` : client;
      if (servers !== null) found.push({ path, title, isOfFolder, ...servers });
    }
  }
  return found;
}

async function readServers(
  path: string,
  surroundings: ClientSurroundings,
  taken: Set<string>,
): Promise<Pick<FoundFile, "servers" | "empty" | "elsewhere"> | null> {
  const text = await readClientFile(path);
  return text === null
    ? null
    : serversIn(await clientValues(text, path), clientOf(path, surroundings), surroundings, taken);
}

/**
 * The servers in the values of a file of `client`, whose relative paths begin at `folder`. Adds the names of their
 * secrets to `taken`.
 */
export async function serversIn(
  values: unknown,
  { client, folder: own }: ReturnType<typeof clientOf>,
  surroundings: ClientSurroundings,
  taken: Set<string>,
): Promise<Pick<FoundFile, "servers" | "empty" | "elsewhere">> {
  const servers: ImportedServer[] = [];
  const empty: string[] = [];
  const options = { ...surroundings, expands: client?.expands ?? null, startsThere: client !== null, taken };
  const isOff = await switchedOff(values, own ?? surroundings.folder, client?.name ?? null, surroundings);
  const found = foundEntries(values, surroundings.folder, surroundings.everyProject);
  for (const { name, entry: given, project } of found.entries) {
    const where = project === null ? { project: own } : { project, startsThere: true };
    const entry = isOff(name) ? { ...given, enabled: false } : given;
    const server = await readServer(name, entry, { ...options, ...where });
    if (server === null) empty.push(name);
    else servers.push(server);
    for (const secret of [...(server?.secrets.keys() ?? []), ...(server?.wanted ?? [])]) taken.add(secret);
  }
  return { servers, empty, elsewhere: found.elsewhere };
}

/** Which servers the person has switched off or refused in the client, outside of their entries. */
async function switchedOff(
  values: unknown,
  folder: string,
  client: ClientName | null,
  { userHome }: ClientSurroundings,
): Promise<(name: string) => boolean> {
  const { excluded, allowed } = objectOf(objectOf(values)["mcp"]);
  const settings = [`${folder}/.claude/settings.local.json`, `${folder}/.claude/settings.json`];
  const user = [`${userHome}/.claude/settings.json`, `${userHome}/.claude.json`];
  const others = client === "claude-code" ? await Promise.all([...settings, ...user].map(valuesAt)) : [];
  const off = [values, ...others].flatMap((file) => {
    const project = objectOf(valueIn(file, ["projects", folder]));
    return [objectOf(file), project].flatMap((table) => [
      table["disabledMcpjsonServers"],
      table["disabledMcpServers"],
    ]);
  });
  const refused = [...off, excluded].flatMap((list) => (Array.isArray(list) ? list : []));
  return (name) => refused.includes(name) || (Array.isArray(allowed) && !allowed.includes(name));
}

async function valuesAt(path: string): Promise<unknown> {
  const text = await readClientFile(path).catch(unread);
  return text === null ? null : await clientValues(text, path).catch(unread);
}

/** The server of an entry, with the variables of the file that the entry names. */
export async function readServer(name: string, entry: JsonMembers, options: ImportOptions) {
  return importedServer(name, entry, { ...options, variables: await variablesOf(entry, options) });
}

const VARIABLE = new RegExp(`^${VARIABLE_NAME_FORM}$`);
const unread = recoverFrom((error) => error instanceof MountaineerError, null);

async function variablesOf({ envFile }: JsonMembers, options: ImportOptions) {
  if (typeof envFile !== "string") return null;
  const { text, problem } = createTextReader(options, () => "").plain(envFile, false);
  const path = resolve(options.project ?? options.userHome, text.replace(/^~(?=\/)/, options.userHome));
  const content = problem === null ? await readClientFile(path).catch(unread) : null;
  if (content === null) return null;
  const named = Object.entries(parseEnv(content));
  return Object.fromEntries(
    named.flatMap(([name, value = ""]) => (VARIABLE.test(name) ? [[name, value]] : [])),
  );
}

/** The paths of all tables that may have servers in a client's file. */
const SECTIONS = [
  ...new Map(Object.values(CLIENTS).map(({ section }) => [section.join(), section])).values(),
  // As many guides write them into the settings of VS Code.
  ["mcp.servers"],
];

/** The path of the servers: the second version of opencode's file has them a table deeper. */
export function sectionIn(file: unknown, section: readonly string[]): readonly string[] {
  const { servers } = objectOf(valueIn(file, section));
  return isObject(servers) && !isServerEntry(servers) ? [...section, "servers"] : section;
}

function valueIn(file: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, segment) => objectOf(inner)[segment], file);
}

/** The servers by name. Some files have them as a list. */
export function serversAt(file: unknown, section: readonly string[]): JsonMembers {
  const value = valueIn(file, sectionIn(file, section));
  if (!Array.isArray(value)) return objectOf(value);
  return Object.fromEntries(value.map((entry, index) => [String(objectOf(entry)["name"] ?? index), entry]));
}

/**
 * The entries of a file that are tables, in the file's order. Of Claude Code's entries for folders, only those for
 * `folder` and for the folders above it, unless `everyProject`; the others are `elsewhere`. A file that has none of the
 * sections may have its servers at the top.
 */
export function foundEntries(file: unknown, folder: string, everyProject = false) {
  const all = Object.entries(serversAt(file, ["projects"]));
  const projects = all.filter(
    ([path]) => everyProject || folder === path || folder.startsWith(`${path.replace(/\/$/, "")}/`),
  );
  const elsewhere = all.flatMap((one) => {
    const servers = projects.includes(one) ? [] : Object.keys(serversAt(one[1], ["mcpServers"]));
    return servers.length === 0 ? [] : [{ folder: one[0], servers }];
  });
  return { entries: entriesHere(file, projects), elsewhere };
}

function entriesHere(file: unknown, projects: readonly (readonly [string, unknown])[]) {
  const registered = entryOfServerJson(objectOf(file));
  if (registered !== null) return [{ ...registered, project: null }];
  const found = [
    ...SECTIONS.flatMap((section) => entriesIn(serversAt(file, section))),
    ...projects.flatMap(([path, project]) => entriesIn(serversAt(project, ["mcpServers"]), path)),
  ];
  const top = entriesIn(serversAt(file, []));
  if (found.length > 0) return found;
  // A file about one thing has texts such as its name, and its tables (`repository`, `author`) are not servers.
  const isAboutOne = Object.entries(objectOf(file)).some(
    ([key, value]) => key !== "$schema" && typeof value === "string",
  );
  return !isAboutOne && top.every(({ entry }) => isServerEntry(entry)) ? top : entriesWithin(file);
}

function entriesIn(table: JsonMembers, project: string | null = null) {
  return Object.entries(table).flatMap(([name, entry]) =>
    isObject(entry) ? [{ name, entry, project }] : [],
  );
}

/** The servers in sections of a table further in: a container's file has the settings of its editor. */
function entriesWithin(table: unknown): ReturnType<typeof entriesIn> {
  return Object.entries(objectOf(table)).flatMap(([key, inner]) => {
    const sections = key === "projects" ? [] : SECTIONS.flatMap((path) => entriesIn(serversAt(inner, path)));
    const servers = sections.filter(({ entry }) => isServerEntry(entry));
    return key === "projects" || servers.length > 0 ? servers : entriesWithin(inner);
  });
}
