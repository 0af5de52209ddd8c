// Which scope a token lacks for a request: what the policies forbid, and would allow with one more scope.
import type { AuthorizationConfig } from "../../config/snapshot.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { resolveTarget } from "../catalog/resolve.ts";
import type { Principal } from "../client-port.ts";
import { isTargetPermitted } from "./authorization.ts";
import type { ServingSet } from "./middleware.ts";
import type { Policies } from "./policies.ts";
import { targetOf } from "./request-target.ts";

const SCOPE_ROLE = /^scope:([^*?[\]{}]+)$/;
const LACKING = "the token lacks a scope that is needed for this";

interface StepUpOptions {
  readonly policies: Policies;
  readonly authorization: AuthorizationConfig;
  readonly catalog: Catalog;
  /** The roles that each scope gives. */
  readonly scopes: Readonly<Record<string, readonly string[]>>;
  /** null: it has no signed token. */
  readonly scopesOf: (principal: Principal) => readonly string[] | null;
}

export function createStepUp(options: StepUpOptions): ServingSet["missingScope"] {
  const { policies, authorization, catalog, scopes, scopesOf } = options;
  const known = new Set([...Object.keys(scopes), ...scopesInPolicies(authorization)]);
  return (principal, method, params) => {
    const own = scopesOf(principal);
    const target = own === null ? null : targetOf(method, params);
    if (own === null || target === null || resolveTarget(catalog, target) === null) return null;
    const isPermitted = (who: Principal): boolean =>
      isTargetPermitted(policies, catalog, who, target, method);
    if (isPermitted(principal)) return null;
    for (const scope of known) {
      const given = Object.hasOwn(scopes, scope) ? (scopes[scope] ?? []) : [];
      const roles = [...principal.roles, `scope:${scope}`, ...given];
      if (own.includes(scope) || !isPermitted({ ...principal, roles })) continue;
      // What it has already, too: a client that asks for the new one alone would lose the others.
      const scopesNeeded = [...own.filter((one) => known.has(one)), scope].join(" ");
      return { ok: false, status: 403, error: "insufficient_scope", reason: LACKING, scope: scopesNeeded };
    }
    return null;
  };
}

/** Those that a policy names in full. */
function scopesInPolicies({ policies }: AuthorizationConfig): string[] {
  return policies.flatMap(({ roles }) => (roles ?? []).flatMap((role) => SCOPE_ROLE.exec(role)?.[1] ?? []));
}
