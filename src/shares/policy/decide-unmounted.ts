// The rule for a share that is not mounted: mount over Thunderbolt if it answers, else over the fallback, else wait.
import { oneMissingText } from "../../secrets/reference.ts";
import { bestRoutes, hostOf, noHostAnswers } from "./hosts.ts";
import { loginObstacle } from "./login.ts";
import { mountObstacle } from "./operation.ts";
import { type Answer, failing, pauseOf, recheck } from "./rule.ts";
import { awaitsProof, proofObstacle } from "./server-proof.ts";
import type { Situation } from "./situation.ts";

/** Interval of checks while a proof is awaited, ms; usually the end of the proof causes a check sooner. */
const PROOF_CHECK_MS = 1000;

export function answerUnmounted(now: Situation): Answer {
  const { memory, observed, spec, request, outcome } = now;
  if (memory.override === "unmounted") return { clearsError: "held unmounted" };
  if (request?.kind === "unmount" && outcome !== null) return {};
  if (spec.missingVariable !== null) return { why: oneMissingText(spec.missingVariable) };
  const obstacle = mountObstacle(now) ?? loginObstacle(now);
  if (obstacle !== null) return failing(obstacle);
  const pause = pauseOf(now);
  if (pause !== null) return pause;
  const routes = bestRoutes(now);
  const plan = routes.filter((route) => proofObstacle(now, route) === null);
  const [first] = plan;
  const soon = recheck(observed.atMs + PROOF_CHECK_MS);
  if (first === undefined) {
    const [unproved] = routes;
    const why = (unproved && proofObstacle(now, unproved)) ?? noHostAnswers(now);
    return { ...failing(why), ...(unproved === undefined ? {} : soon) };
  }
  if (awaitsProof(now, first, null))
    return { why: `it is being proved which server answers at ${hostOf(now, first)}`, ...soon };
  return { start: { kind: "mount", reason: "not mounted", mode: "plain", plan } };
}
