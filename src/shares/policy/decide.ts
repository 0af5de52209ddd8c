// Owns the decision for one share: from what is wanted, seen and remembered to one step, or rest. Pure.
import { earliest, standingSince } from "../../reconcile/decision.ts";
import type { Wake } from "../../reconcile/lane.ts";
import type { ShareMemory } from "../../reconcile/memory.ts";
import { decideCarried } from "./decide-carried.ts";
import { carryConditions } from "./decide-carry.ts";
import { continueErrand, foldLastStep } from "./decide-errand.ts";
import { foldMountIdentity } from "./decide-identity.ts";
import { decideMounted, decideUnexplained } from "./decide-mounted.ts";
import { answerRequest, takeRequest } from "./decide-request.ts";
import { foldRoutes } from "./decide-routes.ts";
import { decideUnmounted } from "./decide-unmounted.ts";
import { type ConditionDraft, createDraft, type DecideInput, type Draft } from "./draft.ts";
import type { Episode } from "./episode.ts";
import type { RequestOutcome } from "./share-request.ts";
import type { TransitionDraft } from "./share-transitions.ts";
import { standingConditions } from "./standing-conditions.ts";
import type { Step } from "./step.ts";

export interface Decision {
  readonly memory: ShareMemory;
  readonly episode: Episode;
  readonly transitions: readonly TransitionDraft[];
  readonly conditions: readonly StandingCondition[];
  /** The end of the person's request; null while it goes on, or when there is none. */
  readonly outcome: RequestOutcome | null;
  /** The one step to take now; null: rest. */
  readonly step: Step | null;
  /** When to look again without being told; null: at the next trigger. */
  readonly wake: Wake | null;
}

export interface StandingCondition extends ConditionDraft {
  /** Wall ms. */
  readonly since: number;
}

/** Equal input gives an equal decision; a settled world gives no step and no transition. */
export function decide(input: DecideInput): Decision {
  const draft = createDraft(input);
  foldRoutes(draft);
  foldLastStep(draft);
  foldMountIdentity(draft);
  const step = chooseStep(draft);
  if (step === null) answerRequest(draft);
  standingConditions(draft);
  carryConditions(draft);
  const conditions = since(draft);
  return {
    memory: draft.memory,
    episode: draft.episode,
    transitions: draft.transitions,
    conditions,
    outcome: draft.outcome,
    step,
    wake: earliest(draft.wakes),
  };
}

function chooseStep(draft: Draft): Step | null {
  if (draft.episode.errand !== null) {
    const step = continueErrand(draft);
    if (step !== null) return step;
  }
  if (draft.request !== null && draft.outcome === null) {
    const step = takeRequest(draft);
    if (step !== null) return step;
  }
  const { mount } = draft.seen;
  if (mount === null) return decideUnmounted(draft);
  const { route, path, madeByDriver } = mount.found;
  const isMisplaced = madeByDriver && path !== draft.spec.mountPath;
  if (route === null || isMisplaced) return decideUnexplained(draft, mount);
  const { carried = null } = mount;
  return carried === null ? decideMounted(draft, mount, route) : decideCarried(draft, mount, route, carried);
}

function since(draft: Draft): StandingCondition[] {
  const before = draft.episode.conditionsSince;
  if (before.size === 0 && draft.conditions.length === 0) return [];
  const conditionsSince = standingSince(draft.conditions, before, draft.seen.wallMs);
  draft.episode = { ...draft.episode, conditionsSince };
  return draft.conditions.map((condition) => ({
    ...condition,
    since: conditionsSince.get(condition.code) ?? draft.seen.wallMs,
  }));
}
