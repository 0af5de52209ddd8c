// Looks at a mount that a step has just made, until the step ends.
import { whenAborted } from "../../runtime/abort.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { Look, Prober } from "../prober/prober.ts";
import type { FoundMount } from "./mount-driver.ts";
import { type Failed, failed } from "./mount-failure.ts";

type NewMount = Pick<FoundMount, "id" | "path">;

/** null: the step was cancelled. `waitMs` below 0 counts as 0. */
export function lookAtNewMount(
  prober: Prober,
  { id, path }: NewMount,
  waitMs: number,
  signal: AbortSignal,
): Promise<Look | null> {
  return Promise.race([prober.look(id, path, Math.max(0, waitMs)), whenAborted(signal).then(() => null)]);
}

interface ListingLimits {
  /** Monotonic ms. */
  readonly untilMs: number;
  readonly signal: AbortSignal;
  /** Errnos with which the mount counts as made. */
  readonly tolerated?: readonly string[];
}

/** Why a mount is not proved; null: it lists. Only a listing proves that there is a share behind it. */
export async function whyNotListed(
  { clock, prober }: { readonly clock: Clock; readonly prober: Prober },
  mount: NewMount,
  { untilMs, signal, tolerated = [] }: ListingLimits,
): Promise<Failed | null> {
  const look = await lookAtNewMount(prober, mount, untilMs - clock.monotonicMs(), signal);
  if (look === null) return failed("other", "cancelled");
  if (look.state !== "answered") return failed("timed_out", "the share did not list in time");
  if (look.errno === null || tolerated.includes(look.errno)) return null;
  return failed("other", `the share does not list (${look.errno})`);
}
