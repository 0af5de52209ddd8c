// The interface by which the system sends to an address: picks the platform's look-up.
import type { Clock } from "../../runtime/time/clock.ts";
import { lookUpRouteDarwin } from "./route-lookup-darwin.ts";
import { lookUpRouteLinux } from "./route-lookup-linux.ts";
import type { RouteLookup } from "./route-output.ts";

/** Never rejects but for the signal's reason. */
export function lookUpRoute(address: string, clock: Clock, signal: AbortSignal): Promise<RouteLookup> {
  return process.platform === "darwin"
    ? lookUpRouteDarwin(address, clock, signal)
    : lookUpRouteLinux(address, clock, signal);
}
