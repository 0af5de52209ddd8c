// Whether backends on several machines may share their tools: they must require the same shares, and use the
// same folders in them. Pure.
import { posix } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { ServedBackend } from "../../config/snapshot.ts";
import { requirementText } from "../../config/values/requirement.ts";
import { shortened } from "../../runtime/text/safe-line.ts";
import type { Readiness } from "../backends/policy/backend-pool-contract.ts";
import { DATA_ROUTES, type DataRoute } from "../backends/policy/required-data.ts";

/** Maximum number of characters of another machine's list that a message shows. */
const LONGEST_LIST = 200;

export interface ReplicaFacts {
  /** Absolute, without a trailing slash. */
  readonly sharesRoot: string;
  /** Folders below `sharesRoot` that the backend's command names, sorted. `""`: all of it. */
  readonly roots: readonly string[];
  /** The requirements, each as `requirementText` writes it, sorted. */
  readonly requires: readonly string[];
}

/** Another machine's approved backend, as that machine describes it. */
export interface Replica extends ReplicaFacts {
  readonly machine: string;
  readonly backend: string;
  /** The worst route over which a required share is mounted; null: the backend requires no share. */
  readonly standing: DataRoute | null;
  /** Calls in flight, of all clients. */
  readonly busy: number;
  /** A call starts it first. */
  readonly asleep?: boolean | undefined;
}

/** What other machines are told of a backend. */
export type ExportedReplica = Pick<Replica, "roots" | "requires" | "standing" | "busy" | "asleep">;

/** Makes a key that is equal for backends whose tools may be published as one. */
export function agreementKey({ roots, requires }: Pick<ReplicaFacts, "roots" | "requires">): string {
  return JSON.stringify([roots, requires]);
}

/** Says for people why two backends may not share their tools; null: they may. */
export function differenceOf(there: ReplicaFacts, here: ReplicaFacts): string | null {
  if (agreementKey(there) === agreementKey(here)) return null;
  if (!isDeepStrictEqual(there.requires, here.requires)) {
    return `there it requires ${listed(there.requires, "no share")}, here ${listed(here.requires, "no share")}`;
  }
  return `there its command names ${folders(there.roots)}, here ${folders(here.roots)}`;
}

function folders(roots: readonly string[]): string {
  return listed(
    roots.map((root) => (root === "" ? "all shares" : root)),
    "no folder of a share",
  );
}

function listed(texts: readonly string[], none: string): string {
  return texts.length === 0 ? none : shortened(texts.join(", "), LONGEST_LIST);
}

type Reached = Pick<ServedBackend, "connection" | "routes" | "requires">;

export function namedPaths(backend: Reached): readonly string[] {
  return sorted(commandsOf(backend).flatMap(({ args }) => absolutePaths(args.flatMap(pathsIn))));
}

export function factsOf(backend: Reached, sharesRoot: string): ReplicaFacts {
  const paths = commandsOf(backend).flatMap(({ args, cwd }) => [...args.flatMap(pathsIn), cwd]);
  const roots = absolutePaths(paths).flatMap((path) => {
    if (path === sharesRoot) return [""];
    return path.startsWith(`${sharesRoot}/`) ? [path.slice(sharesRoot.length + 1)] : [];
  });
  return { sharesRoot, roots: sorted(roots), requires: sorted(backend.requires.map(requirementText)) };
}

function commandsOf({ connection, routes }: Reached) {
  const all = [connection, ...(routes ?? []).map((route) => route.connection)];
  return all.filter((one) => one.type === "stdio");
}

/** The paths that an argument may name: both `/shares/CORE` and the part after `=` in `--root=/shares/CORE`. */
function pathsIn(argument: string): readonly string[] {
  const at = argument.indexOf("=");
  return at === -1 ? [argument] : [argument, argument.slice(at + 1)];
}

function absolutePaths(paths: readonly string[]): readonly string[] {
  return paths
    .filter((path) => path.startsWith("/"))
    .map((path) => posix.normalize(path).replace(/\/+$/, ""));
}

function sorted(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].toSorted();
}

// Chooses the machine for a call of a shared tool. Pure.

export interface ReplicaState extends Pick<Replica, "standing" | "busy"> {
  /** As the pool names it: `files`, `files@desktop`. */
  readonly backend: string;
  readonly isOwn: boolean;
  readonly readiness: Readiness;
}

const READINESS: readonly Readiness[] = ["ready", "asleep", "waits", "refuses"];
const ROUTE_RANKS: readonly (DataRoute | null)[] = [null, ...DATA_ROUTES];

/**
 * The best first: by readiness, route of the required shares, calls in flight, and this machine before
 * others. A place whose share is not mounted counts as waiting.
 */
export function byPreference(places: readonly ReplicaState[]): readonly ReplicaState[] {
  const rank = ({ readiness, standing, busy, isOwn }: ReplicaState): readonly number[] => [
    READINESS.indexOf(readiness),
    ROUTE_RANKS.indexOf(standing),
    busy,
    isOwn ? 0 : 1,
  ];
  return places.map(withoutShareWaits).toSorted((one, other) => {
    const [ranks, others] = [rank(one), rank(other)];
    const at = ranks.findIndex((value, index) => value !== others[index]);
    if (at === -1) return one.backend < other.backend ? -1 : 1;
    return (ranks[at] ?? 0) - (others[at] ?? 0);
  });
}

function withoutShareWaits(place: ReplicaState): ReplicaState {
  return place.standing === "none" && place.readiness === "ready" ? { ...place, readiness: "waits" } : place;
}
