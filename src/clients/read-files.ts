// Reads the servers of clients, or of files that the user names.
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { basename } from "node:path";
import { errorText, MountaineerError, systemErrorCode } from "../runtime/errors.ts";
import { isObject, type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import { CLIENT_NAMES, CLIENTS, type ClientName, type ClientSurroundings, SECTIONS } from "./client.ts";
import { clientFiles } from "./client-places.ts";
import { clientValues, unreadable } from "./client-text.ts";
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
 * Reads the existing files of the named clients. A `path` is a file that the user named, so it must exist.
 */
export async function readFoundFiles(
  words: readonly (ClientName | { readonly path: string })[],
  surroundings: ClientSurroundings,
  options: ImportOptions,
): Promise<readonly FoundFile[]> {
  const found: FoundFile[] = [];
  const taken = new Set(options.kept);
  for (const word of words) {
    const named = typeof word === "string" ? null : word.path;
    const paths = typeof word === "string" ? clientFiles(word, surroundings) : [word.path];
    for (const [index, path] of paths.entries()) {
      const text = await readClientFile(path);
      if (text === null && named !== null)
        throw unreadable(`there is no file at ${path}`, {
          hint: `name a file, or one of the clients ${CLIENT_NAMES.join(", ")}`,
        });
      if (text === null || found.some((file) => file.path === path)) continue;
      const isOfFolder = index > 0;
      const client = typeof word === "string" ? CLIENTS[word].title : basename(path);
      const title = isOfFolder ? `${client} in ${surroundings.folder}` : client;
      const servers = await readServers(text, path, surroundings.folder, options, taken);
      found.push({ path, title, isOfFolder, ...servers });
    }
  }
  return found;
}

async function readServers(
  text: string,
  path: string,
  folder: string,
  options: ImportOptions,
  taken: Set<string>,
): Promise<Pick<FoundFile, "servers" | "empty">> {
  const values = await clientValues(text, path);
  const servers: ImportedServer[] = [];
  const empty: string[] = [];
  for (const { name, entry } of foundEntries(values, folder)) {
    const server = importedServer(name, entry, { ...options, kept: taken });
    if (server === null) empty.push(name);
    else servers.push(server);
    for (const secret of [...(server?.secrets.keys() ?? []), ...(server?.wanted ?? [])]) taken.add(secret);
  }
  return { servers, empty };
}

export function tableAt(file: unknown, path: readonly string[]): JsonMembers {
  return objectOf(path.reduce((inner, segment) => objectOf(inner)[segment], file));
}

/**
 * The entries of a file that are tables, in the file's order. Of Claude Code's entries for folders, only those for
 * `folder` and for the folders above it.
 */
export function foundEntries(file: unknown, folder: string) {
  const projects = Object.entries(tableAt(file, ["projects"])).filter(
    ([path]) => folder === path || folder.startsWith(`${path.replace(/\/$/, "")}/`),
  );
  const tables = [
    ...SECTIONS.map((section) => tableAt(file, section)),
    ...projects.map(([, project]) => tableAt(project, ["mcpServers"])),
  ];
  return tables.flatMap((table) =>
    Object.entries(table).flatMap(([name, entry]) => (isObject(entry) ? [{ name, entry }] : [])),
  );
}
