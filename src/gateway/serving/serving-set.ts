// Builds the serving set: one immutable object with the catalog, the authentication and the chain.
import { hash } from "node:crypto";
import type { AuditConfig, AuthorizationConfig } from "../../config/snapshot.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Principal } from "../client-port.ts";
import { createLimits, type LimitParts } from "../limits/limits.ts";
import { createAsking } from "../middleware/asking.ts";
import { type AuditRecord, createAudit } from "../middleware/audit.ts";
import { forbidden, isTargetPermitted } from "../middleware/authorization.ts";
import { composeChain } from "../middleware/chain.ts";
import type { Authenticator } from "../middleware/incoming-auth.ts";
import type { Middleware, ServingSet } from "../middleware/middleware.ts";
import { compilePolicies, type Policies } from "../middleware/policies.ts";
import { createRecovery } from "../middleware/recovery.ts";
import { createRouting } from "../middleware/routing.ts";
import type { RoutingServices } from "../middleware/routing-services.ts";
import { createStepUp } from "../middleware/step-up.ts";
import { createViews } from "./catalog-view.ts";

export interface ServingSetOptions {
  readonly catalog: Catalog;
  readonly away: Catalog | null;
  readonly authentication: Pick<Authenticator, "authenticate" | "refresh" | "signed">;
  /** The roles that each scope of a signed token gives; absent: none. */
  readonly scopes?: Readonly<Record<string, readonly string[]>>;
  /** null: off. */
  readonly authorization: AuthorizationConfig | null;
  /** null: off. The file outlives this set. */
  readonly audit: { readonly config: AuditConfig; write(record: AuditRecord): void } | null;
  readonly services: RoutingServices;
  /** Names of the backends that are configured and enabled. */
  readonly backends: readonly string[];
  /** How long a call of each may take, ms; absent: 60 s. */
  readonly callMs?: ReadonlyMap<string, number>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Takes registered secrets out of a text. */
  readonly clean: (text: string) => string;
  /** null: off. */
  readonly limits?: LimitParts | null;
  /** Telemetry: what comes between limits and audit, from the outside in. */
  readonly between?: readonly Middleware[];
}

const DEFAULT_CALL_MS = 60_000;

/** Cheap: views and digests are computed when first asked for, the chain once. */
export function buildServingSet(options: ServingSetOptions): ServingSet {
  const {
    catalog,
    away,
    authentication,
    authorization,
    audit,
    services,
    backends,
    callMs,
    clock,
    logger,
    clean,
    limits = null,
  } = options;
  const policies = authorization === null ? null : compilePolicies(authorization);
  const audited =
    audit === null
      ? null
      : createAudit({ config: audit.config, write: (record) => audit.write(record), clock, clean });
  return {
    catalog,
    away,
    backendAway(principal, name) {
      const entry = catalog.tools.has(name) ? undefined : away?.tools.get(name);
      if (away === null || entry === undefined) return null;
      if (policies === null) return entry.backend;
      // Whoever may not call it must not learn by waiting that it is there.
      const isPermitted = isTargetPermitted(policies, away, principal, { kind: "tool", name }, "tools/call");
      return isPermitted ? entry.backend : null;
    },
    authenticate: (headers) => authentication.authenticate(headers),
    refresh: (principal) => authentication.refresh(principal),
    resource: authentication.signed?.resource ?? null,
    missingScope: stepUp(options, policies),
    viewFor: createViews(catalog, policies, (text) => hash("sha256", text, "base64url")),
    mayBeNotified(principal, uri) {
      // What the filters leave of no backend cannot be read either.
      if (!catalog.resourceReach.some((reach) => reach.permits(uri))) return false;
      if (policies === null) return true;
      const known = authentication.refresh(principal);
      const target = { kind: "resource", name: uri } as const;
      return known !== null && isTargetPermitted(policies, catalog, known, target, "resources/subscribe");
    },
    handle: composeChain({
      policies,
      ask: createAsking({ clock, clean, callMs: (backend) => callMs?.get(backend) ?? DEFAULT_CALL_MS }),
      limits: limits === null ? null : createLimits(limits),
      between: options.between ?? [],
      audit: audited,
      recovery: createRecovery({ logger, clean }),
      routing: createRouting(services, backends),
    }),
    stopped(request) {
      const refusal = limits?.limiter.count(request.port.client.principal) ?? null;
      if (refusal !== null) return { reply: refusal, isOver: false };
      const reply = policies === null ? null : forbidden(policies, request);
      return reply === null ? null : { reply, isOver: true };
    },
    denied: (request) => audited?.denied(request),
  };
}

/** Off where no policy could ask for a scope. */
function stepUp(
  { authentication: { signed }, authorization, catalog, scopes = {} }: ServingSetOptions,
  policies: Policies | null,
): ServingSet["missingScope"] {
  if (signed === null || authorization === null || policies === null) return () => null;
  const scopesOf = (principal: Principal): readonly string[] | null => signed.scopesOf(principal);
  return createStepUp({ policies, authorization, catalog, scopes, scopesOf });
}
