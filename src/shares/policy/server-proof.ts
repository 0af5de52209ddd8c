// Decides, from the proofs that both routes lead to one server, whether a share may be relayed and over which routes.

import { pluralize } from "../../runtime/text/plain-text.ts";
import type { UnsentForServer } from "../drivers/mount-driver.ts";
import { otherRoute, type RouteName, routesOf, type ShareSpec } from "../share-spec.ts";
import type { ConditionDraft, DecideInput } from "./decide-input.ts";
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
  const { proved, detourProved = false } = observed.relayEligibility?.identity ?? NO_IDENTITY;
  return rerouted ? detourProved : proved[route];
}

export function notProved(input: DecideInput, route: RouteName): string {
  const { text } = input.observed.relayEligibility?.identity ?? NO_IDENTITY;
  return `${hostOf(input, route)} is not verified to be the same server${text === null ? " yet" : `: ${text}`}`;
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
  return policy.relay === "off" || !relayEligibility || relayEligibility.obstacle !== null
    ? null
    : relayEligibility.identity;
}

export function relayConditions({ policy, observed, spec }: DecideInput): ConditionDraft[] {
  const conditions: ConditionDraft[] = [];
  const { relayEligibility, mount } = observed;
  const { relayed = null, guarded = null } = mount ?? {};
  const limit = (relayed ?? guarded)?.limit ?? null;
  if (limit !== null) {
    conditions.push({
      code: "connections_limited",
      severity: "warning",
      title: `The server takes no more than ${pluralize(limit.most, "connection")} from this machine${limit.waiting > 0 ? `; ${limit.waiting} more waiting` : ""}`,
      hint: "Raise the limit on the server (Samba: `max connections` of the share; most editions of Windows take 20), or open fewer files at once. A program that waits longer than outage_patience_secs gets an error.",
    });
  }
  if (!relayEligibility) return conditions;
  if (policy.relay === "off" || relayEligibility.obstacle !== null) {
    if (guarded !== null && relayEligibility.identity.state === "unproved")
      conditions.push(unproved(spec, relayEligibility.identity.text));
    if (policy.relay === "on") {
      conditions.push({
        code: "carry_unavailable",
        severity: "warning",
        title: `${spec.name} cannot be relayed: ${relayEligibility.obstacle}`,
        hint: 'It is remounted on each route change. Set relay = "auto" to hide this.',
      });
    }
    return conditions;
  }
  const { state, text } = relayEligibility.identity;
  if (state === "different") {
    conditions.push({
      code: "different_servers",
      severity: "warning",
      title: `The routes lead to different servers: ${text ?? ""}`,
      hint: "Open files are not moved between them. Check thunderbolt_host and fallback_host.",
    });
  }
  if (state === "unproved") {
    const one = unproved(spec, text);
    const hint = "Until then, a cable change closes open files.";
    conditions.push(routesOf(spec).length === 1 ? one : { ...one, hint });
  }
  if (relayed?.encrypted === true && spec.driver === "rclone") {
    conditions.push({
      code: "encrypted",
      severity: "warning",
      title: `The server of ${spec.name} encrypts: a program that reads may get an error when a route is lost`,
      hint: "With rclone 1.70 or newer it is rare: `mountaineer rclone install`; see docs/drivers.md.",
    });
  }
  const phase = relayed?.phase ?? (guarded?.phase === "unconfirmed" ? "unconfirmed" : "carrying");
  if (phase !== "carrying" && observed.offNetwork === null) {
    conditions.push({
      code: "waiting_for_route",
      severity: "warning",
      title:
        phase === "refusing"
          ? "No route for longer than outage_patience_secs: programs get errors until one is back"
          : phase === "waiting"
            ? "No route answers: programs that use the share wait"
            : "The server was away: programs wait until it is verified to be the same one",
      hint: "Open files stay open; no action needed.",
    });
  }
  return conditions;
}

function unproved(spec: ShareSpec, text: string | null): ConditionDraft {
  const what = routesOf(spec).length === 1 ? "which NAS this is" : "that both addresses are the same NAS";
  return {
    code: "server_unproved",
    severity: "warning",
    title: `Can't confirm ${what}: ${text ?? ""}`,
    hint: "Until then, files that are unsent when the NAS is lost wait for your decision; docs/shares.md says what makes a server known.",
  };
}
