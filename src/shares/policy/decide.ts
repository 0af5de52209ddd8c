// The decision for one share: from configuration, observation and memory to one step, or none. Pure.
import { earliest, standingSince } from "../../reconcile/decision.ts";
import type { NextRun } from "../../reconcile/reconcile-loop.ts";
import type { ShareMemory } from "../../reconcile/state-store.ts";
import { relayConditions } from "./decide-eligibility.ts";
import type { ConditionDraft, DecideInput } from "./decide-input.ts";
import { loginConditions, updateLogin } from "./decide-login-conditions.ts";
import { updateShortLife } from "./decide-mount-alive.ts";
import { decideLost, decideMismatched, decideMounted, decideRefusedLogin } from "./decide-mounted.ts";
import { updateNetworks } from "./decide-networks.ts";
import { continueOperation, updateLastStep } from "./decide-operation.ts";
import { decideGuardedGate, decideRelayed } from "./decide-relayed.ts";
import { answerRequest, takeRequest } from "./decide-request.ts";
import { updateRoutes } from "./decide-routes.ts";
import { decideUnmounted } from "./decide-unmounted.ts";
import { updateWake, updateWakeAddresses, wakeConditions, wakeStep } from "./decide-wake.ts";
import { clearPending, type DecisionBuilder, setMemory, setOverride, setState } from "./decision-builder.ts";
import { type Explanation, explain } from "./explain.ts";
import { type MountFact, mountFact } from "./mount-fact.ts";
import { managedBy, observedConditions } from "./observed-conditions.ts";
import type { ReconcileState } from "./reconcile-state.ts";
import { routeFact } from "./route-fact.ts";
import type { StepObservation } from "./share-observation.ts";
import { outcome, type RequestOutcome } from "./share-request.ts";
import type { NewTransition } from "./share-transitions.ts";
import type { Step } from "./step.ts";

export interface Decision {
  readonly memory: ShareMemory;
  readonly state: ReconcileState;
  readonly transitions: readonly NewTransition[];
  readonly conditions: readonly ShareCondition[];
  /** null: no mount was observed. */
  readonly mount: MountJudgement | null;
  readonly explanation: Explanation;
  /** The answer to the person's request; null: the request still waits, or there is none. */
  readonly outcome: RequestOutcome | null;
  readonly step: Step | null;
  /** When the loop runs again without another trigger; null: never. */
  readonly nextRun: NextRun | null;
  readonly programs: ProgramAccess;
}

/**
 * Whether programs that this daemon runs on the mount may use it. `asked`: they have to end before a remount.
 * `taken`: the remount is in progress.
 */
export type ProgramAccess = "free" | "asked" | "taken";

/** Whether the engine may replace the mount, and whether programs can use it now. */
export type MountJudgement = Pick<MountFact, "verdict" | "use">;

export interface ShareCondition extends ConditionDraft {
  /** Wall ms. */
  readonly since: number;
}

/**
 * Equal input gives an equal decision. When nothing is left to do, the decision has no step and no
 * transition.
 */
export function decide(input: DecideInput): Decision {
  const nothing = {
    outcome: null,
    mountFact: null,
    routeFact: null,
    stopPrograms: false,
    transitions: [],
    conditions: [],
    passedOver: [],
    nextRuns: [],
  };
  const builder: DecisionBuilder = { ...input, ...nothing };
  updateRoutes(builder);
  updateLastStep(builder);
  updateMountIdentity(builder);
  updateLogin(builder);
  updateWakeAddresses(builder);
  updateNetworks(builder);
  updateWake(builder);
  const { mount } = builder.observed;
  builder.mountFact = mount && mountFact(builder, mount);
  const route = mount?.found.route ?? null;
  builder.routeFact = mount !== null && route !== null ? routeFact(builder, mount, route) : null;
  const step = chooseStep(builder) ?? wakeStep(builder);
  if (step === null) answerRequest(builder);
  observedConditions(builder);
  relayConditions(builder);
  loginConditions(builder);
  wakeConditions(builder);
  const conditions = since(builder);
  return {
    memory: builder.memory,
    state: builder.state,
    transitions: builder.transitions,
    conditions,
    mount: builder.mountFact,
    explanation: explain(builder, step),
    outcome: builder.outcome,
    step,
    nextRun: earliest(builder.nextRuns),
    programs: isReplacing(builder) ? "taken" : builder.stopPrograms ? "asked" : "free",
  };
}

function chooseStep(builder: DecisionBuilder): Step | null {
  const { otherHome = null } = builder.observed;
  if (otherHome !== null) {
    builder.outcome ??= builder.request && outcome("failed", managedBy(builder.spec, otherHome));
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
  const { mount } = builder.observed;
  if (mount === null) return builder.state.operation === null ? decideUnmounted(builder) : null;
  const { route, path, madeByDriver } = mount.found;
  const isMisplaced = madeByDriver && path !== builder.spec.mountPath;
  const { relayed = null, guarded = null } = mount;
  if (guarded !== null) {
    const gate = decideGuardedGate(builder, mount, guarded);
    if (gate !== "open") return gate;
  }
  const through = relayed ?? guarded;
  if (through !== null) {
    const next = decideRefusedLogin(builder, mount, through);
    if (next !== "open") return next;
  }
  if (mount.found.lost !== undefined) return decideLost(builder, mount.found, mount.found.lost);
  if (route === null || isMisplaced) return decideMismatched(builder, mount);
  return relayed === null
    ? decideMounted(builder, mount, route)
    : decideRelayed(builder, mount, route, relayed);
}

/** Whether a mount is being replaced; programs cannot run on it until that is done. */
function isReplacing({ state: { operation } }: DecisionBuilder): boolean {
  return operation !== null && !operation.moves && operation.from !== "none";
}

function since(builder: DecisionBuilder): ShareCondition[] {
  const before = builder.state.conditionsSince;
  const conditionsSince = standingSince(builder.conditions, before, builder.observed.wallMs);
  builder.state = { ...builder.state, conditionsSince };
  return builder.conditions.map((condition) => ({
    ...condition,
    since: conditionsSince.get(condition.code) ?? builder.observed.wallMs,
  }));
}

function updateMountIdentity(builder: DecisionBuilder): void {
  const { mount, lastStep } = builder.observed;
  const id = mount?.found.id ?? null;
  const before = builder.state.mountId;
  if (id !== before) {
    setState(builder, { mountId: id, firstFailedCheck: null, pendingCheck: null, suspectedLoss: null });
    setState(builder, { madeMount: isOurDoing(lastStep, id) ? id : null });
    if (mount === null) updateVanished(builder, before);
    else if (!isOurDoing(lastStep, id)) {
      builder.transitions.push({
        name: "share.adopted",
        route: mount.found.route ?? "unknown",
        source: mount.found.source,
        path: mount.found.path,
      });
      if (builder.memory.override === "unmounted" && builder.state.operation === null)
        setOverride(builder, null);
    }
  }
  const activeInterface = mount?.found.route ?? "none";
  const relayPort = mount?.relayed?.port ?? null;
  if (builder.memory.activeInterface !== activeInterface || builder.memory.relayPort !== relayPort) {
    setMemory(builder, { activeInterface, relayPort });
  }
  if (activeInterface !== "fallback" && builder.state.operation === null)
    clearPending(builder, mount === null ? "unmounted" : "no longer mounted over fallback");
}

function isOurDoing(last: StepObservation | null, id: string | null): boolean {
  return last?.kind === "mount" && last.outcome.ok && last.outcome.mount.id === id && !last.outcome.adopted;
}

function updateVanished(builder: DecisionBuilder, mountId: string | null): void {
  if (builder.observed.lastStep?.kind === "unmount") return;
  if (mountId !== null) updateShortLife(builder, mountId);
  builder.transitions.push({ name: "share.vanished", from: builder.memory.activeInterface });
}
