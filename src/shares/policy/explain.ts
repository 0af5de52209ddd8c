// Says which rule applies to a share now, which rules were passed over, and why.
import { type DecisionBuilder, hostOf, type PassedOver } from "./decision-builder.ts";
import { UNUSABLE } from "./mount-fact.ts";
import { managedBy } from "./observed-conditions.ts";
import type { OperationKind } from "./reconcile-state.ts";
import type { Step } from "./step.ts";

/** `rule` and `passedOver`, as people see them. */
export interface Explanation {
  readonly rule: string;
  readonly why: string;
  readonly passedOver: readonly PassedOver[];
}

const OPERATIONS: Readonly<Record<OperationKind, string>> = {
  mount: "mount",
  failover: "fail over",
  recovery: "return to Thunderbolt",
  switch: "switch, as you asked",
  remount: "replace the mount",
  unmount: "unmount, as you asked",
};

export function explain(builder: DecisionBuilder, step: Step | null): Explanation {
  return { ...ruleInForce(builder, step), passedOver: builder.passedOver };
}

function ruleInForce(
  builder: DecisionBuilder,
  step: Step | null,
): { readonly rule: string; readonly why: string } {
  const { observed, state, memory, spec, mountFact } = builder;
  const { otherHome = null, mount } = observed;
  if (otherHome !== null) return { rule: "do nothing", why: managedBy(spec, otherHome) };
  const { operation } = state;
  if (operation !== null) return { rule: OPERATIONS[operation.kind], why: operation.reason };
  if (step?.kind === "wake") return { rule: "wake the NAS", why: "a program wants the share" };
  if (memory.override === "unmounted")
    return { rule: "stay unmounted", why: "you unmounted it; `mountaineer mount` ends that" };
  if (mount === null) return { rule: "wait", why: memory.lastError ?? "the share is not mounted" };
  if (mountFact?.use.state === "unusable") return { rule: "wait", why: UNUSABLE[mountFact.use.why] };
  const { route } = mount.found;
  if (route === null)
    return { rule: "keep the mount", why: "it answers, over a route that is not configured" };
  return { rule: "keep the mount", why: `${hostOf(builder, route)} is in use, and the mount answers` };
}
