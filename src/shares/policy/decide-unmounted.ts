// The rule for a share that is not mounted: mount over Thunderbolt if it answers, else over the fallback, else
// over one that is slow, else wait.
import { oneMissingText } from "../../secrets/reference.ts";
import { mountableRoutes, noHostAnswers } from "./hosts.ts";
import { mountObstacle } from "./operation.ts";
import { type Answer, failing, pauseOf } from "./rule.ts";
import type { Situation } from "./situation.ts";

export function answerUnmounted(now: Situation): Answer {
  const { memory, spec, request, outcome } = now;
  if (memory.override === "unmounted") return { clearsError: "held unmounted" };
  if (request?.kind === "unmount" && outcome !== null) return {};
  if (spec.missingVariable !== null) return { why: oneMissingText(spec.missingVariable) };
  const obstacle = mountObstacle(now);
  if (obstacle !== null) return failing(obstacle);
  const pause = pauseOf(now);
  if (pause !== null) return pause;
  const plan = mountableRoutes(now);
  if (plan.length === 0) return failing(noHostAnswers(now));
  return { start: { kind: "mount", reason: "not mounted", mode: "plain", plan } };
}
