// A call that a person has allowed. The answer may have taken minutes, so the rules that serve now decide about it again.
import { isDeepStrictEqual } from "node:util";
import { entryOf } from "../catalog/resolve.ts";
import type { Principal } from "../client-handle.ts";
import { BACKEND_UNAVAILABLE, errorReply, type Reply } from "../json-rpc.ts";
import type { GatewayRequest, Handle, ServingSet } from "./middleware.ts";
import { targetOf } from "./request-target.ts";
import { sanitise } from "./sanitise.ts";

const AGAIN = "while a person was asked: make the call again";

/** Makes the call by the rules that serve now: these may ask again, or refuse it. `next`: the rest of the earlier set's chain. */
export async function makeAnswered(
  request: GatewayRequest,
  next: Handle,
  refuse: (request: GatewayRequest, reply: Reply) => Reply,
): Promise<Reply> {
  const { served, handle } = request;
  const now = served.current().forClient(handle.client);
  if (now === served) return next(request);
  const call = { ...request, served: now };
  const refusal = call.refusedNow?.() ?? changedSince(served, call);
  return refusal === null ? now.goOn(call) : refuse(call, refusal);
}

/** Whether the principal is still known, with the same roles. */
export function isSamePrincipal(served: ServingSet, principal: Principal): boolean {
  const now = served.isWithdrawn(principal) ? null : served.refresh(principal);
  if (now === null) return false;
  const [one, other] = [new Set(now.roles), new Set(principal.roles)];
  return one.size === other.size && [...one].every((role) => other.has(role));
}

/** Why the call is not the one that the person was asked about; null: the chain decides. */
function changedSince(earlier: ServingSet, call: GatewayRequest): Reply | null {
  const { served, method, params } = call;
  const { principal } = call.handle.client;
  if (!isSamePrincipal(served, principal))
    return errorReply(BACKEND_UNAVAILABLE, `your rights were changed ${AGAIN}`);
  const target = targetOf(method, params);
  // A forbidden target counts as unknown, changed or not.
  if (target === null || served.forbidden(call) !== null) return null;
  const [before, after] = [earlier, served].map(({ catalog, ownerOf }) => {
    const found = ownerOf(principal, target);
    return found?.status === "listed" ? [found.backend, entryOf(catalog, target)?.definition] : null;
  });
  if (before === null || after === null || isDeepStrictEqual(before, after)) return null;
  return errorReply(BACKEND_UNAVAILABLE, `${target.kind} ${sanitise(target.name)} was changed ${AGAIN}`);
}
