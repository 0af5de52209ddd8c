// Decides, from the proofs that both routes lead to one server, whether a share may be relayed and over which routes.

import { pluralize } from "../../runtime/text/plain-text.ts";
import type { UnsentForServer } from "../drivers/mount-driver.ts";
import { otherRoute, type RouteName, routesOf } from "../share-spec.ts";
import { type ConditionDraft, SHARE_CONDITIONS } from "./condition-rows.ts";
import type { DecideInput } from "./decide-input.ts";
import { answers, hostOf } from "./hosts.ts";
import { NO_IDENTITY, type RelayObservation } from "./share-observation.ts";

/**
 * Whether a new mount over `route` is to be relayed. If both routes answer, they must be proved to lead to
 * one server.
 */
export function canRelay(input: DecideInput, route: RouteName): boolean {
  const trust = identityForRelay(input);
  if (trust === null || trust.state === "different") return false;
  const other = otherRoute(route);
  return !answers(input, other) || (trust.proved[route] && trust.proved[other]);
}

/** How long a mount waits for proofs, ms: enough for a failed proof, a pause and a second proof. */
export const PROOF_AT_MOST_MS = 30_000;

/**
 * Whether a mount over `route` has to wait for a proof: without a proof, the share might have to be remounted later,
 * and unsent files of one server might go to another. `sinceMs`: since when the mount has waited; null: it has not.
 */
export function awaitsProof(input: DecideInput, route: RouteName, sinceMs: number | null): boolean {
  const { relayEligibility = null, atMs } = input.observed;
  const server = relayEligibility?.identity.servers?.[route];
  const isUnknown = relayEligibility?.provesServers === true && server?.id === null;
  const isDue = server?.isAttempted === false && (sinceMs === null || atMs - sinceMs < PROOF_AT_MOST_MS);
  // A mount of a server that is not recognized would lack the unsent files that are kept for this server, and would
  // show older versions.
  if (isUnknown && (isDue || unsentForKnown(input) !== null)) return true;
  const trust = identityForRelay(input);
  // Wait for the proof in progress, unless an earlier one found two different servers.
  return trust?.isProving === true && trust.state !== "different";
}

/** Unsent files that are kept for a server that a proof can recognize; null: none. */
function unsentForKnown({ observed: { unsentForOthers = [] } }: DecideInput): UnsentForServer | null {
  return unsentForOthers.find(({ proved }) => proved) ?? null;
}

/**
 * Returns why a mount over `route` has to wait after a failed proof; null if it need not wait. The mount would lack
 * unsent files that are kept for a known server.
 */
export function proofObstacle(input: DecideInput, route: RouteName): string | null {
  const { relayEligibility = null, routes } = input.observed;
  const server = relayEligibility?.identity.servers?.[route];
  const unsent = unsentForKnown(input);
  if (unsent === null || server?.id !== null || !server.isAttempted) return null;
  const files = `${pluralize(unsent.files.length, "unsent file")} of ${unsent.source ?? `server ${unsent.server}`}`;
  return `${files} would not show, as nothing proves who answers at ${routes[route].probe.address ?? route} (${relayEligibility?.identity.text ?? ""}); mountaineer unsent shows them and can set them aside`;
}

/** The id of the server behind `route`; absent: not proved. */
export function serverAt({ observed }: DecideInput, route: RouteName): { readonly server?: string } {
  const id =
    observed.relayEligibility?.provesServers === true
      ? (observed.relayEligibility.identity.servers?.[route].id ?? null)
      : null;
  return id === null ? {} : { server: id };
}

/** Whether the address in use is proved to lead to the mounted server. */
export function isOwnProved(
  { observed }: DecideInput,
  route: RouteName,
  { rerouted }: RelayObservation,
): boolean {
  const { proved, unconfiguredProved = false } = observed.relayEligibility?.identity ?? NO_IDENTITY;
  return rerouted ? unconfiguredProved : proved[route];
}

export function notProved(input: DecideInput, route: RouteName): string {
  const { text } = input.observed.relayEligibility?.identity ?? NO_IDENTITY;
  return `${hostOf(input, route)} is not proved to be the same server${text === null ? " yet" : `: ${text}`}`;
}

/** True if the mount is relayed, `route` answers, and `route` is proved to lead to the mounted server. */
export function canMove(input: DecideInput, route: RouteName): boolean {
  const { mount, relayEligibility } = input.observed;
  return (
    (mount?.relayed ?? null) !== null &&
    relayEligibility?.identity.proved[route] === true &&
    answers(input, route)
  );
}

/** Whether the proof in progress may allow a move to `route`. */
export function mayMoveAfterProof(input: DecideInput, route: RouteName): boolean {
  const { mount, relayEligibility } = input.observed;
  return (
    (mount?.relayed ?? null) !== null &&
    relayEligibility?.identity.isProving === true &&
    answers(input, route)
  );
}

function identityForRelay({ policy, observed }: DecideInput) {
  const { relayEligibility } = observed;
  return policy.onRouteChange === "remount" || !relayEligibility || relayEligibility.obstacle !== null
    ? null
    : relayEligibility.identity;
}

export function relayConditions({ policy, observed, spec }: DecideInput): ConditionDraft[] {
  const conditions: ConditionDraft[] = [];
  const { relayEligibility, mount } = observed;
  const { relayed = null, guarded = null } = mount ?? {};
  const limit = (relayed ?? guarded)?.limit ?? null;
  if (limit !== null) conditions.push(SHARE_CONDITIONS.connections_limited(limit));
  if (!relayEligibility) return conditions;
  const { obstacle, identity } = relayEligibility;
  const { state, text, isEmpty = false } = identity;
  const isOneRoute = routesOf(spec).length === 1;
  const unproved = (isRelayed: boolean): ConditionDraft =>
    isEmpty
      ? SHARE_CONDITIONS.share_empty(isOneRoute, isRelayed)
      : SHARE_CONDITIONS.server_unproved(isOneRoute, text ?? "", isRelayed);
  if (policy.onRouteChange === "remount" || obstacle !== null) {
    if (guarded !== null && state === "unproved") conditions.push(unproved(false));
    return conditions;
  }
  if (state === "different") conditions.push(SHARE_CONDITIONS.different_servers(text ?? ""));
  if (state === "unproved") conditions.push(unproved(true));
  if (relayed?.encrypted === true && spec.driver === "rclone")
    conditions.push(SHARE_CONDITIONS.encrypted(spec.name));
  const phase = relayed?.phase ?? (guarded?.phase === "unconfirmed" ? "unconfirmed" : "carrying");
  if (phase !== "carrying" && observed.offNetwork === null)
    conditions.push(SHARE_CONDITIONS.waiting_for_route(phase));
  return conditions;
}
