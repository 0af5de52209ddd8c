// A decision in the making: the input of the rules, and their conclusions so far.
import { hostText } from "../../config/values/host-text.ts";
import type { Wake } from "../../reconcile/lane.ts";
import type { ShareMemory } from "../../reconcile/memory.ts";
import type { OpenFile } from "../prober/prober.ts";
import type { RouteName, SharePolicy, ShareSpec } from "../share-spec.ts";
import type { LaneState } from "./lane-state.ts";
import type { RequestOutcome, ShareRequest } from "./share-request.ts";
import type { ShareSeen } from "./share-seen.ts";
import type { NewTransition } from "./share-transitions.ts";

export interface DecideInput {
  readonly spec: ShareSpec;
  readonly policy: SharePolicy;
  /** A readdir this soon after the last one proves nothing, ms. */
  readonly cacheMs: number;
  /** Silence may be a dialog of the system that waits for a person; absent: no. */
  readonly mayWaitForPermission?: boolean;
  readonly seen: ShareSeen;
  /** Programs of this daemon run on it and make room before it is mounted anew. Absent: none do. */
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
  /** This daemon's programs on the share are to end. */
  makeRoom: boolean;
  readonly transitions: NewTransition[];
  readonly conditions: NewCondition[];
  readonly wakes: Wake[];
}

export function createDecisionBuilder(input: DecideInput): Builder {
  return { ...input, outcome: null, makeRoom: false, transitions: [], conditions: [], wakes: [] };
}

export function answers(builder: Builder, route: RouteName): boolean {
  return builder.seen.routes[route].probe.verdict === "answers";
}

/** Whether the configured host answers; the mount may still use another address. */
export function configuredAnswers({ seen }: Builder, route: RouteName): boolean {
  return (seen.configured ?? seen.routes)[route].probe.verdict === "answers";
}

/** The name of a route's host in messages. */
export function hostOf(builder: Builder, route: RouteName): string {
  const { host, port, folder } = builder.spec.routes[route];
  if (host === null) return folder ?? "the address that it had";
  return hostText({ host, port });
}

/** How often programs that make room are checked, ms; their end wakes the lane sooner. */
const ROOM_LOOK_MS = 1_000;

/**
 * Whether this daemon's programs are off the share. If not, they are asked to make room: their calls have
 * `drain_timeout` to end, and the decision is made again. If that was in vain, they are left alone for a while.
 */
export function hasRoom(builder: Builder, isAsked = false): boolean {
  const { seen, state, programsRun } = builder;
  if (programsRun === true && !isAsked && seen.atMs < state.roomBackoff.notBeforeMs) {
    builder.wakes.push({ atMs: state.roomBackoff.notBeforeMs, reason: "retry" });
    return false;
  }
  builder.makeRoom = true;
  if (programsRun !== true) return true;
  setState(builder, { roomAsked: true });
  builder.wakes.push({ atMs: seen.atMs + ROOM_LOOK_MS, reason: "drain" });
  return false;
}

export function setState(builder: Builder, change: Partial<LaneState>): void {
  builder.state = { ...builder.state, ...change };
}

export function setMemory(builder: Builder, change: Partial<ShareMemory>): void {
  builder.memory = { ...builder.memory, ...change };
}

export function setError(builder: Builder, reason: string): void {
  if (builder.memory.lastError === reason) return;
  setMemory(builder, { lastError: reason });
  builder.transitions.push({ name: "share.error", reason });
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
  if (held === null) setState(builder, { tableReadWith: null });
  else clearPending(builder, `held ${held}`);
}

export function clearPending(builder: Builder, reason: string): void {
  setState(builder, { tableReadWith: null });
  if (!builder.memory.tbRecoveryPending) return;
  setMemory(builder, { tbRecoveryPending: false });
  builder.transitions.push({ name: "share.tb_ready_cleared", reason });
}
