// Authenticates clients to which a user of the file gave access, and finds the principal that each acts as.
import { memoized } from "../../runtime/memo.ts";
import type { Principal } from "../client-handle.ts";
import type { GrantedAccess, LocalUsers } from "../middleware/incoming-auth.ts";
import type { Authentication } from "../middleware/middleware.ts";
import type { Grant, GrantOrigin, Grants } from "./grants.ts";
import { ownEndpoint, ownResource, resourceAt } from "./protected-resource.ts";

interface GrantedAccessParts {
  readonly users: LocalUsers;
  readonly grants: Grants;
  readonly publicUrl: string | null;
  readonly wallMs: () => number;
}

const ID_PREFIX = "grant ";
const NOT_READ = "the grants of clients cannot be read now";
const OTHER_ADDRESS = "the token is for another address";

export function createGrantedAccess({ users, grants, publicUrl, wallMs }: GrantedAccessParts): GrantedAccess {
  const principalFor = memoized((grant: Grant) => grantedPrincipal(grant, users));
  const principalOf = (grant: Grant | null): Principal | null =>
    grant === null || !isOfEntry(grant, users, grants, wallMs()) ? null : principalFor(grant);
  return {
    resource: ownResource(publicUrl),
    authenticate(token, address): Authentication | null {
      if (!token.toString("latin1").startsWith("mta_")) return null;
      if (!grants.isRead) {
        void grants.load();
        return { ok: false, status: 503, reason: NOT_READ };
      }
      const grant = grants.byAccess(token);
      const principal = principalOf(grant);
      if (grant === null || principal === null) return null;
      const endpoint = ownEndpoint(address, publicUrl);
      const isThere = !("closedBecause" in endpoint) && resourceAt(endpoint, address.path) === grant.resource;
      return isThere ? { ok: true, principal } : { ok: false, reason: OTHER_ADDRESS, error: "invalid_token" };
    },
    refresh: ({ id = "" }) => principalOf(grants.find(id.slice(ID_PREFIX.length))),
  };
}

/**
 * Whether the grant's user still has the entry for which it was given. A grant by a token ends with that token. One that the owner gave
 * ends with the entry: a user who was removed and added again is another one.
 */
export function isOfEntry(
  { user, entry, by_owner: byOwner = false }: GrantOrigin,
  { entries }: Pick<LocalUsers, "entries">,
  grants: Pick<Grants, "entryOf">,
  wallMs: number,
): boolean {
  const known = entries.get(user);
  if (known === undefined) return false;
  const isBy = (sha256: string): boolean => grants.entryOf(user, sha256) === entry;
  const { sha256, old, sha256s } = known;
  return (
    isBy(sha256) ||
    (old !== null && old.endsAtMs > wallMs && isBy(old.sha256)) ||
    (byOwner && [...sha256s].some(isBy))
  );
}

/** The user's present roles, within the grant's limits. */
export function grantedPrincipal(
  { id, user, backends, read_only }: Pick<Grant, "id" | "user" | "backends" | "read_only">,
  { entries }: LocalUsers,
): Principal {
  const { roles = [], account } = entries.get(user)?.principal ?? {};
  const limits = { backends, isReadOnly: read_only };
  const isLimited = backends !== null || read_only;
  const of = account === undefined ? {} : { account };
  return {
    kind: "user",
    id: `${ID_PREFIX}${id}`,
    name: user,
    user,
    roles,
    ...of,
    ...(isLimited && { limits }),
  };
}
