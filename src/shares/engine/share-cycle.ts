// The cycle of one share: observe, decide, take one step, and observe again until no step is left.

import { PROVED_NETWORKS } from "../../config/values/names.ts";
import type { Explanation } from "../../reconcile/decision.ts";
import type { NextRun } from "../../reconcile/reconcile-loop.ts";
import { NO_BACKOFF, restoredHealth, UNKNOWN_HEALTH } from "../../reconcile/route-health.ts";
import type { ShareMemory, StateStore } from "../../reconcile/state-store.ts";
import { stepUntilDone } from "../../reconcile/step-loop.ts";
import { isOutsideEvent, type Trigger } from "../../reconcile/trigger.ts";
import type { MountReport } from "../drivers/moving-mounts.ts";
import type { StableLinks } from "../links/stable-links.ts";
import type { MountClaims } from "../mounts/mount-claims.ts";
import { type Decision, decide, type MountJudgement, type ShareCondition } from "../policy/decide.ts";
import { forgetChangedRoutes, INITIAL_STATE, type ReconcileState } from "../policy/reconcile-state.ts";
import type { OpenFilesObservation, ShareObservation, StepObservation } from "../policy/share-observation.ts";
import { outcome, type RequestOutcome, type ShareRequest } from "../policy/share-request.ts";
import type { ShareTransition } from "../policy/share-transitions.ts";
import type { Step } from "../policy/step.ts";
import type { Contact } from "../program/sign-in.ts";
import { type RouteName, routesOf } from "../share-spec.ts";
import { checkContact, findDriverProblem, observe, observeAfterStep, observeOpenFiles } from "./observe.ts";
import { mayMove } from "./observe-moving.ts";
import { mountWatched, moveMount } from "./perform-mount.ts";
import { type CompareServers, ServerCheck } from "./server-check.ts";
import {
  type ConfiguredShare,
  type CycleObserveServices,
  createProbeTimeouts,
  type ObserveServices,
  type ProbeTimeouts,
} from "./share-subject.ts";

const MOST_STEPS = 16;
/** Two reports of one request differ by less than this, ms: each says how long ago it was. */
const REQUESTED_AGAIN_MS = 200;
const MOUNT_DEADLINE_MS = 20_000;
const UNMOUNT_DEADLINE_MS = 15_000;

export interface CycleTools extends ObserveServices {
  readonly links: StableLinks;
  readonly memory: Pick<StateStore, "save">;
  /** Absent: several daemons may mount at the same path. */
  readonly claims?: Pick<MountClaims, "claim" | "release">;
  /** Aborts running steps when the daemon has no time left. */
  readonly forceStop: AbortSignal;
  /** Absent: the servers behind a share's routes are not compared. */
  readonly compareServers?: CompareServers;
  /** Sends a wake-on-LAN packet; absent: no machine is woken. */
  readonly sendWakePacket?: (address: string) => void;
  /** Called after the transition is in the state file. */
  readonly announce: (transition: ShareTransition) => void;
}

/** Observation and conclusions of the newest cycle. */
export interface ShareView {
  readonly subject: ConfiguredShare;
  readonly memory: ShareMemory;
  readonly observed: ShareObservation | null;
  readonly conditions: readonly ShareCondition[];
  /** The rule in force, and those that were passed over; null: nothing was decided yet. */
  readonly explanation: Explanation | null;
  /** null: no mount was observed. */
  readonly mount: MountJudgement | null;
  /** The newest report on a mount that moves; null or absent: the share does not move. */
  readonly moving?: MountReport | null;
}

/** A person's request that is not answered yet. */
interface PendingRequest {
  readonly request: ShareRequest;
  readonly answer: (outcome: RequestOutcome) => void;
  /** A cycle has begun since the request. */
  isTaken: boolean;
}

/** The cycles of one share. At most one may run at a time. */
export class ShareCycle {
  readonly #tools: CycleTools;
  readonly #serverCheck: ServerCheck | null;
  readonly #chooseTimeouts = createProbeTimeouts();
  #subject: ConfiguredShare;
  #memory: ShareMemory;
  #state: ReconcileState;
  #view: ShareView;
  #pendingRequest: PendingRequest | null = null;
  /** True if a program has used or requested the share since the last observation. */
  #wanted = false;
  /** When a program last asked for the share while it had no route, monotonic ms. */
  #requestedAtMs = Number.NEGATIVE_INFINITY;
  #announcing: Promise<unknown> = Promise.resolve();
  #openFilesAhead: OpenFilesAhead | null = null;
  #otherHome: string | null = null;
  /** The claimed mount paths: after an edit, the share may still be mounted at the earlier path. */
  readonly #claimed = new Set<string>();

  /**
   * `recalled`: from the state file, where `observedAt` (wall ms) is the time of the last observation. `onChecked` is
   * called when a check of the servers has ended.
   */
  constructor(
    given: CycleTools,
    first: ConfiguredShare,
    recalled: { memory: ShareMemory; observedAt: number | null },
    onChecked: () => void = () => {},
  ) {
    this.#subject = first;
    this.#memory = recalled.memory;
    this.#tools = {
      ...given,
      recalled: () => this.#memory,
    };
    const { clock, compareServers } = given;
    const { tbReachableSince: reachableSince, tbHealthySince: healthySince } = recalled.memory;
    const now = { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
    const tb = restoredHealth({ reachableSince, healthySince, observedAt: recalled.observedAt }, now);
    this.#state = { ...INITIAL_STATE, health: { tb, fallback: UNKNOWN_HEALTH } };
    this.#view = {
      subject: first,
      memory: recalled.memory,
      observed: null,
      conditions: [],
      explanation: null,
      mount: null,
    };
    this.#serverCheck =
      compareServers === undefined ? null : new ServerCheck(clock, compareServers, onChecked);
  }

  /**
   * Runs one cycle. After `stopping` aborts, no new step begins, except the mount that completes a remount whose unmount
   * is done.
   */
  async run(triggers: readonly Trigger[], stopping: AbortSignal): Promise<NextRun | null> {
    const isRequested = triggers.some(({ reason }) => reason === "user");
    // A person's command that is not a request to this share ends the pauses between tries at once. For a request to
    // the share, the rules do that.
    if (
      (isRequested && this.#pendingRequest === null) ||
      triggers.some(({ reason }) => isOutsideEvent(reason) || reason === "config")
    ) {
      this.#state = { ...this.#state, mountBackoff: NO_BACKOFF };
    }
    if (isRequested && this.#pendingRequest?.isTaken !== true) this.#serverCheck?.retry();
    if (this.#pendingRequest !== null) this.#pendingRequest.isTaken = true;
    const { links, claims } = this.#tools;
    // The whole cycle uses one configuration, because what was observed of an address does not apply to an edited
    // address.
    const subject = this.#subject;
    const { mountPath } = subject.spec;
    this.#claimed.add(mountPath);
    const otherHome = (await claims?.claim(mountPath)) ?? null;
    this.#otherHome = otherHome;
    const ensured = isRequested ? links.ensureNow : links.ensure;
    const found = await observe(
      {
        ...this.#tools,
        ensureLink: otherHome === null ? ensured : () => null,
        // While a daemon with another home folder manages the mount path, no check logs in.
        checkServer: this.#checkServer(otherHome === null),
        probeTimeouts: this.#probeTimeouts(),
      },
      subject,
      Math.max(...triggers.map(({ atMs }) => atMs)),
      this.#openFilesAhead?.files ?? null,
    );
    await this.releaseClaims([mountPath, found.mount?.found.path]);
    let observed: ShareObservation = { ...found, otherHome, wanted: this.#takeWanted(found) };
    const { nextRun } = await stepUntilDone({
      subject: `share ${subject.spec.name}`,
      mostSteps: MOST_STEPS,
      decide: () => {
        const decision = this.#decide(subject, observed, this.#pendingRequest?.request ?? null);
        this.#keep(decision, observed);
        // A stop still lets a remount finish, because the remount has unmounted the share already.
        const isRemount =
          decision.step?.kind === "mount" && (decision.state.operation?.from ?? "none") !== "none";
        return stopping.aborted && !isRemount ? { ...decision, step: null } : decision;
      },
      perform: async (step: Step) => {
        observed = await perform(this.#tools, subject, step, observed);
      },
    });
    this.#readOpenFiles(observed);
    return nextRun;
  }

  /** Takes a person's request; an earlier one that still waits fails as superseded. */
  request(request: ShareRequest): Promise<RequestOutcome> {
    this.#pendingRequest?.answer(outcome("failed", "superseded by a newer command"));
    return new Promise((answer) => {
      this.#pendingRequest = { request, answer, isTaken: false };
    });
  }

  /** Notes that a program waits for the share. */
  want(): void {
    this.#wanted = true;
  }

  /** True while a person's request waits for its answer. */
  get hasRequest(): boolean {
    return this.#pendingRequest !== null;
  }

  /** Answers `request` as cancelled if it still waits; if `request` is null, answers any request that waits. */
  withdraw(request: ShareRequest | null): void {
    if (this.#pendingRequest === null || (request !== null && this.#pendingRequest.request !== request))
      return;
    this.#takeAnswer(outcome("failed", "cancelled"))?.();
  }

  view(): ShareView {
    return this.#withReport(this.#view);
  }

  /** Applies a new configuration from the next cycle on. Unchanged routes keep their history. */
  reconfigure(next: ConfiguredShare): void {
    const { spec } = this.#subject;
    const changed = forgetChangedRoutes(this.#state, spec, next.spec);
    const hasNewLogin = spec.username !== next.spec.username || spec.password !== next.spec.password;
    this.#state = {
      ...changed,
      ...(hasNewLogin ? { hasNewLogin } : {}),
      loginRefused: null,
      otherServer: null,
    };
    this.#serverCheck?.forget();
    this.#subject = next;
    this.#view = { ...this.#view, subject: next };
  }

  /** Takes a fresh look for a command that changes nothing: without a step, and without a check that would log in. */
  async observe(asOfMs: number): Promise<ShareView> {
    const subject = this.#subject;
    const readOnly = { ...this.#tools, ensureLink: () => null, checkServer: this.#checkServer(false) };
    const found = await observe(readOnly, subject, asOfMs, null);
    const linkBlocked = await this.#tools.links.check(subject.spec, found.mount?.found.path ?? null);
    const observed = { ...found, linkBlocked, otherHome: this.#otherHome };
    const { conditions, memory, mount, explanation } = this.#decide(subject, observed, null);
    return this.#withReport({ subject: this.#subject, memory, observed, conditions, explanation, mount });
  }

  /** Asks whether the share's hosts may be contacted now. */
  contact(): Promise<Contact> {
    return checkContact(this.#tools, this.#subject, this.#tools.clock.monotonicMs());
  }

  /** Ends the check in progress; resolves when its program has ended. */
  async end(): Promise<void> {
    await this.#serverCheck?.[Symbol.asyncDispose]();
  }

  /** Releases the claims on mount paths, except for `retained`. No step may still use the released paths. */
  async releaseClaims(retained: readonly (string | undefined)[] = []): Promise<void> {
    for (const path of this.#claimed) {
      if (retained.includes(path)) continue;
      this.#claimed.delete(path);
      await this.#tools.claims?.release(path);
    }
  }

  /** For shares that are remounted when their route changes, and for those that may be used where their routes are proved. */
  #checkServer(mayBegin: boolean): NonNullable<CycleObserveServices["checkServer"]> {
    return (subject, routes, contact) => {
      const { spec, policy } = subject;
      const isPlain = spec.driver === "local" || spec.missingVariable !== null || routesOf(spec).length < 2;
      const isOfInterest = !mayMove(subject) || policy.onlyOn?.includes(PROVED_NETWORKS) === true;
      const check = isPlain || !isOfInterest ? null : this.#serverCheck;
      return check?.observe(spec, routes, mayBegin ? contact : null) ?? null;
    };
  }

  /** Whether a program has asked for the share since the last observation. */
  #takeWanted({ mount }: ShareObservation): boolean {
    const requestedAtMs = mount?.moving?.requestedAtMs ?? null;
    if (requestedAtMs !== null && requestedAtMs > this.#requestedAtMs + REQUESTED_AGAIN_MS) {
      this.#requestedAtMs = requestedAtMs;
      this.want();
    }
    const wanted = this.#wanted;
    this.#wanted = false;
    return wanted;
  }

  #withReport(shown: ShareView): ShareView {
    const moving = shown.observed?.mount?.moving ?? null;
    const { spec, driver } = this.#subject;
    return moving === null ? shown : { ...shown, moving: driver.moving?.of(spec.name) ?? moving };
  }

  #probeTimeouts(): ProbeTimeouts {
    const { observed } = this.#view;
    const answeredIn = (route: RouteName): number | null => {
      const probe = observed?.routes[route].probe;
      return probe?.verdict === "answers" ? (probe.tookMs ?? null) : null;
    };
    return this.#chooseTimeouts({
      phase: this.#phaseNow(),
      route: observed?.mount?.found.route ?? null,
      isSuspected: this.#state.suspectedLoss !== null,
      tookMs: { tb: answeredIn("tb"), fallback: answeredIn("fallback") },
    });
  }

  /** The phase of a mount that moves. */
  #phaseNow(): "waiting" | "serving" | null {
    const { spec, driver } = this.#subject;
    const phase = driver.moving?.of(spec.name)?.phase.is ?? null;
    if (phase === null) return null;
    return phase === "waiting" ? "waiting" : "serving";
  }

  #decide(
    { spec, policy, driver }: ConfiguredShare,
    observed: ShareObservation,
    request: ShareRequest | null,
  ): Decision {
    return decide({
      ...{ spec, policy, observed, request },
      programsRun: (this.#tools.programs?.running(spec.name) ?? []).length > 0,
      cacheMs: driver.cacheMs,
      moves: mayMove({ driver, policy }),
      mayWaitForPermission: driver.mayWaitForPermission === true,
      memory: this.#memory,
      state: this.#state,
    });
  }

  /** Remembers the decision before announcing its transitions; steps do not wait for the disk. */
  #keep(decision: Decision, observed: ShareObservation): void {
    const { memory, state, transitions, step, mount, explanation } = decision;
    const subject = this.#subject;
    const { name } = subject.spec;
    const saved = memory === this.#memory ? null : this.#tools.memory.save(name, memory);
    this.#memory = memory;
    this.#state = state;
    // While open files are being checked, keep the conditions and the programs' state that follow from the
    // previous check.
    const conditions = step?.kind === "check_open_files" ? this.#view.conditions : decision.conditions;
    this.#view = { subject, memory, observed, conditions, explanation, mount };

    if (step?.kind !== "check_open_files") this.#tools.programs?.setAccess(name, decision.programs);
    const answer = decision.outcome === null ? null : this.#takeAnswer(decision.outcome);
    const kind = observed.routes.tb.probe.link?.kind ?? "unknown";
    const link = kind === "unknown" ? {} : { tb_link: kind };
    this.#announcing = this.#announcing.then(async () => {
      await saved;
      for (const transition of transitions) this.#tools.announce({ ...transition, share: name, ...link });
      answer?.();
    });
  }

  #takeAnswer(result: RequestOutcome): (() => void) | null {
    const answered = this.#pendingRequest;
    this.#pendingRequest = null;
    return answered === null ? null : () => answered.answer(result);
  }

  /**
   * Looks up the open files while a suspected loss of the host is not confirmed yet. After the unmount they could not
   * be found.
   */
  #readOpenFiles({ mount }: ShareObservation): void {
    const { suspectedLoss } = this.#state;
    if (suspectedLoss === null || mount === null) {
      this.#openFilesAhead = null;
      return;
    }
    if (this.#openFilesAhead?.suspectedAtMs === suspectedLoss.firstAtMs) return;
    const ahead: OpenFilesAhead = { suspectedAtMs: suspectedLoss.firstAtMs, files: null };
    this.#openFilesAhead = ahead;
    const reading = observeOpenFiles(this.#tools, this.#subject, mount.found);
    // A failure is ignored here, because the operation checks open files again before its unmount.
    void reading.then((files) => Object.assign(ahead, { files })).catch(() => {});
  }
}

interface OpenFilesAhead {
  readonly suspectedAtMs: number;
  /** The result of the look-up; null: not known yet. */
  files: OpenFilesObservation | null;
}

/** Performs one step, and observes the result. */
async function perform(
  tools: CycleTools,
  subject: ConfiguredShare,
  step: Step,
  observed: ShareObservation,
): Promise<ShareObservation> {
  const { clock, prober } = tools;
  const { driver, spec } = subject;
  const startedMs = clock.monotonicMs();
  const after = (lastStep: StepObservation): Promise<ShareObservation> =>
    observeAfterStep(tools, subject, observed, lastStep);
  const tookMs = (): number => clock.monotonicMs() - startedMs;
  const limits = (deadlineMs: number) => ({ deadlineMs, signal: tools.forceStop });
  switch (step.kind) {
    case "check_open_files": {
      const [openFiles, driverProblem] = await Promise.all([
        observeOpenFiles(tools, subject, step.mount),
        // The next step may be an unmount, which makes sense only if the driver can mount afterwards.
        findDriverProblem(tools, subject),
      ]);
      const [atMs, wallMs] = [clock.monotonicMs(), clock.wallMs()];
      return { ...observed, atMs, wallMs, openFiles, driverProblem, lastStep: null };
    }
    case "move": {
      const result = await moveMount(subject, observed, step, tools.forceStop);
      return after({ kind: "move", step, outcome: result, tookMs: tookMs() });
    }
    case "log_in": {
      const signIn = (await checkContact(tools, subject, startedMs)).signIn({});
      if (signIn !== null) await driver.moving?.logIn(spec.name, signIn);
      return after({ kind: "log_in" });
    }
    case "let_in":
      await driver.moving?.letIn(spec.name, step.guid);
      return after({ kind: "let_in" });
    case "wake":
      for (const address of step.addresses) tools.sendWakePacket?.(address);
      return { ...observed, atMs: clock.monotonicMs(), wallMs: clock.wallMs(), lastStep: null };
    case "mount": {
      const { mountDeadlineMs = MOUNT_DEADLINE_MS } = driver;
      const result = await mountWatched(tools, subject, observed, step, limits(mountDeadlineMs));
      return after({ kind: "mount", step, outcome: result, tookMs: tookMs() });
    }
    case "unmount": {
      const result = await driver.unmount(spec, step.mount, step.mode, limits(UNMOUNT_DEADLINE_MS));
      if (result.ok) prober.forget(step.mount.id);
      return after({ kind: "unmount", step, outcome: result, tookMs: tookMs() });
    }
  }
}
