// The rules for a share that is not mounted: mount over Thunderbolt if it answers, else over the fallback, else wait.
import { oneMissingText } from "../../secrets/reference.ts";
import { type RouteName, routesOf } from "../share-spec.ts";
import { awaitsProof, whyNotProved } from "./decide-carry.ts";
import { whyNoLogon } from "./decide-logged-on.ts";
import { startOperation } from "./decide-operation.ts";
import { type Builder, clearError, configuredAnswers, hostOf, setError } from "./decision-builder.ts";
import type { Step } from "./step.ts";

/** The end of a proof wakes the lane; this is for an end that was missed. */
const PROOF_LOOK_MS = 1000;

export function decideUnmounted(builder: Builder): Step | null {
  const { memory, seen, spec, state } = builder;
  if (memory.held === "unmounted") {
    clearError(builder, "held unmounted");
    return null;
  }
  if (builder.request?.kind === "unmount" && builder.outcome !== null) return null;
  if (spec.missingVariable !== null) return null;
  if (seen.taken !== null) {
    setError(builder, `${spec.mountPath} is taken by ${seen.taken.source}`);
    return null;
  }
  if (seen.driverProblem !== null) {
    setError(builder, seen.driverProblem.text);
    return null;
  }
  const refused = whyNoLogon(builder);
  if (refused !== null) {
    setError(builder, refused);
    return null;
  }
  if (state.mountBackoff.notBeforeMs > seen.atMs) {
    builder.wakes.push({ atMs: state.mountBackoff.notBeforeMs, reason: "retry" });
    return null;
  }
  const routes = bestRoutes(builder);
  const plan = routes.filter((route) => whyNotProved(builder, route) === null);
  const [first] = plan;
  if (first !== undefined && awaitsProof(builder, first, null)) {
    builder.wakes.push({ atMs: seen.atMs + PROOF_LOOK_MS, reason: "confirm" });
    return null;
  }
  if (first === undefined) {
    const [unproved] = routes;
    setError(builder, (unproved && whyNotProved(builder, unproved)) ?? noHostAnswers(builder));
    if (unproved !== undefined) builder.wakes.push({ atMs: seen.atMs + PROOF_LOOK_MS, reason: "confirm" });
    return null;
  }
  return startOperation(builder, { kind: "mount", reason: "not mounted", mode: "plain", plan });
}

/** What keeps the share from being mounted at all; null: nothing, or it is mounted. */
export function whyUnmountable(builder: Builder): string | null {
  const { seen, spec } = builder;
  if (seen.mount !== null) return null;
  if (spec.missingVariable !== null) return oneMissingText(spec.missingVariable);
  if (seen.taken !== null) return `${spec.mountPath} is taken by ${seen.taken.source}`;
  if (seen.driverProblem !== null) return seen.driverProblem.text;
  const refused = whyNoLogon(builder);
  if (refused !== null) return refused;
  return bestRoutes(builder).length === 0 ? noHostAnswers(builder) : null;
}

/** The routes whose hosts answer, best first: Thunderbolt, unless the share is held to fallback. */
export function bestRoutes(builder: Builder): RouteName[] {
  const order: RouteName[] = builder.memory.held === "fallback" ? ["fallback", "tb"] : ["tb", "fallback"];
  return order.filter((route) => configuredAnswers(builder, route));
}

export function noHostAnswers(builder: Builder): string {
  const away = awayFromHome(builder);
  if (away !== null) return away;
  const { subject, why } = whyNone(builder);
  return `${subject === "both" ? "neither host answers" : "its host does not answer"}: ${why}`;
}

export function allHostsGone(builder: Builder): string {
  const away = awayFromHome(builder);
  if (away !== null) return away;
  const { subject, why } = whyNone(builder);
  return `${subject === "both" ? "both hosts are" : "its host is"} gone, the mount is kept: ${why}`;
}

function awayFromHome({ seen: { away = null } }: Builder): string | null {
  return away === null ? null : `away from home: ${away}`;
}

function whyNone(builder: Builder): { readonly subject: "one" | "both"; readonly why: string } {
  const texts = routesOf(builder.spec).map(
    (route) => `${hostOf(builder, route)} (${builder.seen.routes[route].probe.text})`,
  );
  return { subject: texts.length === 1 ? "one" : "both", why: texts.join(", ") };
}
