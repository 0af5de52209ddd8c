// Whether a share may be carried, and where to: the rules of proof, read by every decision that mounts or moves.

import { otherRoute, type RouteName } from "../share-spec.ts";
import { answers, type Builder } from "./decision-builder.ts";

/** Whether a mount over `route` is to be carried. Both routes answer: only when one server is proved behind them. */
export function carriesAt(builder: Builder, route: RouteName): boolean {
  const trust = trustToCarry(builder);
  if (trust === null || trust.state === "different") return false;
  const other = otherRoute(route);
  return !answers(builder, other) || (trust.proved[route] && trust.proved[other]);
}

/** A mount waits for the proof that is under way, so that it need not be made anew after it. */
export function awaitsProof(builder: Builder): boolean {
  const trust = trustToCarry(builder);
  // What an earlier proof came to says nothing of this one, as a route was away since; two servers stay two.
  return trust?.asking === true && trust.state !== "different";
}

/** What is mounted can be moved to `route` now: it is carried, and the server there is proved to be its own. */
export function canMove(builder: Builder, route: RouteName): boolean {
  const { mount, carry } = builder.seen;
  return (mount?.carried ?? null) !== null && carry?.trust.proved[route] === true && answers(builder, route);
}

/** It could be moved to `route` as soon as a proof that is under way says so. */
export function mayMoveSoon(builder: Builder, route: RouteName): boolean {
  const { mount, carry } = builder.seen;
  return (mount?.carried ?? null) !== null && carry?.trust.asking === true && answers(builder, route);
}

function trustToCarry({ policy, seen }: Builder) {
  const { carry } = seen;
  return policy.carry === "off" || !carry || carry.unable !== null ? null : carry.trust;
}

export function carryConditions({ policy, seen, spec, conditions }: Builder): void {
  const { carry, mount } = seen;
  if (!carry || policy.carry === "off") return;
  if (carry.unable !== null) {
    if (policy.carry === "on") {
      conditions.push({
        code: "carry_unavailable",
        severity: "warning",
        title: `${spec.name} cannot be carried: ${carry.unable}`,
        hint: 'It is mounted anew for each change of route; carry = "auto" says nothing about it.',
      });
    }
    return;
  }
  const { state, text } = carry.trust;
  if (state === "different") {
    conditions.push({
      code: "different_servers",
      severity: "warning",
      title: `The routes lead to different servers: ${text ?? ""}`,
      hint: "Open files are not moved between them. Check thunderbolt_host and fallback_host.",
    });
  }
  if (state === "unproved") {
    conditions.push({
      code: "server_unproved",
      severity: "warning",
      title: `It is not proved that both routes lead to one server: ${text ?? ""}`,
      hint: "Until it is, a change of route mounts the share anew and cuts open files off.",
    });
  }
  const phase = mount?.carried?.phase ?? "carrying";
  if (phase !== "carrying") {
    conditions.push({
      code: "waiting_for_route",
      severity: "warning",
      title:
        phase === "refusing"
          ? "No route for longer than outage_patience_secs: programs get errors until one is back"
          : phase === "waiting"
            ? "No route answers: programs that use the share wait"
            : "The server was away: programs wait until it is proved to be the same one",
      hint: "What is open stays open; nothing has to be done.",
    });
  }
}
