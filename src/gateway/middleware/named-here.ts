// Calls of tools that several machines have in common, with paths as this machine names them: policies, whoever is asked and
// the audit see what is meant, whichever machine's name for it the client has used.
import { resolveServed } from "../catalog/resolve.ts";
import type { GatewayRequest } from "./middleware.ts";
import { targetOf } from "./request-target.ts";
import type { RoutingServices } from "./routing-services.ts";

/** The same request where nothing is named otherwise. */
export function namedHere(
  { together }: Pick<RoutingServices, "together">,
  served: Pick<GatewayRequest["served"], "catalog" | "away">,
  request: GatewayRequest,
): GatewayRequest {
  const { method, params } = request;
  if (together === undefined || method !== "tools/call") return request;
  const target = targetOf(method, params);
  const places = target === null ? undefined : resolveServed(served, target)?.places;
  if (places === undefined) return request;
  const named = together.namedHere(places, params);
  return named === params ? request : { ...request, params: named };
}
