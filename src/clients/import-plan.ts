// Which of the servers that were found become backends: each once, under a name that is free. Pure.
import { isDeepStrictEqual } from "node:util";
import type { ConfigTable } from "../config/edit/edit-value.ts";
import { objectOf } from "../runtime/text/json-object.ts";
import { backendName, type ImportedServer } from "./imported-server.ts";

/** Of one file, in its order. */
export interface FoundFile {
  readonly path: string;
  /** "Claude Desktop"; of a file that was named, its name. */
  readonly title: string;
  readonly servers: readonly ImportedServer[];
  /** Names of entries that start nothing and lead nowhere. */
  readonly empty: readonly string[];
}

export interface PlannedBackend extends ImportedServer {
  readonly title: string;
}

export interface ImportPlan {
  readonly added: readonly PlannedBackend[];
  /** Servers that stand here already, or twice in what was found, by the name that they have or get here. */
  readonly present: readonly string[];
}

/** `backends`: the tables of the configuration as it stands, by name. `isOurs`: an entry that leads to this program. */
export function planImport(
  files: readonly FoundFile[],
  backends: Readonly<Record<string, unknown>>,
  isOurs: (table: ConfigTable) => boolean,
): ImportPlan {
  const added: PlannedBackend[] = [];
  const present: string[] = [];
  const taken = new Map<string, unknown>(Object.entries(backends));
  for (const { title, servers } of files) {
    for (const server of servers) {
      if (isOurs(server.table)) continue;
      const twin = [...taken].find(([, table]) => isSameServer(table, server.table));
      if (twin !== undefined) {
        present.push(twin[0]);
        continue;
      }
      const name = freeName(server.name, title, taken);
      taken.set(name, server.table);
      added.push({ ...server, name, title });
    }
  }
  return { added, present: [...new Set(present)] };
}

/** What decides what runs, or where it leads; settings beside that, and where a secret is kept, make no other server. */
export function isSameServer(one: unknown, other: ConfigTable): boolean {
  const told = objectOf(one);
  const essence = ({ command, args, url }: Readonly<Record<string, unknown>>): unknown => ({
    command: command ?? null,
    args: args ?? [],
    url: url ?? null,
  });
  const variables = (table: Readonly<Record<string, unknown>>): unknown =>
    Object.keys(objectOf(table["env"])).sort();
  return (
    isDeepStrictEqual(essence(told), essence(other)) && isDeepStrictEqual(variables(told), variables(other))
  );
}

function freeName(name: string, title: string, taken: ReadonlyMap<string, unknown>): string {
  const candidates = [name, backendName(`${name}-${title.toLowerCase()}`)];
  const free = candidates.find((candidate) => !taken.has(candidate));
  if (free !== undefined) return free;
  for (let count = 2; ; count++) {
    const candidate = `${name}-${count}`;
    if (!taken.has(candidate)) return candidate;
  }
}
