// Finds the servers in a client's file, wherever they stand in it.
import { isObject, type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import { SECTIONS } from "./client.ts";

interface FoundEntry {
  readonly name: string;
  readonly entry: JsonMembers;
}

function at(value: unknown, path: readonly string[]): unknown {
  let inner = value;
  for (const segment of path)
    inner = isObject(inner) && Object.hasOwn(inner, segment) ? inner[segment] : undefined;
  return inner;
}

/**
 * The entries of `file`, in its order. Claude Code keeps more of them by folder: those of `folder` and of the folders
 * above it count. A value that is not a table is skipped.
 */
export function foundEntries(file: unknown, folder: string): readonly FoundEntry[] {
  const projects = Object.entries(objectOf(at(file, ["projects"]))).filter(
    ([path]) => folder === path || folder.startsWith(`${path.replace(/\/$/, "")}/`),
  );
  const tables = [
    ...SECTIONS.map((section) => at(file, section)),
    ...projects.map(([, project]) => at(project, ["mcpServers"])),
  ];
  return tables.flatMap((table) =>
    Object.entries(objectOf(table)).flatMap(([name, entry]) => (isObject(entry) ? [{ name, entry }] : [])),
  );
}
