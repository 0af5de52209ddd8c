// The input of the rules, and their conclusions so far. A rule that returns null takes no step now.

import { hostText } from "../../config/values/host-text.ts";
import type { NextRun } from "../../reconcile/reconcile-loop.ts";
import type { ShareMemory } from "../../reconcile/state-store.ts";
import { pluralize } from "../../runtime/text/plain-text.ts";
import type { OpenFile } from "../prober/prober.ts";
import type { RouteName, SharePolicy, ShareSpec } from "../share-spec.ts";
import type { MountFact } from "./facts/mount-fact.ts";
import type { ReconcileState } from "./reconcile-state.ts";
import type { ShareObservation } from "./share-observation.ts";
import { outcome, type RequestOutcome, type ShareRequest } from "./share-request.ts";
import type { NewTransition } from "./share-transitions.ts";

export interface DecideInput {
  readonly spec: ShareSpec;
  readonly policy: SharePolicy;
  /** How long the mount's client may answer a readdir from its cache, ms. */
  readonly cacheMs: number;
  /** True if an unanswered check may mean that a dialog of the system waits for a person. Absent: false. */
  readonly mayWaitForPermission?: boolean;
  readonly observed: ShareObservation;
  /** This daemon runs programs on the share, which have to end before a remount. Absent: no. */
  readonly programsRun?: boolean;
  readonly memory: ShareMemory;
  readonly state: ReconcileState;
  readonly request: ShareRequest | null;
}

export interface ConditionDraft {
  readonly code: string;
  readonly severity: "info" | "warning" | "error";
  readonly title: string;
  readonly hint: string | null;
  readonly holders?: readonly OpenFile[];
}

/** The rules that may take a step, by the names that people see. */
export type RuleName =
  | "mount"
  | "fail over"
  | "replace the mount"
  | "remount"
  | "return to Thunderbolt"
  | "move to the new address"
  | "let programs continue";

/** A rule that takes no step now, and why. */
export interface PassedOver {
  readonly rule: RuleName;
  readonly why: string;
}

export interface DecisionBuilder extends DecideInput {
  memory: ShareMemory;
  state: ReconcileState;
  outcome: RequestOutcome | null;
  /** The fact about the observed mount; null: there is none. */
  mountFact: MountFact | null;
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
export function passOver(builder: DecisionBuilder, rule: RuleName, why: string): null {
  builder.passedOver.push({ rule, why });
  return null;
}

/** Passes the rule over during a pause after failed mounts or unmounts, and plans a cycle at its end. */
export function passOverInPause(builder: DecisionBuilder, rule: RuleName): boolean {
  const { notBeforeMs, failures } = builder.state.mountBackoff;
  const waitMs = notBeforeMs - builder.observed.atMs;
  if (waitMs <= 0) return false;
  recheckAt(builder, notBeforeMs, "retry");
  passOver(
    builder,
    rule,
    `after ${pluralize(failures, "failure")} it is tried again in ${inSeconds(waitMs)}`,
  );
  return true;
}

/** As `12 s`, rounded up. */
export function inSeconds(ms: number): string {
  return `${Math.ceil(ms / 1000)} s`;
}

/**
 * Interval of the checks for programs that must end before a remount, ms. A check comes earlier when such a program
 * ends.
 */
const PROGRAM_CHECK_MS = 1_000;

/**
 * True if none of this daemon's programs runs on the share. Otherwise asks all of them to end; their calls may take
 * `drain_timeout`. After a failed unmount, asks again only after a pause, unless a person wants the unmount
 * (`isAsked`).
 */
export function areProgramsStopped(builder: DecisionBuilder, isAsked = false): boolean {
  const { observed, state, programsRun } = builder;
  const { notBeforeMs } = state.stopBackoff;
  if (programsRun === true && !isAsked && observed.atMs < notBeforeMs) {
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
