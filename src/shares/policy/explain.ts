// Says which rule applies to a share now, which rules were passed over, and why.

import type { Explanation } from "../../reconcile/decision.ts";
import { managedBy } from "./condition-rows.ts";
import type { Facts } from "./facts.ts";
import { hostInUse } from "./hosts.ts";
import { UNUSABLE } from "./mount-fact.ts";
import type { OperationKind } from "./reconcile-state.ts";
import type { Situation } from "./situation.ts";

const OPERATIONS: Readonly<Record<OperationKind, string>> = {
  mount: "mount",
  failover: "fail over",
  recovery: "return to the preferred route",
  switch: "switch, as you asked",
  remount: "replace the mount",
  unmount: "unmount, as you asked",
};

export function explain(now: Situation, facts: Facts | null): Explanation {
  return { ...ruleInForce(now, facts), passedOver: now.passedOver };
}

function ruleInForce(now: Situation, facts: Facts | null): Pick<Explanation, "rule" | "why"> {
  const { observed, state, memory, spec, step } = now;
  const { otherHome = null, mount } = observed;
  if (otherHome !== null) return { rule: "do nothing", why: managedBy(spec, otherHome) };
  const { operation } = state;
  if (operation !== null) return { rule: OPERATIONS[operation.kind], why: operation.reason };
  if (step?.kind === "wake") return { rule: "wake the NAS", why: "a program wants the share" };
  if (memory.override === "unmounted")
    return { rule: "stay unmounted", why: "you unmounted it; `mountaineer mount` ends that" };
  if (mount === null) return { rule: "wait", why: memory.lastError ?? "the share is not mounted" };
  const { use } = facts?.mountFact ?? {};
  if (use?.state === "unusable") return { rule: "wait", why: UNUSABLE[use.why] };
  const { route } = mount.found;
  if (route === null)
    return { rule: "keep the mount", why: "it answers, over a route that is not configured" };
  return { rule: "keep the mount", why: `${hostInUse(now, route)} is in use, and the mount answers` };
}
