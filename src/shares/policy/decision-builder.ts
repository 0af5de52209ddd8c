// The input of the rules, and their conclusions so far. A rule that returns null takes no step now.
import { hostText } from "../../config/values/host-text.ts";
import type { Wake } from "../../reconcile/lane.ts";
import type { ShareMemory } from "../../reconcile/memory.ts";
import type { OpenFile } from "../prober/prober.ts";
import type { RouteName, SharePolicy, ShareSpec } from "../share-spec.ts";
import type { LaneState } from "./lane-state.ts";
import { outcome, type RequestOutcome, type ShareRequest } from "./share-request.ts";
import type { ShareSeen } from "./share-seen.ts";
import type { NewTransition } from "./share-transitions.ts";

export interface DecideInput {
  readonly spec: ShareSpec;
  readonly policy: SharePolicy;
  /** How long the mount's client may answer a readdir from its cache, ms. */
  readonly cacheMs: number;
  /** True if a look without an answer may mean that a dialog of the system waits for a person. Absent: false. */
  readonly mayWaitForPermission?: boolean;
  readonly seen: ShareSeen;
  /** This daemon runs programs on the share, which have to end before a remount. Absent: no. */
  readonly programsRun?: boolean;
  readonly memory: ShareMemory;
  readonly state: LaneState;
  readonly request: ShareRequest | null;
}

export interface NewCondition {
  readonly code: string;
  readonly severity: "info" | "warning" | "error";
  readonly title: string;
  readonly hint: string | null;
  readonly holders?: readonly OpenFile[];
}

export interface Builder extends DecideInput {
  memory: ShareMemory;
  state: LaneState;
  outcome: RequestOutcome | null;
  /** Whether this daemon's programs on the share have to end. */
  makeRoom: boolean;
  readonly transitions: NewTransition[];
  readonly conditions: NewCondition[];
  readonly wakes: Wake[];
}

export function answers(builder: Builder, route: RouteName): boolean {
  return builder.seen.routes[route].probe.verdict === "answers";
}

/** Whether the configured host answers; the mount may still use an earlier address. */
export function configuredAnswers({ seen }: Builder, route: RouteName): boolean {
  return seen.configured[route].probe.verdict === "answers";
}

/** The name of a route's host in messages. */
export function hostOf(builder: Builder, route: RouteName): string {
  const { host, port, folder } = builder.spec.routes[route];
  if (host === null) return folder ?? "the address that it had";
  return hostText({ host, port });
}

/** Plans a look at `atMs` (monotonic), in case nothing else causes one before. */
export function lookAt(builder: Builder, atMs: number, reason: Wake["reason"] = "confirm"): null {
  builder.wakes.push({ atMs, reason });
  return null;
}

/** Whether a pause after failed mounts or unmounts is under way; if so, plans a look at its end. */
export function isBackingOff(builder: Builder): boolean {
  const { notBeforeMs } = builder.state.mountBackoff;
  if (notBeforeMs <= builder.seen.atMs) return false;
  lookAt(builder, notBeforeMs, "retry");
  return true;
}

/**
 * Interval of the checks for programs that must end before a remount, ms. A check comes earlier when such a program
 * ends.
 */
const ROOM_LOOK_MS = 1_000;

/**
 * True if none of this daemon's programs runs on the share. Otherwise asks all of them to end; their calls may take
 * `drain_timeout`. After a failed unmount, asks again only after a pause, unless a person wants the unmount
 * (`isAsked`).
 */
export function hasRoom(builder: Builder, isAsked = false): boolean {
  const { seen, state, programsRun } = builder;
  const { notBeforeMs } = state.roomBackoff;
  if (programsRun === true && !isAsked && seen.atMs < notBeforeMs) {
    lookAt(builder, notBeforeMs, "retry");
    return false;
  }
  builder.makeRoom = true;
  if (programsRun !== true) return true;
  setState(builder, { roomAsked: true });
  lookAt(builder, seen.atMs + ROOM_LOOK_MS, "drain");
  return false;
}

export function setState(builder: Builder, change: Partial<LaneState>): void {
  builder.state = { ...builder.state, ...change };
}

export function setMemory(builder: Builder, change: Partial<ShareMemory>): void {
  builder.memory = { ...builder.memory, ...change };
}

export function answer(builder: Builder, ...parts: Parameters<typeof outcome>): null {
  builder.outcome = outcome(...parts);
  return null;
}

export function setError(builder: Builder, reason: string): null {
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

export function clearError(builder: Builder, reason: string): void {
  if (builder.memory.lastError === null) return;
  setMemory(builder, { lastError: null });
  builder.transitions.push({ name: "share.error_cleared", reason });
}

export function setHeld(builder: Builder, held: ShareMemory["held"]): void {
  const before = builder.memory.held;
  if (before === held) return;
  setMemory(builder, { held });
  builder.transitions.push({ name: "share.held", from: before ?? "auto", to: held ?? "auto" });
  if (held === null) setState(builder, { tableAppliedWith: null });
  else clearPending(builder, `held ${held}`);
}

export function clearPending(builder: Builder, reason: string): void {
  setState(builder, { tableAppliedWith: null });
  if (!builder.memory.tbRecoveryPending) return;
  setMemory(builder, { tbRecoveryPending: false });
  builder.transitions.push({ name: "share.tb_ready_cleared", reason });
}
