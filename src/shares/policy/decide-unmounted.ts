// The rules for a share that is not mounted: mount over Thunderbolt if it answers, else over the fallback, else wait.
import { oneMissingText } from "../../secrets/reference.ts";
import { type RouteName, routesOf } from "../share-spec.ts";
import { awaitsProof, proofObstacle } from "./decide-eligibility.ts";
import { loginObstacle } from "./decide-login-conditions.ts";
import { mountObstacle, startOperation } from "./decide-operation.ts";
import {
  clearError,
  configuredAnswers,
  type DecisionBuilder,
  hostOf,
  passOver,
  passOverAsError,
  passOverInPause,
  recheckAt,
} from "./decision-builder.ts";
import type { Step } from "./step.ts";

/** Interval of checks while a proof is awaited, ms; usually the end of the proof causes a check sooner. */
const PROOF_CHECK_MS = 1000;

export function decideUnmounted(builder: DecisionBuilder): Step | null {
  const { memory, observed, spec } = builder;
  if (memory.override === "unmounted") {
    clearError(builder, "held unmounted");
    return null;
  }
  if (builder.request?.kind === "unmount" && builder.outcome !== null) return null;
  if (spec.missingVariable !== null) return passOver(builder, "mount", oneMissingText(spec.missingVariable));
  const obstacle = mountObstacle(builder) ?? loginObstacle(builder);
  if (obstacle !== null) return passOverAsError(builder, "mount", obstacle);
  if (passOverInPause(builder, "mount")) return null;
  const routes = bestRoutes(builder);
  const plan = routes.filter((route) => proofObstacle(builder, route) === null);
  const [first] = plan;
  if (first !== undefined && awaitsProof(builder, first, null)) {
    recheckAt(builder, observed.atMs + PROOF_CHECK_MS);
    return passOver(builder, "mount", `it is being proved which server answers at ${hostOf(builder, first)}`);
  }
  if (first === undefined) {
    const [unproved] = routes;
    if (unproved !== undefined) recheckAt(builder, observed.atMs + PROOF_CHECK_MS);
    const why = (unproved && proofObstacle(builder, unproved)) ?? noHostAnswers(builder);
    return passOverAsError(builder, "mount", why);
  }
  return startOperation(builder, { kind: "mount", reason: "not mounted", mode: "plain", plan });
}

/** The routes whose hosts answer, best first: Thunderbolt, unless an override keeps the share on the fallback. */
export function bestRoutes(builder: DecisionBuilder): RouteName[] {
  const order: RouteName[] = builder.memory.override === "fallback" ? ["fallback", "tb"] : ["tb", "fallback"];
  return order.filter((route) => configuredAnswers(builder, route));
}

export function noHostAnswers(builder: DecisionBuilder): string {
  return hostsText(builder, "its host does not answer", "neither host answers");
}

export function allHostsGone(builder: DecisionBuilder): string {
  return hostsText(builder, "its host is gone, the mount is kept", "both hosts are gone, the mount is kept");
}

function hostsText(builder: DecisionBuilder, one: string, both: string): string {
  const { offNetwork, routes } = builder.observed;
  if (offNetwork !== null) return `off network: ${offNetwork}`;
  const texts = routesOf(builder.spec).map((route) => {
    const [host, { text }] = [hostOf(builder, route), routes[route].probe];
    return text.startsWith(host) ? text : `${host} (${text})`;
  });
  return `${texts.length === 1 ? one : both}: ${texts.join(", ")}`;
}
