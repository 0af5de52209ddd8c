// The input of the rules, and their conclusions so far. A rule that returns null takes no step now.

import { hostText } from "../../config/values/host-text.ts";
import type { NextRun } from "../../reconcile/reconcile-loop.ts";
import type { ShareMemory } from "../../reconcile/state-store.ts";
import { pluralize } from "../../runtime/text/plain-text.ts";
import type { RouteName } from "../share-spec.ts";
import type { ConditionDraft, DecideInput } from "./decide-input.ts";
import type { MountFact } from "./mount-fact.ts";
import type { ReconcileState } from "./reconcile-state.ts";
import type { RouteFact } from "./route-fact.ts";
import { outcome, type RequestOutcome } from "./share-request.ts";
import type { NewTransition } from "./share-transitions.ts";

/** The rules that may take a step, by the names that people see. */
export type RuleName =
  | "mount"
  | "fail over"
  | "replace the mount"
  | "remount"
  | "return to Thunderbolt"
  | "move to the new address"
  | "let programs continue";

/** A rule that takes no step now, and why. `untilMs`: when it is due, monotonic ms; null: not known. */
export interface PassedOver {
  readonly rule: RuleName;
  readonly why: string;
  readonly untilMs: number | null;
}

export interface DecisionBuilder extends DecideInput {
  memory: ShareMemory;
  state: ReconcileState;
  outcome: RequestOutcome | null;
  /** The fact about the observed mount; null: there is none. */
  mountFact: MountFact | null;
  /** The fact about the route that the mount uses; null: there is no mount, or its route is not configured. */
  routeFact: RouteFact | null;
  /** Whether this daemon's programs on the share have to end. */
  stopPrograms: boolean;
  readonly transitions: NewTransition[];
  readonly conditions: ConditionDraft[];
  readonly passedOver: PassedOver[];
  readonly nextRuns: NextRun[];
}

export function answers(builder: DecisionBuilder, route: RouteName): boolean {
  return builder.observed.routes[route].probe.verdict === "answers";
}

/** Whether the configured host answers; the mount may still use an earlier address. */
export function configuredAnswers({ observed }: DecisionBuilder, route: RouteName): boolean {
  return observed.configured[route].probe.verdict === "answers";
}

/** The name of a route's host in messages. */
export function hostOf(builder: DecisionBuilder, route: RouteName): string {
  const { host, port, folder } = builder.spec.routes[route];
  if (host === null) return folder ?? "the address that it had";
  return hostText({ host, port });
}

/** Plans a cycle at `atMs` (monotonic), unless something else causes one before. */
export function recheckAt(
  builder: DecisionBuilder,
  atMs: number,
  reason: NextRun["reason"] = "confirm",
): null {
  builder.nextRuns.push({ atMs, reason });
  return null;
}

/** Records why a rule takes no step now. */
export function passOver(
  builder: DecisionBuilder,
  rule: RuleName,
  why: string,
  untilMs: number | null = null,
): null {
  builder.passedOver.push({ rule, why, untilMs });
  return null;
}

/** Passes the rule over for a reason that is also the share's last error. */
export function passOverAsError(builder: DecisionBuilder, rule: RuleName, why: string): null {
  passOver(builder, rule, why);
  return setError(builder, why);
}

/** Passes the rule over during a pause after failed mounts or unmounts, and plans a cycle at its end. */
export function passOverInPause(builder: DecisionBuilder, rule: RuleName): boolean {
  const { notBeforeMs, failures } = builder.state.mountBackoff;
  if (notBeforeMs <= builder.observed.atMs) return false;
  recheckAt(builder, notBeforeMs, "retry");
  const why = `it failed ${pluralize(failures, "time")}, and is tried again after a pause`;
  passOver(builder, rule, why, notBeforeMs);
  return true;
}

/**
 * Interval of the checks for programs that must end before a remount, ms. A check comes earlier when such a program
 * ends.
 */
const PROGRAM_CHECK_MS = 1_000;

/**
 * True if none of this daemon's programs runs on the share. Otherwise asks all of them to end; their calls may take
 * `drain_timeout`. After a failed unmount, asks again only after a pause, unless a person wants the unmount
 * (`isRequested`).
 */
export function areProgramsStopped(builder: DecisionBuilder, isRequested = false): boolean {
  const { observed, state, programsRun } = builder;
  const { notBeforeMs } = state.stopBackoff;
  if (programsRun === true && !isRequested && observed.atMs < notBeforeMs) {
    recheckAt(builder, notBeforeMs, "retry");
    return false;
  }
  builder.stopPrograms = true;
  if (programsRun !== true) return true;
  setState(builder, { stopRequested: true });
  recheckAt(builder, observed.atMs + PROGRAM_CHECK_MS, "drain");
  return false;
}

export function setState(builder: DecisionBuilder, change: Partial<ReconcileState>): void {
  builder.state = { ...builder.state, ...change };
}

export function setMemory(builder: DecisionBuilder, change: Partial<ShareMemory>): void {
  builder.memory = { ...builder.memory, ...change };
}

export function answer(builder: DecisionBuilder, ...parts: Parameters<typeof outcome>): null {
  builder.outcome = outcome(...parts);
  return null;
}

export function setError(builder: DecisionBuilder, reason: string): null {
  const { lastError } = builder.memory;
  if (lastError !== null && withoutTimes(lastError) === withoutTimes(reason)) return null;
  setMemory(builder, { lastError: reason });
  builder.transitions.push({ name: "share.error", reason });
  return null;
}

/** A host that is asked with another limit gives no new reason. */
function withoutTimes(reason: string): string {
  return reason.replaceAll(/\b\d+ ms\b/g, "");
}

export function clearError(builder: DecisionBuilder, reason: string): void {
  if (builder.memory.lastError === null) return;
  setMemory(builder, { lastError: null });
  builder.transitions.push({ name: "share.error_cleared", reason });
}

export function setOverride(builder: DecisionBuilder, override: ShareMemory["override"]): void {
  const before = builder.memory.override;
  if (before === override) return;
  setMemory(builder, { override });
  builder.transitions.push({ name: "share.override", from: before ?? "auto", to: override ?? "auto" });
  if (override === null) setState(builder, { tableAppliedWith: null });
  else clearPending(builder, `held ${override}`);
}

export function clearPending(builder: DecisionBuilder, reason: string): void {
  setState(builder, { tableAppliedWith: null });
  if (!builder.memory.tbRecoveryPending) return;
  setMemory(builder, { tbRecoveryPending: false });
  builder.transitions.push({ name: "share.tb_ready_cleared", reason });
}
