// The daemon's report on the fleet, requested while a view that shows it is open and visible.
import type { FleetReport } from "../../../api/contract/fleet.ts";
import { recoverFrom } from "../../../runtime/errors.ts";
import { useStore } from "../daemon/store.ts";
import type { App } from "../parts/app.ts";
import { type Loaded, useLoaded } from "../parts/use-loaded.ts";

/**
 * Time between two requests, ms. The page polls, because events for every change of a thousand machines would
 * also reach pages that show no fleet.
 */
const AGAIN_MS = 1_000;

/** Requests the fleet's report. "off": no fleet is configured, so the daemon is not asked. */
export function useFleet(app: App): Loaded<FleetReport | "off"> {
  const isIn = useStore(app.store, ({ status }) => status?.global.in_fleet === true);
  const load = async (signal: AbortSignal): Promise<FleetReport | "off"> =>
    isIn
      ? app.requests.call("fleet", null, { signal }).catch(recoverFrom("fleet_off", "off" as const))
      : "off";
  return useLoaded(load, isIn, isIn ? AGAIN_MS : null);
}
