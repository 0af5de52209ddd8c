// The readings that a client's request waits for: of the lists that it asks for, and of those that may have a name that no list
// has.
import { machineOf } from "../../config/values/backend-names.ts";
import { TEXT_BOUNDS } from "../../runtime/text/bounds.ts";
import type { BackendPool } from "../backends/pool/backend-pool.ts";
import { calledByPage } from "../catalog/app-pages.ts";
import { ENTRY_LISTS, type EntryKind } from "../catalog/catalog.ts";
import { type NameOwners, nameKey } from "../catalog/names.ts";
import type { JsonObject } from "../json-rpc.ts";
import {
  CALL_TOOL,
  FIND_TOOL,
  RUN_SCRIPT,
  type ServedClient,
  type ServingSet,
} from "../middleware/middleware.ts";
import { type RequestTarget, targetOf } from "../middleware/request-target.ts";
import { declaresApps, type ListKind } from "../protocol.ts";

const KIND_OF_METHOD: ReadonlyMap<string, ListKind> = new Map(
  ENTRY_LISTS.map(({ method, filter }) => [method, filter]),
);
const KIND_OF_ENTRY: ReadonlyMap<EntryKind, ListKind> = new Map(
  ENTRY_LISTS.map(({ kind, filter }) => [kind, filter]),
);

interface ReadParts {
  readonly pool: Pick<BackendPool, "readDueLists">;
  readonly served: ServingSet;
  /** The names that clients have seen. */
  readonly names: NameOwners;
  readonly backends: readonly string[];
}

/** Resolves when the request may be served; null: now. */
export function dueLists(
  { pool, served, names, backends }: ReadParts,
  { principal, capabilities }: ServedClient,
  { method, params }: { readonly method: string; readonly params?: JsonObject | undefined },
): Promise<void> | null {
  const target = targetOf(method, params);
  const own = target?.kind === "tool" && served.introduction !== null ? target.name : null;
  const listed = own === FIND_TOOL ? "tools" : KIND_OF_METHOD.get(method);
  if (listed !== undefined)
    return pool.readDueLists([listed], (backend) => (served.serves(backend) ? "list" : null));
  const isOwn = own === CALL_TOOL || own === RUN_SCRIPT;
  if (target === null || isOwn || served.ownerOf(principal, target) !== null) return null;
  if (declaresApps(capabilities) && calledByPage(served.catalog, target.name).length > 0) return null;
  const kind = KIND_OF_ENTRY.get(target.kind);
  if (kind === undefined || target.name.length > TEXT_BOUNDS.uri.most) return null;
  const candidates = backends.filter((backend) => served.mayOffer(principal, { ...target, backend }, method));
  const owners = ownersOf(target, names, candidates);
  return pool.readDueLists([kind], (backend) => {
    if (!candidates.includes(backend)) return null;
    return owners.length === 0 || owners.includes(backend) ? "name" : "notice";
  });
}

/** The backends to which the name belonged before, or whose name it begins with; empty: it may be any. */
function ownersOf(
  { kind, name }: RequestTarget,
  names: NameOwners,
  backends: readonly string[],
): readonly string[] {
  if (kind !== "tool" && kind !== "prompt") return [];
  const before = names.get(nameKey(kind, name))?.backend;
  if (before !== undefined && backends.includes(before)) return [before];
  const prefixed = backends.filter((backend) => name.startsWith(prefixOf(backend)));
  const longest = Math.max(...prefixed.map((backend) => prefixOf(backend).length));
  return prefixed.filter((backend) => prefixOf(backend).length === longest);
}

/** Names of another machine's servers begin with that machine's name. */
function prefixOf(backend: string): string {
  return `${machineOf(backend) ?? backend}_`;
}
