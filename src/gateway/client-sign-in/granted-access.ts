// Authenticates clients to which a user of the file gave access, and finds the principal that each acts as.
import { memoized } from "../../runtime/memo.ts";
import type { Principal } from "../client-handle.ts";
import type { GrantedAccess, LocalUsers } from "../middleware/incoming-auth.ts";
import type { Authentication } from "../middleware/middleware.ts";
import type { Grant, Grants } from "./grants.ts";
import { ownEndpoint, ownResource, resourceAt } from "./protected-resource.ts";

interface GrantedAccessParts {
  readonly users: LocalUsers;
  readonly grants: Grants;
  readonly publicUrl: string | null;
}

const ID_PREFIX = "grant ";
const NOT_READ = "the grants of clients cannot be read now";
const OTHER_ADDRESS = "the token is for another address";

export function createGrantedAccess({ users, grants, publicUrl }: GrantedAccessParts): GrantedAccess {
  grants.isOfUser = (grant) => isOfEntry(grant, users, grants);
  const principalFor = memoized((grant: Grant) => grantedPrincipal(grant, users));
  const principalOf = (grant: Grant | null): Principal | null =>
    grant === null || !isOfEntry(grant, users, grants) ? null : principalFor(grant);
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

/** An entry that was removed and created again, or has another token, is a different entry. */
function isOfEntry({ user, entry }: Grant, { entries }: LocalUsers, grants: Grants): boolean {
  const [present] = entries.get(user)?.sha256s ?? [];
  return present !== undefined && grants.entryOf(user, present) === entry;
}

/** The user's present roles, within the grant's limits. */
export function grantedPrincipal(
  { id, user, backends, read_only }: Pick<Grant, "id" | "user" | "backends" | "read_only">,
  { entries }: LocalUsers,
): Principal {
  const roles = entries.get(user)?.principal.roles ?? [];
  const limits = { backends, isReadOnly: read_only };
  const isLimited = backends !== null || read_only;
  return { kind: "user", id: `${ID_PREFIX}${id}`, name: user, user, roles, ...(isLimited && { limits }) };
}
