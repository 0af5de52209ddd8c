// Decides whether backends on several machines may share their tools: all must require the same shares, and
// use the same folders in them. Pure.
import { posix } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { ServedBackend } from "../../config/snapshot.ts";
import { requirementText } from "../../config/values/requirement.ts";
import { shortened } from "../../runtime/text/foreign-line.ts";
import type { Readiness } from "../backends/policy/backend-pool-contract.ts";
import { DATA_ROUTES, type DataRoute } from "../backends/policy/required-data.ts";

/** Maximum number of characters that a message shows of a list from another machine. */
const LONGEST_LIST = 200;

/** What must be known of a backend on one machine to decide whether it may share its tools. */
export interface PlaceFacts {
  /** The machine's folder of shares: absolute, without a trailing slash. */
  readonly sharesRoot: string;
  /** Folders below `sharesRoot` that the backend's command names: relative, sorted; `""` is the whole folder. */
  readonly roots: readonly string[];
  /** The required shares, as `requirementText` writes them, sorted. */
  readonly requires: readonly string[];
}

/** An approved backend of another machine, as that machine describes it. */
export interface SharedPlace extends PlaceFacts {
  readonly machine: string;
  readonly backend: string;
  /** The worst route in use by the mounts of the required shares; null: the backend requires no share. */
  readonly standing: DataRoute | null;
  /** Number of calls in flight at this place, of all clients. */
  readonly busy: number;
}

/** A backend of this machine as described to other machines. */
export type LentPlace = Pick<SharedPlace, "roots" | "requires" | "standing" | "busy">;

/** Equal for backends that may share their tools. */
export function agreementKey({ roots, requires }: Pick<PlaceFacts, "roots" | "requires">): string {
  return JSON.stringify([roots, requires]);
}

/** Why the backend `there` may not share tools with the one `here`, as a text for people; null: it may. */
export function differenceOf(there: PlaceFacts, here: PlaceFacts): string | null {
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

/** Absolute paths in the arguments of the backend's commands. */
export function namedPaths(backend: Reached): readonly string[] {
  return sorted(commandsOf(backend).flatMap(({ args }) => absolutePaths(args.flatMap(pathsIn))));
}

export function factsOf(backend: Reached, sharesRoot: string): PlaceFacts {
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

/** The possible paths in an argument: `/shares/CORE` and `--root=/shares/CORE` both contain one. */
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

export interface PlaceState extends Pick<SharedPlace, "standing" | "busy"> {
  /** The pool's name: `files`, `files@desktop`. */
  readonly backend: string;
  readonly isOwn: boolean;
  readonly readiness: Readiness;
}

const READINESS: readonly Readiness[] = ["ready", "waits", "refuses"];
const ROUTE_RANKS: readonly (DataRoute | null)[] = [null, ...DATA_ROUTES];

/**
 * The places in the order in which a call tries them: by readiness, then by the route of the required shares,
 * then by the number of calls in flight; among equals, this machine's place comes first. A place whose share
 * is not mounted counts as waiting.
 */
export function byPreference(places: readonly PlaceState[]): readonly PlaceState[] {
  const rank = ({ readiness, standing, busy, isOwn }: PlaceState): readonly number[] => [
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

function withoutShareWaits(place: PlaceState): PlaceState {
  return place.standing === "none" && place.readiness === "ready" ? { ...place, readiness: "waits" } : place;
}
