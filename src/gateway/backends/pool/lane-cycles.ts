// The cycles of one backend: decide and take steps until there is nothing to do.
import type { BackendConfig } from "../../../config/snapshot.ts";
import type { Wake } from "../../../reconcile/lane.ts";
import type { TriggerReason } from "../../../reconcile/trigger.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import {
  type BackendDecision,
  type BackendStep,
  decideBackend,
  UNDECIDED,
} from "../policy/decide-backend.ts";
import { type BackendSpec, NEW_BACKEND, type Now } from "../policy/decide-backend-draft.ts";
import type { LaneTools } from "./backend-lane-contract.ts";
import { eventTransition } from "./backend-lane-news.ts";
import type { ClientInstances } from "./client-instances.ts";
import type { ConnectionOutcome } from "./connection-key.ts";
import type { LaneInstances } from "./lane-instances.ts";
import type { Handover, Published } from "./lane-published.ts";
import type { PoolInstance } from "./pool-instance.ts";
import type { WaitingCalls } from "./waiting-calls.ts";

/** More steps than instances that may have to end at once; reaching it is a mistake in the decision. */
const MAX_STEPS = 200;

interface CyclesParts {
  readonly tools: LaneTools;
  readonly name: string;
  readonly waiting: WaitingCalls;
  readonly config: () => BackendConfig;
  readonly configured: () => boolean;
  readonly outcome: () => ConnectionOutcome;
  readonly revision: () => number;
  readonly epoch: () => number;
  readonly now: () => Now;
  readonly trigger: (reason: TriggerReason) => void;
  readonly isPerClient: () => boolean;
  readonly own: ClientInstances;
  readonly unavailable: () => string;
  readonly published: Published;
  readonly handover: Handover;
  readonly shared: LaneInstances;
  readonly changed: () => void;
}

/** The cycles of the lane: decide and take steps until there is nothing to do. */
export function createCycles({
  tools,
  name,
  waiting,
  config,
  configured,
  outcome,
  revision,
  epoch,
  now,
  trigger,
  isPerClient,
  own,
  unavailable,
  published,
  handover,
  shared,
  changed,
}: CyclesParts) {
  let checkAsked = false;
  let cycleDue = false;
  let turn: "none" | "asked" | "given" = "none";
  let serving: PoolInstance | null = null;
  /** As announced. */
  let phase = { name: NEW_BACKEND.phase, since: now() };
  let decision: BackendDecision = UNDECIDED;
  const spec = createLaneSpec({ tools, name, config, configured, outcome, revision, epoch });

  const cycle = (): Wake | null => {
    for (let steps = 0; steps < MAX_STEPS; steps++) {
      decision = decideBackend(
        spec(),
        {
          instances: [...shared.instances.values()].map(({ instance }) => instance.seen),
          clientInstances: own.all.length,
          mayStart: turn === "given",
          nextId: shared.nextId,
          checkAsked,
          jitter: tools.random(),
        },
        decision.memory,
        now(),
      );
      keep(decision);
      if (decision.step === null) {
        if (turn === "given") turn = "none";
        if (decision.wantsTurn) askForTurn();
        rest();
        return decision.wake;
      }
      perform(decision.step);
    }
    throw new MountaineerError("internal", `backend ${name} did not settle in ${MAX_STEPS} steps`);
  };

  const askForTurn = (): void => {
    if (turn !== "none") return;
    turn = "asked";
    tools.takeTurn(() => {
      turn = "given";
      trigger("start");
    });
  };

  /** The swap: who serves and what is published change in one go, before anybody else runs. */
  const keep = ({ calls, events }: BackendDecision): void => {
    const next = calls.kind === "serve" ? (shared.instances.get(calls.id) ?? null) : null;
    const before = serving;
    if (next !== before) {
      serving = next;
      checkAsked = false;
      if (next !== null) handover.takeOver(next, before);
    }
    published.publish();
    // After the swap: calls that waited for a client's own instance go to the shared one, by the lists now published.
    if (!isPerClient()) own.retire(() => false, "replaced");
    for (const event of events) {
      tools.announce(eventTransition(name, event, (id) => shared.instances.get(id)?.instance ?? null));
    }
    if (calls.kind === "refuse") {
      if (waiting.size > 0) waiting.fail(unavailable());
    } else if (serving?.isReady === true && waiting.size > 0) waiting.begin();
  };

  const perform = (step: BackendStep): void => {
    if (step.kind === "start") {
      turn = "none";
      const found = outcome();
      if (found.ok) shared.start({ ...found, epoch: epoch() });
      return;
    }
    const entry = shared.instances.get(step.id);
    if (entry === undefined) return;
    if (step.kind === "close") void shared.end(entry, step.drained);
    else if (step.kind === "refresh") entry.instance.refresh();
    else {
      checkAsked = false;
      entry.instance.check();
    }
  };

  const rest = (): void => {
    cycleDue = decision.wantsTurn;
    const { phase: to, reason } = decision;
    if (to !== phase.name) {
      const { name: from, since } = phase;
      phase = { name: to, since: now() };
      const took_ms = Math.round(phase.since.monotonicMs - since.monotonicMs);
      tools.announce({ name: "backend.phase", backend: name, from, to, reason, took_ms });
    }
    changed();
  };

  const askCheck = (): void => {
    checkAsked = true;
    trigger("check");
  };
  /** Something is to be decided: until then it is not settled. */
  const due = (): void => {
    cycleDue = true;
  };

  return {
    get decision() {
      return decision;
    },
    cycle,
    get serving() {
      return serving;
    },
    askCheck,
    get cycleDue() {
      return cycleDue;
    },
    due,
    get phase() {
      return phase;
    },
  };
}

interface LaneSpecParts {
  readonly tools: LaneTools;
  readonly name: string;
  readonly config: () => BackendConfig;
  readonly configured: () => boolean;
  readonly outcome: () => ConnectionOutcome;
  readonly revision: () => number;
  readonly epoch: () => number;
}

/** What is wanted of the backend now. */
function createLaneSpec({ tools, name, config, configured, outcome, revision, epoch }: LaneSpecParts) {
  const wanted = (): BackendSpec["wanted"] => {
    if (!configured()) return { kind: "nothing", because: "removed" };
    if (!config().enabled) return { kind: "nothing", because: "disabled" };
    const found = outcome();
    return found.ok
      ? { kind: "connection", key: found.key }
      : { kind: "secret_missing", variables: found.missing };
  };
  const spec = (): BackendSpec => {
    const { connection, replace } = config();
    return {
      name,
      origin: "url" in connection ? (URL.parse(connection.url)?.origin ?? null) : null,
      wanted: wanted(),
      revision: revision(),
      epoch: epoch(),
      replace,
      drainTimeoutMs: tools.drainTimeoutMs(),
    };
  };

  return spec;
}
