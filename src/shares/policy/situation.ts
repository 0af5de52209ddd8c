// A decision in the making: its input, and what has been concluded so far. Nothing changes a situation: each conclusion
// returns a new one, so a question has no effect on the next.
import type { PassedOver } from "../../reconcile/decision.ts";
import type { NextRun } from "../../reconcile/reconcile-loop.ts";
import type { ShareMemory } from "../../reconcile/state-store.ts";
import type { ConditionDraft } from "./condition-rows.ts";
import type { DecideInput } from "./decide-input.ts";
import type { ReconcileState } from "./reconcile-state.ts";
import { outcome, type RequestOutcome } from "./share-request.ts";
import type { NewTransition } from "./share-transitions.ts";
import type { Step } from "./step.ts";

/** The rules that may take a step, by the names that people see. */
export type RuleName =
  | "do as you asked"
  | "mount"
  | "fail over"
  | "replace the mount"
  | "remount"
  | "return to the preferred route"
  | "move to the new address";

export interface Situation extends DecideInput {
  readonly step: Step | null;
  readonly outcome: RequestOutcome | null;
  /** Whether this daemon's programs on the share have to end. */
  readonly stopPrograms: boolean;
  readonly transitions: readonly NewTransition[];
  readonly conditions: readonly ConditionDraft[];
  readonly passedOver: readonly PassedOver<RuleName>[];
  readonly nextRuns: readonly NextRun[];
}

export function undecided(input: DecideInput): Situation {
  const nothing = { transitions: [], conditions: [], passedOver: [], nextRuns: [] };
  return { ...input, step: null, outcome: null, stopPrograms: false, ...nothing };
}

/** Plans a cycle at `atMs` (monotonic), unless something else causes one before. */
export function recheckAt(now: Situation, atMs: number, reason: NextRun["reason"] = "confirm"): Situation {
  return { ...now, nextRuns: [...now.nextRuns, { atMs, reason }] };
}

export function setState(now: Situation, change: Partial<ReconcileState>): Situation {
  return { ...now, state: { ...now.state, ...change } };
}

export function setMemory(now: Situation, change: Partial<ShareMemory>): Situation {
  return { ...now, memory: { ...now.memory, ...change } };
}

export function announce(now: Situation, ...transitions: readonly NewTransition[]): Situation {
  return { ...now, transitions: [...now.transitions, ...transitions] };
}

export function answer(now: Situation, ...parts: Parameters<typeof outcome>): Situation {
  return { ...now, outcome: outcome(...parts) };
}

export function setError(now: Situation, reason: string): Situation {
  const { lastError } = now.memory;
  if (lastError !== null && withoutTimes(lastError) === withoutTimes(reason)) return now;
  return announce(setMemory(now, { lastError: reason }), { name: "share.error", reason });
}

/** A host that is asked with another limit gives no new reason. */
function withoutTimes(reason: string): string {
  return reason.replaceAll(/\b\d+ ms\b/g, "");
}

export function clearError(now: Situation, reason: string): Situation {
  if (now.memory.lastError === null) return now;
  return announce(setMemory(now, { lastError: null }), { name: "share.error_cleared", reason });
}

export function setOverride(now: Situation, override: ShareMemory["override"]): Situation {
  const before = now.memory.override;
  if (before === override) return now;
  const next = announce(setMemory(now, { override }), {
    name: "share.override",
    from: before ?? "auto",
    to: override ?? "auto",
  });
  return override === null
    ? setState(next, { tableAppliedWith: null })
    : clearPending(next, `held ${override}`);
}

export function clearPending(before: Situation, reason: string): Situation {
  const now = setState(before, { tableAppliedWith: null });
  if (!now.memory.tbRecoveryPending) return now;
  return announce(setMemory(now, { tbRecoveryPending: false }), { name: "share.tb_ready_cleared", reason });
}

/** Puts off the return to Thunderbolt although it is ready: files are open, or a person has to decide. */
export function deferRecovery(now: Situation, reason: string): Situation {
  if (now.memory.tbRecoveryPending) return now;
  const open_files = now.observed.openFiles?.holders.length ?? 0;
  return announce(
    setMemory(now, { tbRecoveryPending: true }),
    { name: "share.recovery_deferred", reason, open_files },
    { name: "share.tb_ready", reason },
  );
}
