// Reads the servers of clients, or of files that the user names.
import { randomUUID } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { parseEnv } from "node:util";
import { entryOfServerJson } from "../registry/server-json.ts";
import { isSystemError, MountaineerError, recoverFrom } from "../runtime/errors.ts";
import { sha256Of } from "../runtime/files/sha256.ts";
import { isObject, type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import { VARIABLE_NAME_FORM } from "../runtime/text/name-forms.ts";
import { bundlesFolder, entryOfManifest, folderDigest, unpackBundle } from "./bundle.ts";
import {
  CLIENT_NAMES,
  CLIENTS,
  type Client,
  type ClientName,
  type ClientSurroundings,
  clientFiles,
  clientOf,
  clientWith,
  isProjectFile,
  PLATFORM,
} from "./client.ts";
import { type ClientRules, readRules, refusedBy, rulesVerdict } from "./client-rules.ts";
import { clientFormat, clientValues, pathsAt, readClientFile, unreadable, valuesAt } from "./client-text.ts";
import { isServerEntry, readForeignEntry } from "./entry-keys.ts";
import { createTextReader, OF_EVERY_SERVICE } from "./entry-texts.ts";
import type { FoundFile } from "./import-plan.ts";
import { backendName, type ImportedServer, type ImportOptions, importedServer } from "./imported-server.ts";
import { PACKAGE_MARKS } from "./package-runner.ts";
import { pluginsOf } from "./plugins.ts";
import { serverName } from "./started-program.ts";

type FoundServers = Pick<FoundFile, "servers" | "empty" | "elsewhere">;

/** A file that a person named. */
export interface NamedFile {
  /** `-`: standard input. */
  readonly path: string;
  /** Its content, if that is not in a file; absent: it is read. */
  readonly text?: string;
}

/**
 * Reads the existing files of the named clients, and the servers of their plugins. A file that the user named must
 * exist. `skip`: is called with the reason why a file cannot be read; null: the call then rejects.
 */
export async function readFoundFiles(
  sources: readonly (ClientName | NamedFile)[],
  surroundings: ClientSurroundings,
  takenNames: ReadonlySet<string>,
  skip: ((reason: string) => void) | null = null,
): Promise<readonly FoundFile[]> {
  const found: FoundFile[] = [];
  const taken = new Set(takenNames);
  for (const source of sources) {
    const isName = typeof source === "string";
    const patterns = isName ? clientFiles(source, surroundings) : [{ ...source, isOfFolder: false }];
    const usual = patterns.map(async ({ path, isOfFolder }) =>
      (await pathsAt(path)).map((one) => ({ path: one, isOfFolder })),
    );
    for (const { path, isOfFolder } of (await Promise.all(usual)).flat()) {
      if (found.some((file) => file.path === path)) continue;
      if (/\.(?:mcpb|dxt)$/i.test(path)) {
        found.push(await bundleFile(path, surroundings, taken));
        continue;
      }
      const text = isName ? null : (source.text ?? null);
      const servers = await readServers(path, text, surroundings, taken).catch((error: unknown) => {
        if (skip === null || !(error instanceof MountaineerError)) throw error;
        skip(error.message);
        return null;
      });
      if (servers === null && !isName)
        throw unreadable(`there is no file at ${path}`, {
          hint: `name a file, or one of the clients ${CLIENT_NAMES.join(", ")}`,
        });
      const client = isName ? CLIENTS[source].title : path === "-" ? "standard input" : basename(path);
      const title = isOfFolder ? `${client} in ${surroundings.folder}` : client;
      if (servers !== null) found.push({ path, title, isOfFolder, ...servers });
    }
    if (isName) found.push(...(await pluginFiles(CLIENTS[source], surroundings, taken)));
  }
  return found;
}

async function readServers(
  path: string,
  given: string | null,
  surroundings: ClientSurroundings,
  taken: Set<string>,
): Promise<FoundServers | null> {
  const text = given ?? (await readClientFile(path));
  if (text === null) return null;
  const values = await withNamedFile(await clientValues(text, path), path);
  const { client, folder } = path === "-" ? { client: null, folder: null } : clientOf(path, surroundings);
  return serversIn(values, { client, folder, path, format: clientFormat(text, path) }, surroundings, taken);
}

/** The values of a file. Those of a plugin's manifest may only name the plugin's file of servers. */
async function withNamedFile(values: unknown, path: string): Promise<unknown> {
  const named = objectOf(values)["mcpServers"];
  if (typeof named !== "string") return values;
  const folder = dirname(path);
  const root = /^\.\w+-plugin$/.test(basename(folder)) ? dirname(folder) : folder;
  const other = resolve(root, named);
  const table = other.startsWith(`${root}/`) ? objectOf(await valuesAt(other)) : {};
  return { ...objectOf(values), mcpServers: table["mcpServers"] ?? table };
}

/** The server of a bundle, whose files wait next to those of the others until it is imported. */
async function bundleFile(
  path: string,
  surroundings: ClientSurroundings,
  taken: Set<string>,
): Promise<FoundFile> {
  const bundles = bundlesFolder(surroundings.userHome);
  const from = join(bundles, `.new-${randomUUID()}`);
  try {
    const manifest = await unpackBundle(path, from);
    const { platforms } = objectOf(manifest["compatibility"]);
    const isOther = Array.isArray(platforms) && !platforms.includes(PLATFORM);
    const version = String(manifest["version"] ?? "0").replace(/[^\w.+]/g, "_");
    const own = `${backendName(String(manifest["name"] ?? "bundle"))}-${version}-${await folderDigest(from)}`;
    const entry = { ...entryOfManifest(manifest), ...(isOther ? { platforms } : {}) };
    const values = { mcpServers: { [String(manifest["name"])]: entry } };
    const where = { client: null, folder: null, path, format: "json" as const };
    const found = await serversIn(values, where, surroundings, taken, `bundle:${own}`);
    return {
      path,
      title: basename(path),
      isOfFolder: false,
      ...found,
      unpacked: { from, to: join(bundles, own) },
    };
  } catch (error) {
    await rm(from, { recursive: true, force: true });
    throw error;
  }
}

async function pluginFiles(
  client: Client,
  surroundings: ClientSurroundings,
  taken: Set<string>,
): Promise<readonly FoundFile[]> {
  const plugins = await pluginsOf(client.name, surroundings);
  const files: FoundFile[] = [];
  for (const { name, folder, servers, off } of plugins) {
    const values = { mcpServers: servers };
    const where = { client, folder: null, path: folder, format: "json" as const };
    const found = await serversIn(values, where, surroundings, taken, `${client.name}:${name}`);
    const shown = found.servers.map((server) => ({
      ...server,
      remarks: [...server.remarks, `the plugin ${name} of ${client.title} also starts it: ${off}`],
    }));
    if (shown.length > 0)
      files.push({
        path: folder,
        title: `${client.title}'s plugin ${name}`,
        isOfFolder: false,
        ...found,
        servers: shown,
      });
  }
  return files;
}

interface FileOfClient {
  readonly client: Client | null;
  /** The folder at which relative paths begin; null: it is not a project's file. */
  readonly folder: string | null;
  readonly path: string;
  readonly format: Client["format"];
}

/**
 * The servers in the values of a file. `plugin`: all of them come with it. Adds the names of their secrets to `taken`.
 */
export async function serversIn(
  values: unknown,
  { client, folder: own, path, format }: FileOfClient,
  surroundings: ClientSurroundings,
  taken: Set<string>,
  plugin: string | null = null,
): Promise<FoundServers> {
  const servers: ImportedServer[] = [];
  const empty: FoundFile["empty"][number][] = [];
  const isOff = await switchedOff(values, own ?? surroundings.folder, client?.name ?? null, surroundings);
  const where = own === null ? surroundings : { ...surroundings, folder: own };
  const rules = client === null ? null : await readRules(client, { path, values }, where);
  const inputs = defaultsIn(values);
  const found = foundEntries(values, surroundings.folder, surroundings.everyProject);
  for (const { name, entry: given, project, section } of found.entries) {
    const inferred = section === null ? null : clientWith(section, format);
    const itsClient = client ?? (project === null ? inferred : CLIENTS["claude-code"]);
    const entry = {
      ...(isObject(objectOf(values)["sandbox"]) ? { sandbox: objectOf(values)["sandbox"] } : {}),
      ...given,
      ...(isOff(name) ? { enabled: false } : {}),
    };
    const options = {
      ...{ ...surroundings, expands: itsClient?.expands ?? null, client: itsClient, taken },
      ...{ project: project ?? own, ...(path === "-" ? {} : { fileFolder: dirname(path) }) },
      ...{ inputs, isOfProject: itsClient !== null || isProjectFile(path, surroundings.folder) },
      ...(plugin === null ? {} : { package: plugin }),
    };
    const server = await readServer(name, entry, options);
    if (server === null) empty.push({ name, why: whyEmpty(entry) });
    else servers.push(rules === null ? server : ruled(server, name, entry, rules));
    for (const secret of [...(server?.secrets.keys() ?? []), ...(server?.wanted ?? [])]) taken.add(secret);
  }
  return { servers, empty, elsewhere: found.elsewhere };
}

function whyEmpty({ type, source, settings }: JsonMembers): string {
  if (type === "builtin" || type === "platform") return "it is built into goose";
  // Zed's extensions know how their servers are started.
  if (source === "extension" || isObject(settings)) return "an extension of Zed starts it";
  return "it neither starts nor names a server";
}

/** The inputs of a file that have a default, by id. */
function defaultsIn(values: unknown): NonNullable<ImportOptions["inputs"]> {
  const { inputs } = objectOf(values);
  const found = (Array.isArray(inputs) ? inputs : []).map(objectOf);
  return new Map(
    found.flatMap(({ id, default: usual, password }) =>
      typeof id === "string" && typeof usual === "string" && usual !== ""
        ? [[id, { usual, isSecret: password === true }] as const]
        : [],
    ),
  );
}

/** The server with what the client's rules deny of it. */
function ruled(server: ImportedServer, name: string, entry: JsonMembers, rules: ClientRules): ImportedServer {
  const { title } = rules.client;
  const { denied, only, prompting, widened, ...about } = rulesVerdict(rules, name);
  const why = refusedBy(rules, name, readForeignEntry(entry)) ?? about.refusal;
  const remarks = [
    ...server.remarks,
    ...(denied.length === 0 ? [] : [`${title} denies ${denied.join(", ")}: left out here`]),
    ...(only === null ? [] : [`${title} allows only ${only.join(", ")}: so does its filter here`]),
    ...widened.map((rule) => `${title} denies ${rule} on a condition; here always`),
    ...(prompting.length === 0 ? [] : [`${title} asks before ${prompting.join(", ")}; nothing here does`]),
    ...rules.unread.map(
      (path) => `${title}'s rules in ${path} could not be read, so none of them holds here`,
    ),
  ];
  const problem =
    why === null ? server.problem : [server.problem, `${title}: ${why}`].filter(Boolean).join("; ");
  const { tools, ...filters } = objectOf(server.table["filters"]);
  const { allow, deny, ...others } = objectOf(tools);
  // The assertions hold: the filters are lists of texts.
  const own = (list: unknown) => [list ?? []].flat() as string[];
  const allowing =
    only === null || allow === undefined ? (only ?? allow) : own(allow).filter((tool) => only.includes(tool));
  const all = [...new Set([...own(deny), ...denied])];
  const table = {
    ...server.table,
    ...(why === null ? {} : { enabled: false }),
    ...(why !== null || (denied.length === 0 && only === null)
      ? {}
      : {
          filters: {
            ...filters,
            tools: {
              ...others,
              ...(allowing === undefined ? {} : { allow: allowing }),
              ...(all.length === 0 ? {} : { deny: all }),
            },
          },
        }),
  };
  const incomplete = why === null ? server.incomplete : sha256Of(`${server.incomplete}: ${why}`);
  return { ...server, table: table as ImportedServer["table"], problem, remarks, incomplete };
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

/** The server of an entry, with the variables of the file that the entry names. */
export async function readServer(
  name: string,
  entry: JsonMembers,
  options: ImportOptions & Pick<ClientSurroundings, "withholds">,
) {
  const { project } = options;
  const names =
    project === null ? [] : await readdir(project).catch(recoverFrom(isSystemError, [] as string[]));
  const findsPackages = names.some((one) => PACKAGE_MARKS.has(one));
  const read = project === null || options.withholds !== true ? options : withoutShell(options);
  return importedServer(name, entry, { ...read, findsPackages, variables: await variablesOf(entry, read) });
}

/** The options without the variables of this shell that not every service has. */
function withoutShell<Options extends ImportOptions>(options: Options): Options {
  const all = Object.entries(options.environment);
  const environment = Object.fromEntries(all.filter(([name]) => OF_EVERY_SERVICE.has(name)));
  return { ...options, environment, withheld: new Set(all.map(([name]) => name)) };
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
  // Of Continue, before it wrote YAML.
  ["experimental", "modelContextProtocolServers"],
  ...["sse_servers", "shttp_servers", "stdio_servers"].map((kind) => ["mcp", kind]),
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
  // OpenHands lists addresses.
  const entries = value.map((entry) =>
    typeof entry === "string" && entry.includes("://") ? { url: entry } : entry,
  );
  const named = new Map<string, unknown>();
  for (const entry of entries) {
    const name = serverName(objectOf(entry));
    let own = name;
    for (let count = 2; named.has(own); count++) own = `${name}-${count}`;
    named.set(own, entry);
  }
  return Object.fromEntries(named);
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
  if (registered !== null) return [{ ...registered, project: null, section: null }];
  const found = [
    ...SECTIONS.flatMap((section) => entriesIn(serversAt(file, section), null, section)),
    ...projects.flatMap(([path, project]) => entriesIn(serversAt(project, ["mcpServers"]), path)),
  ];
  const top = entriesIn(serversAt(file, []));
  // A section within another one is found twice.
  if (found.length > 0) return [...new Map(found.map((one) => [one.entry, one])).values()];
  // A file about one thing has texts such as its name, and its tables (`repository`, `author`) are not servers.
  const isAboutOne = Object.entries(objectOf(file)).some(
    ([key, value]) => !COMMENT.test(key) && typeof value === "string",
  );
  return !isAboutOne && top.every(({ entry }) => isServerEntry(entry)) ? top : entriesWithin(file);
}

/** Keys of comments: `_comment`, `$schema`, `//`. */
const COMMENT = /^(?:[_$]|\/\/)/;

function entriesIn(
  table: JsonMembers,
  project: string | null = null,
  section: readonly string[] | null = null,
) {
  // What else is in a table of servers is reported as an entry without a server.
  const isOfServers = /servers$/i.test(section?.at(-1) ?? "");
  return Object.entries(table).flatMap(([name, value]) => {
    const entry = isObject(value) ? value : isOfServers ? {} : null;
    const isComment = COMMENT.test(name) && !isServerEntry(entry);
    return entry === null || isComment ? [] : [{ name, entry, project, section }];
  });
}

/** The servers in sections of a table further in: a container's file has the settings of its editor. */
function entriesWithin(table: unknown): ReturnType<typeof entriesIn> {
  return Object.entries(objectOf(table)).flatMap(([key, inner]) => {
    const sections = key === "projects" ? [] : SECTIONS.flatMap((path) => entriesIn(serversAt(inner, path)));
    const servers = sections.filter(({ entry }) => isServerEntry(entry));
    const own = [...new Map(servers.map((one) => [one.entry, one])).values()];
    return key === "projects" || own.length > 0 ? own : entriesWithin(inner);
  });
}
