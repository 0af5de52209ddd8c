// The rules for a share that is not mounted: mount over Thunderbolt if it answers, else over the fallback, else wait.
import { type RouteName, routesOf } from "../share-spec.ts";
import { awaitsProof, whyNotProved } from "./decide-carry.ts";
import { whyNoLogon } from "./decide-logged-on.ts";
import { startOperation, whyNotMountable } from "./decide-operation.ts";
import {
  type Builder,
  clearError,
  configuredAnswers,
  hostOf,
  isBackingOff,
  lookAt,
  setError,
} from "./decision-builder.ts";
import type { Step } from "./step.ts";

/** Interval of looks while a proof is awaited, ms; usually the end of the proof causes a look sooner. */
const PROOF_LOOK_MS = 1000;

export function decideUnmounted(builder: Builder): Step | null {
  const { memory, seen, spec } = builder;
  if (memory.held === "unmounted") {
    clearError(builder, "held unmounted");
    return null;
  }
  if (builder.request?.kind === "unmount" && builder.outcome !== null) return null;
  if (spec.missingVariable !== null) return null;
  const obstacle = whyNotMountable(builder) ?? whyNoLogon(builder);
  if (obstacle !== null) return setError(builder, obstacle);
  if (isBackingOff(builder)) return null;
  const routes = bestRoutes(builder);
  const plan = routes.filter((route) => whyNotProved(builder, route) === null);
  const [first] = plan;
  if (first !== undefined && awaitsProof(builder, first, null))
    return lookAt(builder, seen.atMs + PROOF_LOOK_MS);
  if (first === undefined) {
    const [unproved] = routes;
    if (unproved !== undefined) lookAt(builder, seen.atMs + PROOF_LOOK_MS);
    return setError(builder, (unproved && whyNotProved(builder, unproved)) ?? noHostAnswers(builder));
  }
  return startOperation(builder, { kind: "mount", reason: "not mounted", mode: "plain", plan });
}

/** The routes whose hosts answer, best first: Thunderbolt, unless the share is held to fallback. */
export function bestRoutes(builder: Builder): RouteName[] {
  const order: RouteName[] = builder.memory.held === "fallback" ? ["fallback", "tb"] : ["tb", "fallback"];
  return order.filter((route) => configuredAnswers(builder, route));
}

export function noHostAnswers(builder: Builder): string {
  return hostsText(builder, "its host does not answer", "neither host answers");
}

export function allHostsGone(builder: Builder): string {
  return hostsText(builder, "its host is gone, the mount is kept", "both hosts are gone, the mount is kept");
}

function hostsText(builder: Builder, one: string, both: string): string {
  const { away, routes } = builder.seen;
  if (away !== null) return `away from home: ${away}`;
  const texts = routesOf(builder.spec).map((route) => {
    const [host, { text }] = [hostOf(builder, route), routes[route].probe];
    return text.startsWith(host) ? text : `${host} (${text})`;
  });
  return `${texts.length === 1 ? one : both}: ${texts.join(", ")}`;
}
