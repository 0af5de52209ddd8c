// The order of the chain, from the outside in: authorization → limits → telemetry → audit → recovery → routing.
// Telemetry is passed in as `between`.
//
// What authorization refuses never comes to the audit, which is further in; the audit gives it a way to record that
// directly, so the order stays and a refused request costs no more than the line about it.

import { resolveServed } from "../catalog/resolve.ts";
import type { Audit } from "./audit.ts";
import { type AuthorizationParts, createAuthorization } from "./authorization.ts";
import type { GatewayRequest, Handle, Middleware } from "./middleware.ts";
import type { Policies } from "./policies.ts";
import { targetOf } from "./request-target.ts";
import type { RoutingServices } from "./routing-services.ts";

export interface ChainParts {
  /** null: off, as everywhere here. */
  readonly policies: Policies | null;
  /** What policies want a person to be asked about; absent: it is refused. */
  readonly ask?: AuthorizationParts["ask"];
  /** Fails only where what is inside of it does. */
  readonly limits: Middleware | null;
  /** From the outside in. */
  readonly between: readonly Middleware[];
  readonly audit: Audit | null;
  readonly recovery: Middleware;
  readonly routing: Handle;
}

const nobodyAsks: AuthorizationParts["ask"] = async () => "unable";

/** The whole chain; never rejects. What is off is not in it. */
export function composeChain({
  policies,
  ask = nobodyAsks,
  limits,
  between,
  audit,
  recovery,
  routing,
}: ChainParts): Handle {
  const outer: Middleware[] = [];
  if (policies !== null) {
    outer.push(createAuthorization({ policies, ask, denied: (request) => audit?.denied(request) }));
  }
  if (limits !== null) outer.push(limits);
  outer.push(...between);
  if (audit !== null) outer.push(audit.middleware);
  const inner = recovery(routing);
  if (outer.length === 0) return inner;
  if (limits !== null && outer.length === 1) return limits(inner);
  // Once more around all: the audit is to see what recovery made of a failure, and may itself have one.
  return recovery(outer.reduceRight((next, middleware) => middleware(next), inner));
}

// Calls of tools that several machines have in common, with paths as this machine names them: policies, whoever is asked and
// the audit see what is meant, whichever machine's name for it the client has used.

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
