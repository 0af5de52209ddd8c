// Paths in a call's arguments, as the machine that serves it knows them: machines may have their shares in different
// folders. Pure.
import { isJsonObject, type JsonObject } from "../json-rpc.ts";

const DEEPEST = 12;
/** Values of one call that are looked at; what comes later stays as it is. */
const MOST_VALUES = 5_000;

export interface PathNames {
  /** Folders of the shares' folder that all have in common. */
  readonly roots: readonly string[];
  /** Where machines have their shares: first this one, below which nothing is another one's. */
  readonly sharesRoots: readonly string[];
  /** Other folders of this machine; absent: none are known. */
  readonly beside?: readonly string[];
}

/**
 * The same params, with each text among the arguments that is one of the roots of any of the machines, or a path below it,
 * named as on the machine with `sharesRoot`. The same object where nothing is another.
 */
export function withPathsOf(
  params: JsonObject | undefined,
  { roots, sharesRoots, beside = [] }: PathNames,
  sharesRoot: string,
): JsonObject | undefined {
  const given = params?.["arguments"];
  if (!isJsonObject(given) || sharesRoots.every((one) => one === sharesRoot)) return params;
  const prefixes = sharesRoots.flatMap((from) =>
    roots.map((root) => ({ from: joined(from, root), to: joined(sharesRoot, root) })),
  );
  const own = prefixes.slice(0, roots.length);
  const folders = [...sharesRoots.slice(0, 1), ...beside];
  const named = (text: string): string => {
    const isOwn = folders.some((folder) => isWithin(text, folder));
    const found = (isOwn ? own : prefixes).find(({ from }) => isWithin(text, from));
    return found === undefined ? text : found.to + text.slice(found.from.length);
  };
  let left = MOST_VALUES;
  const renamed = (value: unknown, depth: number): unknown => {
    left -= 1;
    if (left < 0) return value;
    if (typeof value === "string") return named(value);
    if (depth >= DEEPEST) return value;
    if (Array.isArray(value)) {
      const copy = value.map((part: unknown) => renamed(part, depth + 1));
      return copy.some((part, at) => part !== value[at]) ? copy : value;
    }
    if (!isJsonObject(value)) return value;
    const entries = Object.entries(value).map(([key, part]) => [key, renamed(part, depth + 1)] as const);
    return entries.some(([key, part]) => part !== value[key]) ? Object.fromEntries(entries) : value;
  };
  const changed = renamed(given, 0);
  return changed === given ? params : { ...params, arguments: changed };
}

function isWithin(text: string, folder: string): boolean {
  return text === folder || text.startsWith(`${folder}/`);
}

function joined(folder: string, root: string): string {
  return root === "" ? folder : `${folder}/${root}`;
}
