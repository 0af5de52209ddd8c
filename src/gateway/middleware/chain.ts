// The order of the middleware, from the outside in: authorization → limits → telemetry → audit → recovery → routing.
// What scripts may do is asked after authorization.
// A request that authorization refuses never reaches the audit, so authorization calls `Audit.denied` to record it.
import type { Catalog } from "../catalog/catalog.ts";
import { resolveTarget } from "../catalog/resolve.ts";
import type { Audit } from "./audit.ts";
import { type AuthorizationParts, createAuthorization } from "./authorization.ts";
import type { GatewayRequest, Handle, Middleware } from "./middleware.ts";
import type { Policies } from "./policies.ts";
import { targetOf } from "./request-target.ts";
import type { RoutingServices } from "./routing-services.ts";

export interface ChainParts {
  /** null: off, like the other parts below. */
  readonly policies: Policies | null;
  readonly ask: AuthorizationParts["ask"];
  /** The consent for scripts and their calls; absent or null: no scripts. */
  readonly scripts?: Middleware | null;
  /** Rejects only if an inner middleware does. */
  readonly limits: Middleware | null;
  /** Further middleware (telemetry), from the outside in. */
  readonly between: readonly Middleware[];
  readonly audit: Audit | null;
  readonly recovery: Middleware;
  readonly routing: Handle;
}

/** Builds the chain of those parts that are configured. The chain never rejects. */
export function composeChain(parts: ChainParts): Handle {
  const { policies, ask, scripts = null, limits, between, audit, recovery, routing } = parts;
  const outer: Middleware[] = [];
  if (policies !== null) {
    outer.push(createAuthorization({ policies, ask, denied: (request) => audit?.denied(request) }));
  }
  if (scripts !== null) outer.push(scripts);
  if (limits !== null) outer.push(limits);
  outer.push(...between);
  if (audit !== null) outer.push(audit.middleware);
  const inner = recovery(routing);
  if (outer.length === 0) return inner;
  if (limits !== null && outer.length === 1) return limits(inner);
  // Recovery is twice in the chain: inside, so that the audit sees its replies, and outside, for failures of the audit.
  return recovery(outer.reduceRight((next, middleware) => middleware(next), inner));
}

/**
 * Returns the request. If it calls a tool that several machines have in common, its paths become those of this
 * machine, so that policies, questions and the audit see one name for each file.
 */
export function namedHere(
  { together }: Pick<RoutingServices, "together">,
  catalog: Catalog,
  request: GatewayRequest,
): GatewayRequest {
  const { method, params } = request;
  if (together === undefined || method !== "tools/call") return request;
  const target = targetOf(method, params);
  const places = target === null ? undefined : resolveTarget(catalog, target)?.replicas;
  if (places === undefined) return request;
  const named = together.namedHere(places, params);
  return named === params ? request : { ...request, params: named };
}
