// The cycles of one backend: each one decides and takes steps until there is nothing to do.
import type { Wake } from "../../../reconcile/lane.ts";
import { stepUntilSettled } from "../../../reconcile/step-loop.ts";
import { NO_LISTINGS } from "../../catalog/catalog.ts";
import type { GatewayTransition } from "../../gateway-transitions.ts";
import type { BackendInstance } from "../instance/start-backend-instance.ts";
import type { BackendEvent, BackendStep } from "../policy/backend-decision-builder.ts";
import { makesRoom } from "../policy/data-gate.ts";
import { type BackendDecision, decideBackend } from "../policy/decide-backend.ts";
import type { ClientInstances } from "./client-instances.ts";
import type { Published, SharedInstances } from "./lane-instances.ts";
import type { LaneState } from "./lane-state.ts";
import type { ReachWatch } from "./reach-watch.ts";
import type { WaitingCalls } from "./waiting-calls.ts";

/** More than it takes to end all instances of the backend. */
const MOST_STEPS = 200;

interface CyclesParts {
  readonly state: LaneState;
  readonly waiting: WaitingCalls;
  readonly own: ClientInstances;
  readonly shared: SharedInstances;
  readonly published: Published;
  readonly reach: ReachWatch;
}

export type LaneCycles = ReturnType<typeof createLaneCycles>;

export function createLaneCycles({ state, waiting, own, shared, published, reach }: CyclesParts) {
  let turn: "none" | "asked" | "given" = "none";

  const decide = (): BackendDecision => {
    const seen = {
      instances: [...shared.instances.values()].map(({ instance }) => instance.seen),
      clientInstances: own.all.length,
      mayStart: turn === "given",
      nextId: state.nextId,
      checkAsked: state.checkAsked,
      isReached: state.isReached,
      jitter: state.tools.random(),
    };
    state.isReached = false;
    return decideBackend(state.spec, seen, state.decision.memory, state.now());
  };
  const askForTurn = (): void => {
    if (turn !== "none") return;
    turn = "asked";
    state.tools.takeTurn(() => {
      turn = "given";
      state.trigger("start");
    });
  };
  const settleAsked = (event: AskedEvent): void => {
    const { asked } = state;
    state.asked = null;
    asked?.settle(
      event.kind === "asked_done"
        ? { ok: true, route: event.route, changed: event.changed }
        : { ok: false, reason: event.reason },
    );
  };
  /** The serving instance and the published lists change together, before other code runs. */
  const keep = ({ calls, gate, events }: BackendDecision): void => {
    const { tools, name, serving: before } = state;
    const next = calls.kind === "serve" ? (shared.instances.get(calls.id) ?? null) : null;
    if (next !== before) {
      state.serving = next;
      if (next !== null) published.takeOver(next, before);
    }
    published.publish();
    // Done after the swap, because calls that wait for a client's own instance may now go to the shared instance.
    if (!state.isPerClient) own.retire(() => false, "replaced");
    else if (gate.kind === "refuse" && gate.mode === "stop") own.retire(() => false, "data_away");
    else if (makesRoom(state.spec)) own.retire(() => false, "data_moves");
    for (const event of events) {
      if (event.kind === "asked_done" || event.kind === "asked_failed") settleAsked(event);
      else tools.announce(eventTransition(name, event, (id) => shared.instances.get(id)?.instance ?? null));
    }
    if (waiting.size === 0) return;
    if (calls.kind === "refuse" || gate.kind === "refuse") waiting.fail(state.unavailable);
    else if (gate.kind === "open" && next?.isReady === true) waiting.begin();
  };
  const perform = (step: BackendStep): void => {
    if (step.kind === "start") {
      turn = "none";
      const base = state.outcomeOf(step.key);
      if (base !== null) shared.start(base);
      return;
    }
    const entry = shared.instances.get(step.id);
    if (entry === undefined) return;
    if (step.kind === "close") void shared.end(entry, step.drained);
    else if (step.kind === "refresh") entry.instance.refresh();
    else {
      if (entry === state.serving) state.checkAsked = false;
      entry.instance.check();
    }
  };
  const rest = ({ phase: to, reason, wantsTurn }: BackendDecision): void => {
    if (turn === "given") turn = "none";
    if (wantsTurn) askForTurn();
    const { name: from, since, reason: before } = state.phase;
    state.isDue = wantsTurn;
    // A failed backend announces each new reason.
    if (to !== from || (to === "Failed" && reason !== before)) {
      const now = state.now();
      state.phase = { name: to, since: to === from ? since : now, reason };
      const took_ms = Math.round(now.monotonicMs - since.monotonicMs);
      state.tools.announce({ name: "backend.phase", backend: state.name, from, to, reason, took_ms });
    }
    state.changed();
  };

  return async (): Promise<Wake | null> => {
    const { wake } = await stepUntilSettled({
      subject: `backend ${state.name}`,
      mostSteps: MOST_STEPS,
      decide: () => {
        const decision = decide();
        const heldBefore = state.decision.memory.routes.held;
        const { held } = decision.memory.routes;
        state.decision = decision;
        state.doubted = null;
        if (held !== heldBefore) state.tools.heldRoutes?.keep(state.name, held);
        reach.watch(decision.isAway ? state.spec.origin : null);
        keep(decision);
        if (decision.step === null) rest(decision);
        return decision;
      },
      perform,
    });
    return wake;
  };
}

type AskedEvent = Extract<BackendEvent, { readonly kind: "asked_done" | "asked_failed" }>;

function eventTransition(
  backend: string,
  event: Exclude<BackendEvent, AskedEvent>,
  find: (id: number) => BackendInstance | null,
): GatewayTransition {
  if (event.kind === "ended") {
    const { reason, retryInMs } = event;
    const retry_in_ms = retryInMs === null ? null : Math.round(retryInMs);
    return { name: "backend.ended", backend, reason, retry_in_ms };
  }
  if (event.kind === "change_failed") return { name: "backend.change_failed", backend, reason: event.reason };
  if ("from" in event) {
    const { kind, ...change } = event;
    return { name: `backend.${kind}`, backend, ...change };
  }
  if ("route" in event) {
    const { kind, ...ready } = event;
    return { name: `backend.${kind}`, backend, ...ready };
  }
  if (event.kind === "replaced") {
    return { name: "backend.replaced", backend, draining: find(event.id)?.seen.inFlight ?? 0 };
  }
  const instance = find(event.id);
  const { tools, resources, prompts } = instance?.listings ?? NO_LISTINGS;
  const took = (instance?.seen.readyAtMs ?? 0) - (instance?.seen.startedAtMs ?? 0);
  return {
    name: "backend.ready",
    backend,
    tools: tools.length,
    resources: resources.length,
    prompts: prompts.length,
    took_ms: Math.round(took),
  };
}
