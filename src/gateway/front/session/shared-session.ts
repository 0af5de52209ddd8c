// Sessions that several machines share: ids that say which machine holds them, what stands for an id between machines, and
// as whom another machine's client acts.
import { randomBytes } from "node:crypto";
import { isMachineName } from "../../../config/values/fleet-values.ts";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import { type Principal, principalKey } from "../../client-port.ts";
import type { ServingSet } from "../../middleware/middleware.ts";

const ID_BYTES = 24;
const SHARED_ID = /^([^.]+)\.[\w-]{32}$/;

/** Unguessable. It begins with the machine's name where sessions are shared with other machines. */
export function newSessionId(machine: string | null): string {
  const id = randomBytes(ID_BYTES).toString("base64url");
  return machine === null ? id : `${machine}.${id}`;
}

/** The machine that holds the session of that id; null: it says none. */
export function holderOf(id: string): string | null {
  const machine = SHARED_ID.exec(id)?.[1];
  return machine !== undefined && isMachineName(machine) ? machine : null;
}

/** What goes to the machine that holds a session in the place of its id: whoever has it knew the id. */
export function proofOf(id: string): string {
  return sha256Of(`mountaineer session proof\n${id}`);
}

/** What tells that a proof is right, and is none itself. */
export function checkOf(proof: string): string {
  return sha256Of(`mountaineer session check\n${proof}`);
}

/** What is kept of a session that other machines bring requests for. */
export interface SharedRecord {
  /** As `checkOf` gives it. */
  readonly check: string;
  /** Of its principal, as this machine knew it last. */
  readonly roles: readonly string[];
}

/**
 * Whom a request acts for that another machine has let in as `said`, in the session of `own`, as it was here itself; null:
 * for nobody who may. It
 * has to be the same one, by the configuration of this machine, too; of the roles that it has here it keeps those that it
 * has there.
 */
export function actingPrincipal(
  said: Principal,
  own: Principal,
  served: Pick<ServingSet, "refresh" | "isWithdrawn">,
): Principal | null {
  const key = principalKey(own);
  if (principalKey(said) !== key) return null;
  const known =
    own.id === undefined
      ? served.refresh({ kind: own.kind, name: own.name, roles: [] })
      : signed(own, served);
  if (known === null || principalKey(known) !== key || served.isWithdrawn(known)) return null;
  const roles = known.roles.filter((role) => said.roles.includes(role));
  if (isSame(roles, own.roles)) return own;
  return isSame(roles, known.roles) ? known : { ...known, roles };
}

/** A signed token is read by the machine that it came to: by what this one makes now of the one that was here last. */
function signed(own: Principal, served: Pick<ServingSet, "refresh">): Principal {
  const now = served.refresh(own);
  return now !== null && principalKey(now) === principalKey(own) ? now : own;
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((role, index) => role === other[index]);
}
