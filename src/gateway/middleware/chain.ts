// The order of the middleware, from the outside in: authorization → limits → telemetry → audit → recovery → routing.
// What scripts may do is asked after authorization.
// A request that authorization refuses never reaches the audit, so authorization calls `Audit.denied` to record it.
import type { Audit } from "./audit.ts";
import { type AuthorizationParts, createAuthorization } from "./authorization.ts";
import type { Handle, Middleware } from "./middleware.ts";
import type { Policies } from "./policies.ts";

export interface ChainParts {
  /** null: off, like the other parts below. */
  readonly policies: Policies | null;
  readonly requestConsent: AuthorizationParts["requestConsent"];
  readonly countRefused: AuthorizationParts["countRefused"];
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
  const {
    policies,
    requestConsent,
    countRefused,
    scripts = null,
    limits,
    between,
    audit,
    recovery,
    routing,
  } = parts;
  const outer: Middleware[] = [];
  if (policies !== null) {
    outer.push(
      createAuthorization({
        policies,
        requestConsent,
        countRefused,
        denied: (request, rule) => audit?.denied(request, rule),
      }).middleware,
    );
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
