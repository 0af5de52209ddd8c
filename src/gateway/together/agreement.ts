// What must be equal of backends on several machines before their tools can be one: which shares they need, and on which
// folders of those they work. Pure.
import { posix } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { ServedBackend } from "../../config/snapshot.ts";
import { requirementText, type ShareRequirement } from "../../config/values/requirement.ts";
import { shortened } from "../../runtime/text/foreign-line.ts";
import type { Readiness } from "../backends/policy/backend-pool-contract.ts";
import type { Standing } from "../backends/policy/required-data.ts";

/** Of what another machine names, in a sentence: characters. */
const LONGEST_LIST = 200;

/** Of one backend on one machine. */
export interface PlaceFacts {
  /** Where that machine has its shares: absolute, without a slash at its end. */
  readonly sharesRoot: string;
  /** Folders below it that its command names, relative, in order; `""` is all of it. */
  readonly roots: readonly string[];
  /** Shares that it requires, as `requirementText` writes them, in order. */
  readonly requires: readonly string[];
}

/** An approved backend of another machine, as that machine tells it. */
export interface SharedPlace extends PlaceFacts {
  readonly machine: string;
  readonly backend: string;
  /** How the worst of the shares is mounted there; null: it requires none. */
  readonly standing: Standing | null;
  /** Its calls under way there, all clients'. */
  readonly busy: number;
}

/** What a machine tells of one of its own backends. */
export type LentPlace = Pick<SharedPlace, "roots" | "requires" | "standing" | "busy">;

/** Equal for backends whose tools may be one. */
export function agreementKey({ roots, requires }: Pick<PlaceFacts, "roots" | "requires">): string {
  return JSON.stringify([roots, requires]);
}

/** What keeps tools of a backend there from being one with those here, in words; null: nothing of this. */
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

/** Absolute paths that the arguments of its commands name, wherever they are. */
export function namedPaths({ connection, routes }: Reached): readonly string[] {
  const all = [connection, ...(routes ?? []).map((route) => route.connection)];
  const paths = all.flatMap((one) => (one.type === "stdio" ? one.args.flatMap(pathsIn) : []));
  return inOrder(paths.filter((path) => path.startsWith("/")).map(plainPath));
}

/** Of a backend of this machine. */
export function factsOf(backend: Reached, sharesRoot: string): PlaceFacts {
  const { connection, routes, requires } = backend;
  const roots = [connection, ...(routes ?? []).map((route) => route.connection)].flatMap((one) =>
    one.type === "stdio"
      ? [...one.args.flatMap(pathsIn), one.cwd].flatMap((path) => below(path, sharesRoot))
      : [],
  );
  return { sharesRoot, roots: inOrder(roots), requires: inOrder(requires.map(textOf)) };
}

function textOf(requirement: ShareRequirement): string {
  return requirementText(requirement);
}

/** `/shares/CORE`, and what `--root=/shares/CORE` names. */
function pathsIn(argument: string): readonly string[] {
  const at = argument.indexOf("=");
  return at === -1 ? [argument] : [argument, argument.slice(at + 1)];
}

function below(path: string, sharesRoot: string): readonly string[] {
  if (!path.startsWith("/")) return [];
  const plain = plainPath(path);
  if (plain === sharesRoot) return [""];
  return plain.startsWith(`${sharesRoot}/`) ? [plain.slice(sharesRoot.length + 1)] : [];
}

function plainPath(path: string): string {
  return posix.normalize(path).replace(/\/+$/, "");
}

function inOrder(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].toSorted();
}

// Which machine a call of a shared tool goes to. Pure.

export interface PlaceState {
  /** As the pool knows it: `files`, `files@desktop`. */
  readonly backend: string;
  readonly isOwn: boolean;
  readonly readiness: Readiness;
  /** How the worst of its shares is mounted; null: it requires none. */
  readonly standing: Standing | null;
  /** Calls under way. */
  readonly busy: number;
}

const READINESS: readonly Readiness[] = ["ready", "waits", "refuses"];
const STANDINGS: readonly (Standing | null)[] = [null, "tb", "fallback", "none"];

/** Best first: it can take a call, its share is mounted best, it is least busy, it is here. A share that is away waits. */
export function byPreference(places: readonly PlaceState[]): readonly PlaceState[] {
  const rank = ({ readiness, standing, busy, isOwn }: PlaceState): readonly number[] => [
    READINESS.indexOf(readiness),
    STANDINGS.indexOf(standing),
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
