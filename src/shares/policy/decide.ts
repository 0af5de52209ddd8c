// The decision for one share: from configuration, observation and memory to one step, or none. Pure.
import { earliest, standingSince } from "../../reconcile/decision.ts";
import type { Wake } from "../../reconcile/lane.ts";
import type { ShareMemory } from "../../reconcile/memory.ts";
import { decideCarried, decidePinnedGate } from "./decide-carried.ts";
import { carryConditions } from "./decide-carry.ts";
import { foldLogon, logonConditions } from "./decide-logged-on.ts";
import { foldShortLife } from "./decide-mount-alive.ts";
import { decideMounted, decideShutLogon, decideUnexplained } from "./decide-mounted.ts";
import { foldNetworks } from "./decide-networks.ts";
import { continueOperation, foldLastStep } from "./decide-operation.ts";
import { answerRequest, takeRequest } from "./decide-request.ts";
import { foldRoutes } from "./decide-routes.ts";
import { decideUnmounted } from "./decide-unmounted.ts";
import { foldWake, foldWakeAddresses, wakeConditions, wakeStep } from "./decide-wake.ts";
import {
  type Builder,
  clearPending,
  type DecideInput,
  type NewCondition,
  setHeld,
  setMemory,
  setState,
} from "./decision-builder.ts";
import type { LaneState } from "./lane-state.ts";
import { outcome, type RequestOutcome } from "./share-request.ts";
import type { StepSeen } from "./share-seen.ts";
import type { NewTransition } from "./share-transitions.ts";
import { lookedAfterBy, standingConditions } from "./standing-conditions.ts";
import type { Step } from "./step.ts";

export interface Decision {
  readonly memory: ShareMemory;
  readonly state: LaneState;
  readonly transitions: readonly NewTransition[];
  readonly conditions: readonly StandingCondition[];
  /** The answer to the person's request; null: the request still waits, or there is none. */
  readonly outcome: RequestOutcome | null;
  readonly step: Step | null;
  /** When to look again without another trigger; null: never. */
  readonly wake: Wake | null;
  readonly room: Room;
}

/**
 * Whether programs that this daemon runs on the mount may use it. `asked`: they have to end before a remount.
 * `taken`: the remount is in progress.
 */
export type Room = "free" | "asked" | "taken";

export interface StandingCondition extends NewCondition {
  /** Wall ms. */
  readonly since: number;
}

/**
 * Equal input gives an equal decision. When nothing is left to do, the decision has no step and no
 * transition.
 */
export function decide(input: DecideInput): Decision {
  const nothing = { outcome: null, makeRoom: false, transitions: [], conditions: [], wakes: [] };
  const builder: Builder = { ...input, ...nothing };
  foldRoutes(builder);
  foldLastStep(builder);
  foldMountIdentity(builder);
  foldLogon(builder);
  foldWakeAddresses(builder);
  foldNetworks(builder);
  foldWake(builder);
  const step = chooseStep(builder) ?? wakeStep(builder);
  if (step === null) answerRequest(builder);
  standingConditions(builder);
  carryConditions(builder);
  logonConditions(builder);
  wakeConditions(builder);
  const conditions = since(builder);
  return {
    memory: builder.memory,
    state: builder.state,
    transitions: builder.transitions,
    conditions,
    outcome: builder.outcome,
    step,
    wake: earliest(builder.wakes),
    room: mountsAnew(builder) ? "taken" : builder.makeRoom ? "asked" : "free",
  };
}

function chooseStep(builder: Builder): Step | null {
  const { otherHome = null } = builder.seen;
  if (otherHome !== null) {
    builder.outcome ??= builder.request && outcome("failed", lookedAfterBy(builder.spec, otherHome));
    return null;
  }
  if (builder.state.operation !== null) {
    const step = continueOperation(builder);
    if (step !== null) return step;
  }
  // While a mount waits for the proof of its server, only a request to unmount is taken.
  const { request, outcome: answered } = builder;
  const waits = builder.state.operation !== null;
  if (request !== null && answered === null && (!waits || request.kind === "unmount")) {
    const step = takeRequest(builder);
    if (step !== null) return step;
  }
  const { mount } = builder.seen;
  if (mount === null) return builder.state.operation === null ? decideUnmounted(builder) : null;
  const { route, path, madeByDriver } = mount.found;
  const isMisplaced = madeByDriver && path !== builder.spec.mountPath;
  const { carried = null, pinned = null } = mount;
  if (pinned !== null) {
    const gate = decidePinnedGate(builder, mount, pinned);
    if (gate !== "open") return gate;
  }
  const through = carried ?? pinned;
  if (through !== null) {
    const anew = decideShutLogon(builder, mount, through);
    if (anew !== "open") return anew;
  }
  if (route === null || isMisplaced) return decideUnexplained(builder, mount);
  return carried === null
    ? decideMounted(builder, mount, route)
    : decideCarried(builder, mount, route, carried);
}

/** Whether a mount is being replaced; programs cannot run on it meanwhile. */
function mountsAnew({ state: { operation } }: Builder): boolean {
  return operation !== null && !operation.moves && operation.from !== "none";
}

function since(builder: Builder): StandingCondition[] {
  const before = builder.state.conditionsSince;
  const conditionsSince = standingSince(builder.conditions, before, builder.seen.wallMs);
  builder.state = { ...builder.state, conditionsSince };
  return builder.conditions.map((condition) => ({
    ...condition,
    since: conditionsSince.get(condition.code) ?? builder.seen.wallMs,
  }));
}

function foldMountIdentity(builder: Builder): void {
  const { mount, lastStep } = builder.seen;
  const id = mount?.found.id ?? null;
  const before = builder.state.mountId;
  if (id !== before) {
    setState(builder, { mountId: id, deadLook: null, pendingLook: null, suspicion: null });
    setState(builder, { madeMount: isOurDoing(lastStep, id) ? id : null });
    if (mount === null) foldVanished(builder, before);
    else if (!isOurDoing(lastStep, id)) {
      builder.transitions.push({
        name: "share.adopted",
        route: mount.found.route ?? "unknown",
        source: mount.found.source,
        path: mount.found.path,
      });
      if (builder.memory.held === "unmounted" && builder.state.operation === null) setHeld(builder, null);
    }
  }
  const activeInterface = mount?.found.route ?? "none";
  const carriedPort = mount?.carried?.port ?? null;
  if (builder.memory.activeInterface !== activeInterface || builder.memory.carriedPort !== carriedPort) {
    setMemory(builder, { activeInterface, carriedPort });
  }
  if (activeInterface !== "fallback" && builder.state.operation === null)
    clearPending(builder, mount === null ? "unmounted" : "not mounted over fallback any more");
}

function isOurDoing(last: StepSeen | null, id: string | null): boolean {
  return last?.kind === "mount" && last.outcome.ok && last.outcome.mount.id === id && !last.outcome.adopted;
}

function foldVanished(builder: Builder, mountId: string | null): void {
  if (builder.seen.lastStep?.kind === "unmount") return;
  if (mountId !== null) foldShortLife(builder, mountId);
  builder.transitions.push({ name: "share.vanished", from: builder.memory.activeInterface });
}
