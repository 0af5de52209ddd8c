// Which machine a call of a shared tool goes to. Pure.
import type { Readiness } from "../backends/policy/backend-pool-contract.ts";
import type { Standing } from "../backends/policy/required-data.ts";

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
