// Owns the cycle of one share: observe, decide, one step, observe again, until there is nothing to do.
import type { Wake } from "../../reconcile/lane.ts";
import type { Memory, ShareMemory } from "../../reconcile/memory.ts";
import { NO_BACKOFF, recalledHealth, UNKNOWN_HEALTH } from "../../reconcile/route-health.ts";
import { isOutsideEvent, type Trigger } from "../../reconcile/trigger.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { CarriedState } from "../drivers/carriage.ts";
import type { StableLinks } from "../links/stable-links.ts";
import { type Decision, decide, type StandingCondition } from "../policy/decide.ts";
import { type Episode, forgetChangedRoutes, NEW_EPISODE } from "../policy/episode.ts";
import { outcome, type RequestOutcome, type ShareRequest } from "../policy/share-request.ts";
import type { OpenFilesSeen, ShareSeen } from "../policy/share-seen.ts";
import type { ShareTransition } from "../policy/share-transitions.ts";
import type { Step } from "../policy/step.ts";
import type { ServerProof } from "../server-proof/server-proof.ts";
import type { RouteName } from "../share-spec.ts";
import { createHurry } from "./hurry.ts";
import { findDriverProblem, observe, observeAfterStep, observeOpenFiles } from "./observe.ts";
import { isCarriedPort } from "./observe-carried.ts";
import { mountWatched, moveCarried } from "./perform-carried.ts";
import { createServerTrust } from "./server-trust.ts";
import type { LookTools, Subject } from "./share-subject.ts";

/** More steps than any errand has; reaching it is a mistake in the decision. */
const MAX_STEPS = 16;
const MOUNT_DEADLINE_MS = 20_000;
const UNMOUNT_DEADLINE_MS = 15_000;

export interface CycleTools extends LookTools {
  /** Proves which server is behind a route; absent where nothing can be carried. */
  readonly serverProof?: Pick<ServerProof, "compare" | "recognise">;
  readonly links: StableLinks;
  readonly memory: Pick<Memory, "remember">;
  /** Aborts steps under way: the daemon has no more time. */
  readonly forceStop: AbortSignal;
  /** Only transitions that are remembered are announced. */
  readonly announce: (transition: ShareTransition) => void;
}

/** What the newest cycle saw and concluded. */
export interface ShareView {
  readonly subject: Subject;
  readonly memory: ShareMemory;
  readonly seen: ShareSeen | null;
  readonly conditions: readonly StandingCondition[];
  /** What carries it, as last heard; null or absent: nothing. */
  readonly carried?: CarriedState | null;
}

export interface ShareCycle {
  /** One cycle; `stopping`: no new step is begun, a share that is between two mounts is mounted first. */
  run(triggers: readonly Trigger[], stopping: AbortSignal): Promise<Wake | null>;
  /** Takes a person's request; one that still waits for the next cycle, or for files to close, is superseded. */
  ask(request: ShareRequest): Promise<RequestOutcome>;
  /** A person's request waits to be carried out. */
  readonly isAsked: boolean;
  /** Withdraws a request that still waits; null: whichever it is. */
  withdraw(request: ShareRequest | null): void;
  view(): ShareView;
  /** From the next cycle on. What did not change keeps its memory. */
  reconfigure(subject: Subject): void;
  /** A fresh look without a step, for those who only look. */
  look(asOfMs: number): Promise<ShareView>;
  /** The server behind the route in use has ended connections. */
  doubt(): void;
  /** Ends what is under way beside the cycles. */
  end(): void;
}

interface Asked {
  readonly request: ShareRequest;
  readonly answer: (outcome: RequestOutcome) => void;
}

/**
 * `recalled` is what the state file says, `observedAt` (wall ms) when it was last true. `onProof` is called when a proof
 * of the server behind the routes has ended.
 */
export function createShareCycle(
  given: CycleTools,
  first: Subject,
  recalled: { memory: ShareMemory; observedAt: number | null },
  onProof: () => void = () => {},
): ShareCycle {
  let subject = first;
  let memory = recalled.memory;
  const tools: CycleTools = { ...given, rememberedPort: () => memory.carriedPort };
  const { clock } = tools;
  let episode = recalledEpisode(tools, recalled);
  let view: ShareView = { subject, memory, seen: null, conditions: [] };
  let asked: Asked | null = null;
  let announcing: Promise<unknown> = Promise.resolve();
  const carriedNow = (): CarriedState | null => tools.carriage?.of(subject.spec.name) ?? null;
  const trust =
    tools.serverProof === undefined
      ? undefined
      : createServerTrust(
          { clock, proof: tools.serverProof, outage: () => carriedNow()?.outage ?? null },
          onProof,
        );

  const withCarriage = (shown: ShareView): ShareView => {
    const isCarried = (shown.seen?.mount?.carried ?? null) !== null;
    const carried = isCarried ? carriedNow() : null;
    return carried === null ? shown : { ...shown, carried };
  };

  const decideNow = (seen: ShareSeen, request: ShareRequest | null): Decision =>
    decide({
      spec: subject.spec,
      policy: subject.policy,
      cacheMs: subject.driver.cacheMs,
      mayWaitForPermission: subject.driver.mayWaitForPermission === true,
      seen,
      memory,
      episode,
      request,
    });

  /** The change is remembered before it is announced; steps do not wait for the disk. */
  const keep = (decision: Decision, seen: ShareSeen): void => {
    const { name } = subject.spec;
    const saved = decision.memory === memory ? null : tools.memory.remember(name, decision.memory);
    ({ memory, episode } = decision);
    // Until the check answers, what is known of open files is what the last one found.
    const isChecking = decision.step?.kind === "check_open_files";
    view = { subject, memory, seen, conditions: isChecking ? view.conditions : decision.conditions };
    const { transitions } = decision;
    const answer = decision.outcome === null ? null : takeAnswer(decision.outcome);
    if (saved === null && transitions.length === 0 && answer === null) return;
    announcing = announcing.then(async () => {
      await saved;
      for (const transition of transitions) tools.announce({ ...transition, share: name });
      answer?.();
    });
  };

  const takeAnswer = (result: RequestOutcome): (() => void) | null => {
    const answered = asked;
    asked = null;
    return answered === null ? null : () => answered.answer(result);
  };

  const hurry = createHurry();
  const answeredIn = (route: RouteName): number | null => {
    const probe = view.seen?.routes[route].probe;
    return probe?.verdict === "answers" ? (probe.tookMs ?? null) : null;
  };
  const perform = createSteps({ subject: () => subject, tools, clock });
  const openFilesAhead = createOpenFilesAhead({ subject: () => subject, tools, episode: () => episode });

  return {
    async run(triggers, stopping) {
      const isAskedFor = triggers.some(({ reason }) => reason === "user");
      // What a request does to the pauses is its own; without one a person wants everything tried now.
      const isAskedToTry = isAskedFor && asked === null;
      if (isAskedToTry || triggers.some(({ reason }) => isOutsideEvent(reason) || reason === "config")) {
        episode = { ...episode, mountBackoff: NO_BACKOFF };
      }
      const asOfMs = Math.max(...triggers.map(({ atMs }) => atMs));
      const ensureLink = isAskedFor ? tools.links.ensureNow : tools.links.ensure;
      const hurried = hurry({
        phase: carriedNow()?.phase ?? null,
        route: view.seen?.mount?.found.route ?? null,
        inDoubt: episode.suspicion !== null || triggers.some(({ reason }) => reason === "stalled"),
        tookMs: { tb: answeredIn("tb"), fallback: answeredIn("fallback") },
      });
      const observeTools = { ...tools, ensureLink, trust, hurried };
      let seen = await observe(
        observeTools,
        subject,
        asOfMs,
        episode,
        openFilesAhead.prepared?.files ?? null,
      );
      for (let steps = 0; steps < MAX_STEPS; steps++) {
        const decision = decideNow(seen, asked?.request ?? null);
        keep(decision, seen);
        if (decision.step === null || (stopping.aborted && !finishesErrand(decision))) {
          openFilesAhead.prepareOpenFiles(seen);
          return decision.wake;
        }
        seen = await perform(decision.step, seen);
      }
      throw new MountaineerError(
        "internal",
        `share ${subject.spec.name} did not settle in ${MAX_STEPS} steps`,
      );
    },
    ask(request) {
      asked?.answer(outcome("failed", "superseded by a newer command"));
      return new Promise((answer) => {
        asked = { request, answer };
      });
    },
    get isAsked() {
      return asked !== null;
    },
    withdraw(request) {
      if (asked === null || (request !== null && asked.request !== request)) return;
      takeAnswer(outcome("failed", "cancelled"))?.();
    },
    view: () => withCarriage(view),
    reconfigure(next) {
      episode = forgetChangedRoutes(episode, subject.spec, next.spec);
      subject = next;
      view = { ...view, subject };
    },
    async look(asOfMs) {
      const lookOnly = { ...tools, ensureLink: () => null, trust };
      const found = await observe(lookOnly, subject, asOfMs, episode, null);
      const linkBlocked = await tools.links.look(subject.spec, found.mount?.found.path ?? null);
      const seen = { ...found, linkBlocked };
      const { conditions, memory: judged } = decideNow(seen, null);
      return withCarriage({ subject, memory: judged, seen, conditions });
    },
    doubt() {
      const carried = carriedNow();
      // What tells its outages is believed at the next look: a proof that is begun meanwhile stays good.
      if (carried?.outage === null) trust?.doubt(carried.route);
    },
    end: () => trust?.[Symbol.dispose](),
  };
}

interface OpenFilesAheadParts {
  readonly subject: () => Subject;
  readonly tools: CycleTools;
  readonly episode: () => Episode;
}

/** While a loss waits for its confirmation, who holds files is looked up: it must be known before the unmount. */
function createOpenFilesAhead({ subject, tools, episode }: OpenFilesAheadParts) {
  let prepared: { readonly suspicionAtMs: number; files: OpenFilesSeen | null } | null = null;

  /** While a loss waits for its confirmation, who holds files is looked up: it must be known before the unmount. */
  const prepareOpenFiles = (seen: ShareSeen): void => {
    const { suspicion } = episode();
    if (suspicion === null || seen.mount === null) {
      prepared = null;
      return;
    }
    if (prepared?.suspicionAtMs === suspicion.firstAtMs) return;
    const preparing: NonNullable<typeof prepared> = { suspicionAtMs: suspicion.firstAtMs, files: null };
    prepared = preparing;
    void observeOpenFiles(tools, subject(), seen.mount.found).then(
      (files) => {
        preparing.files = files;
      },
      () => {
        // The errand asks again, and there a failure is told.
      },
    );
  };

  return {
    get prepared() {
      return prepared;
    },
    prepareOpenFiles,
  };
}

interface StepsParts {
  readonly subject: () => Subject;
  readonly tools: CycleTools;
  readonly clock: Clock;
}

/** Carries out one step, and sees what came of it. */
function createSteps({ subject, tools, clock }: StepsParts) {
  const perform = async (step: Step, seen: ShareSeen): Promise<ShareSeen> => {
    const { driver, spec } = subject();
    const startedMs = clock.monotonicMs();
    const limits = (deadlineMs: number) => ({ deadlineMs, signal: tools.forceStop });
    switch (step.kind) {
      case "check_open_files": {
        const [openFiles, driverProblem] = await Promise.all([
          observeOpenFiles(tools, subject(), step.mount),
          // An unmount may follow, and then a mount must.
          findDriverProblem(tools, subject()),
        ]);
        const [atMs, wallMs] = [clock.monotonicMs(), clock.wallMs()];
        return { ...seen, atMs, wallMs, openFiles, driverProblem, lastStep: null };
      }
      case "move": {
        const result = await moveCarried(tools, subject(), seen, step);
        const tookMs = clock.monotonicMs() - startedMs;
        return observeAfterStep(tools, subject(), seen, { kind: "move", step, outcome: result, tookMs });
      }
      case "hold":
      case "confirm":
        if (step.kind === "hold") await tools.carriage?.hold(spec.name);
        else await tools.carriage?.confirm(spec.name, step.outage);
        return observeAfterStep(tools, subject(), seen, { kind: "gate", step, outcome: { ok: true } });
      case "mount": {
        const result = await mountWatched(tools, subject(), seen, step, limits(MOUNT_DEADLINE_MS));
        const tookMs = clock.monotonicMs() - startedMs;
        return observeAfterStep(tools, subject(), seen, { kind: "mount", step, outcome: result, tookMs });
      }
      case "unmount": {
        const result = await driver.unmount(spec, step.mount, step.mode, limits(UNMOUNT_DEADLINE_MS));
        if (result.ok) {
          tools.prober.forget(step.mount.id);
          if (isCarriedPort(step.mount)) await tools.carriage?.close(spec.name);
        }
        const tookMs = clock.monotonicMs() - startedMs;
        return observeAfterStep(tools, subject(), seen, { kind: "unmount", step, outcome: result, tookMs });
      }
    }
  };

  return perform;
}

/** A share that was unmounted in order to be mounted elsewhere is not left so. */
function finishesErrand({ step, episode }: Decision): boolean {
  return step?.kind === "mount" && episode.errand !== null && episode.errand.from !== "none";
}

function recalledEpisode(
  { clock }: CycleTools,
  { memory, observedAt }: { memory: ShareMemory; observedAt: number | null },
): Episode {
  const now = { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
  const { tbReachableSince: reachableSince, tbHealthySince: healthySince } = memory;
  const tb = recalledHealth({ reachableSince, healthySince, observedAt }, now);
  return { ...NEW_EPISODE, health: { tb, fallback: UNKNOWN_HEALTH } };
}
