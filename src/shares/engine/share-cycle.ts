// The cycle of one share: observe, decide, take one step, and observe again until no step is left.

import type { Explanation } from "../../reconcile/decision.ts";
import type { NextRun } from "../../reconcile/reconcile-loop.ts";
import { NO_BACKOFF, restoredHealth, UNKNOWN_HEALTH } from "../../reconcile/route-health.ts";
import type { ShareMemory, StateStore } from "../../reconcile/state-store.ts";
import { stepUntilDone } from "../../reconcile/step-loop.ts";
import { isOutsideEvent, type Trigger } from "../../reconcile/trigger.ts";
import type { RelayedState } from "../drivers/relay-contract.ts";
import type { StableLinks } from "../links/stable-links.ts";
import type { MountClaims } from "../mounts/mount-claims.ts";
import { type Decision, decide, type MountJudgement, type ShareCondition } from "../policy/decide.ts";
import { networksOf } from "../policy/networks.ts";
import {
  changedRoutes,
  forgetChangedRoutes,
  INITIAL_STATE,
  type ReconcileState,
} from "../policy/reconcile-state.ts";
import type {
  LoginObservation,
  OpenFilesObservation,
  ShareObservation,
  StepObservation,
} from "../policy/share-observation.ts";
import { outcome, type RequestOutcome, type ShareRequest } from "../policy/share-request.ts";
import type { ShareTransition } from "../policy/share-transitions.ts";
import type { Step } from "../policy/step.ts";
import { ROUTE_NAMES, type RouteName } from "../share-spec.ts";
import { findDriverProblem, observe, observeAfterStep, observeOpenFiles } from "./observe.ts";
import { isRelayPort } from "./observe-relayed.ts";
import { epochOf, type MountTools, mountWatched, moveRelayed } from "./perform-relayed.ts";
import { type IdentityInput, ServerIdentities } from "./server-identities.ts";
import { type ConfiguredShare, createProbeTimeouts, type ProbeTimeouts } from "./share-subject.ts";

const MOST_STEPS = 16;
/**
 * How long rclone may repeat the requests of our own check after a connection has ended, ms. Traffic in that time is
 * not a program's use of the share.
 */
const OWN_CHECK_MS = 2_000;
const MOUNT_DEADLINE_MS = 20_000;
const UNMOUNT_DEADLINE_MS = 15_000;

export interface CycleTools extends MountTools {
  readonly links: StableLinks;
  readonly memory: Pick<StateStore, "save">;
  /** Absent: several daemons may mount at the same path. */
  readonly claims?: Pick<MountClaims, "claim" | "release">;
  /** Aborts running steps when the daemon has no time left. */
  readonly forceStop: AbortSignal;
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
  /** The relay's newest report; null or absent: the share is not relayed. */
  readonly relayed?: RelayedState | null;
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
  readonly #trust: ServerIdentities | undefined;
  readonly #chooseTimeouts = createProbeTimeouts();
  #subject: ConfiguredShare;
  #memory: ShareMemory;
  #state: ReconcileState;
  #view: ShareView;
  #pendingRequest: PendingRequest | null = null;
  /** Id of the login that the mount uses; null: unknown, because an earlier daemon mounted the share. */
  #mountedWith: string | null = null;
  /**
   * Applies while the mount's login is unknown. True: if the server refuses that login, this says nothing about the
   * configured login.
   */
  #isOtherIfRefused = false;
  /** True if the newest cycle was not allowed to log in. */
  #mightNotLogOn = false;
  /** True if a program has used or requested the share since the last observation. */
  #wanted = false;
  /**
   * The mount's connections plus its sent bytes at the last observation: a number that grows with any traffic. null
   * unless the driver is rclone and programs wait for a route.
   */
  #traffic: number | null = null;
  #announcing: Promise<unknown> = Promise.resolve();
  #openFilesAhead: OpenFilesAhead | null = null;
  #otherHome: string | null = null;
  /** The claimed mount paths: after an edit, the share may still be mounted at the earlier path. */
  readonly #claimed = new Set<string>();

  /**
   * `recalled`: from the state file, where `observedAt` (wall ms) is the time of the last observation. `onProof` is
   * called when a proof of a server has ended.
   */
  constructor(
    given: CycleTools,
    first: ConfiguredShare,
    recalled: { memory: ShareMemory; observedAt: number | null },
    onProof: () => void = () => {},
  ) {
    this.#subject = first;
    this.#memory = recalled.memory;
    given.logins.recall(first.spec, recalled.memory.logonsRefusedAt);
    this.#tools = {
      ...given,
      login: () => this.#observeLogin(),
      networks: () => networksOf(this.#subject.policy, this.#subject.spec, this.#memory),
      rememberedPort: () => this.#memory.relayPort,
      onUnproved: (route) => this.#trust?.invalidate(route),
    };
    const { clock, serverProof } = given;
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
    const outage = (): number | null => this.#relayedNow()?.outage ?? null;
    if (serverProof !== undefined)
      this.#trust = new ServerIdentities({ clock, proof: serverProof, outage }, onProof);
  }

  /**
   * Runs one cycle. After `stopping` aborts, no new step begins, except the mount that completes a remount whose unmount
   * is done.
   */
  async run(triggers: readonly Trigger[], stopping: AbortSignal): Promise<NextRun | null> {
    const isRequested = triggers.some(({ reason }) => reason === "user");
    // A person's command that is not a request to this share ends the pauses between tries at once. For a request to
    // the share, the rules do that.
    const mayTryLogin = isRequested && this.#pendingRequest === null;
    if (mayTryLogin || triggers.some(({ reason }) => isOutsideEvent(reason) || reason === "config")) {
      this.#state = { ...this.#state, mountBackoff: NO_BACKOFF };
      this.#trust?.retry();
    }
    this.#allowLoginTry(mayTryLogin);
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
        // No proof runs while a daemon with another home folder manages the mount path, because proofs log
        // in.
        trust: otherHome === null ? this.#trust : undefined,
        probeTimeouts: this.#probeTimeouts(triggers),
      },
      subject,
      Math.max(...triggers.map(({ atMs }) => atMs)),
      this.#state,
      this.#openFilesAhead?.files ?? null,
    );
    await this.releaseClaims([mountPath, found.mount?.found.path]);
    let observed: ShareObservation = { ...found, otherHome, wanted: this.#takeWanted(found) };
    if (ROUTE_NAMES.every((route) => found.configured[route].probe.verdict !== "answers"))
      this.#tools.logins.unreachable(subject.spec);
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
        const { lastStep } = observed;
        if (lastStep?.kind === "mount" && lastStep.outcome.ok) {
          this.#mountedWith = lastStep.outcome.adopted ? null : this.#tools.logins.idOf(subject.spec);
          this.#isOtherIfRefused = false;
        } else if (step.kind === "confirm" && step.login === true) this.#isOtherIfRefused = true;
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
    return this.#withRelay(this.#view);
  }

  /** Applies a new configuration from the next cycle on. Unchanged routes keep their history. */
  reconfigure(next: ConfiguredShare): void {
    const { spec } = this.#subject;
    this.#state = forgetChangedRoutes(this.#state, spec, next.spec);
    const isSameLogin = spec.username === next.spec.username && spec.password === next.spec.password;
    const isOther = !isSameLogin || spec.shareName !== next.spec.shareName;
    // A proof does not hold for another address, port, share or user.
    this.#trust?.retry(isOther ? ROUTE_NAMES : changedRoutes(spec, next.spec));
    if (!isSameLogin) {
      this.#tools.logins.requested(next.spec);
      this.#isOtherIfRefused ||= spec.missingVariable === null;
    }
    this.#subject = next;
    this.#view = { ...this.#view, subject: next };
  }

  /**
   * Takes a fresh look for a command that changes nothing: without a step, and without a proof, which would
   * run programs.
   */
  async observe(asOfMs: number): Promise<ShareView> {
    const subject = this.#subject;
    const trust = this.#trust;
    const passive = trust && {
      observe: (input: IdentityInput) => trust.observe({ ...input, wanted: false }),
    };
    const readOnly = { ...this.#tools, ensureLink: () => null, trust: passive };
    const found = await observe(readOnly, subject, asOfMs, this.#state, null);
    const linkBlocked = await this.#tools.links.check(subject.spec, found.mount?.found.path ?? null);
    const observed = { ...found, linkBlocked, otherHome: this.#otherHome };
    const { conditions, memory, mount, explanation } = this.#decide(subject, observed, null);
    return this.#withRelay({ subject: this.#subject, memory, observed, conditions, explanation, mount });
  }

  /** Call this after the server in use has ended connections: another server may answer by now. */
  markUnproved(): void {
    const relayed = this.#relayedNow();
    // If the relay counts outages, the next cycle compares the counts and keeps proofs that began after the outage.
    // Otherwise the proof is invalidated here.
    if (relayed?.outage === null) this.#trust?.invalidate(relayed.route);
  }

  /** Ends the proof in progress; resolves when its programs and files are gone. */
  async end(): Promise<void> {
    await this.#trust?.[Symbol.asyncDispose]();
  }

  /** Releases the claims on mount paths, except for `retained`. No step may still use the released paths. */
  async releaseClaims(retained: readonly (string | undefined)[] = []): Promise<void> {
    for (const path of this.#claimed) {
      if (retained.includes(path)) continue;
      this.#claimed.delete(path);
      await this.#tools.claims?.release(path);
    }
  }

  /**
   * Allows one login attempt for a person's request. Once logins are allowed again, failed proofs are repeated.
   */
  #allowLoginTry(mayTryLogin: boolean): void {
    const { logins } = this.#tools;
    const { spec } = this.#subject;
    const pendingRequest = this.#pendingRequest;
    const isNew =
      pendingRequest !== null && !pendingRequest.isTaken && pendingRequest.request.kind !== "unmount";
    if (pendingRequest !== null) pendingRequest.isTaken = true;
    if (mayTryLogin || isNew) logins.requested(spec);
    const { may } = logins.status(spec);
    if (may && this.#mightNotLogOn) this.#trust?.retry();
    this.#mightNotLogOn = !may;
  }

  /**
   * Whether a program has asked for the share since the last observation. While no route is left, new traffic of rclone
   * means that one of its files or folders was used; the kernel's clients also send when idle. Our own checks are
   * ignored.
   */
  #takeWanted({ mount }: ShareObservation): boolean {
    const { phase, connectionsInAll = 0, bytesUp = 0, routeLostAtMs } = this.#relayedNow() ?? {};
    const [nowMs, before] = [this.#tools.clock.monotonicMs(), this.#traffic];
    const isOut = phase === "waiting" || phase === "refusing";
    this.#traffic = isOut && this.#subject.spec.driver === "rclone" ? connectionsInAll + bytesUp : null;
    const { check } = mount ?? {};
    const isOurs =
      check?.state === "pending"
        ? phase === "refusing" || nowMs - (routeLostAtMs ?? nowMs) < OWN_CHECK_MS
        : check?.state === "answered" && nowMs - check.finishedAtMs < OWN_CHECK_MS;
    if (before !== null && this.#traffic !== null && this.#traffic > before && !isOurs) this.want();
    const wanted = this.#wanted;
    this.#wanted = false;
    return wanted;
  }

  #observeLogin(): LoginObservation | null {
    const { logins } = this.#tools;
    const { spec } = this.#subject;
    if (spec.driver === "local") return null;
    const refused = this.#relayedNow()?.refusedLogon ?? null;
    if (refused !== null) logins.refused(spec, this.#mountedWith, refused.text, refused.atMs);
    const isSame =
      this.#mountedWith === null ? !this.#isOtherIfRefused : this.#mountedWith === logins.idOf(spec);
    return { ...logins.status(spec), refusedAs: refused === null ? null : isSame ? "same" : "other" };
  }

  #relayedNow(): RelayedState | null {
    return this.#tools.relay?.of(this.#subject.spec.name) ?? null;
  }

  #withRelay(shown: ShareView): ShareView {
    const isRelayed = (shown.observed?.mount?.relayed ?? null) !== null;
    const relayed = isRelayed ? this.#relayedNow() : null;
    return relayed === null ? shown : { ...shown, relayed };
  }

  #probeTimeouts(triggers: readonly Trigger[]): ProbeTimeouts {
    const { observed } = this.#view;
    const answeredIn = (route: RouteName): number | null => {
      const probe = observed?.routes[route].probe;
      return probe?.verdict === "answers" ? (probe.tookMs ?? null) : null;
    };
    return this.#chooseTimeouts({
      phase: this.#relayedNow()?.phase ?? null,
      route: observed?.mount?.found.route ?? null,
      isSuspected: this.#state.suspectedLoss !== null || triggers.some(({ reason }) => reason === "stalled"),
      tookMs: { tb: answeredIn("tb"), fallback: answeredIn("fallback") },
    });
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
    this.#announcing = this.#announcing.then(async () => {
      await saved;
      for (const transition of transitions) this.#tools.announce({ ...transition, share: name });
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
  const { clock, relay, prober } = tools;
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
      const result = await moveRelayed(tools, subject, observed, step);
      return after({ kind: "move", step, outcome: result, tookMs: tookMs() });
    }
    case "hold":
    case "confirm":
      if (step.kind === "hold") await relay?.pause(spec.name, epochOf(observed));
      else if (step.login) await relay?.reopen(spec.name);
      else await relay?.confirm(spec.name, step.outage);
      return after({ kind: "gate" });
    case "wake":
      for (const address of step.addresses) tools.sendWakePacket?.(address);
      return { ...observed, atMs: clock.monotonicMs(), wallMs: clock.wallMs(), lastStep: null };
    case "mount": {
      const result = await mountWatched(tools, subject, observed, step, limits(MOUNT_DEADLINE_MS));
      return after({ kind: "mount", step, outcome: result, tookMs: tookMs() });
    }
    case "unmount": {
      const result = await driver.unmount(spec, step.mount, step.mode, limits(UNMOUNT_DEADLINE_MS));
      if (result.ok) {
        prober.forget(step.mount.id);
        if (isRelayPort(step.mount)) await relay?.close(spec.name);
      }
      return after({ kind: "unmount", step, outcome: result, tookMs: tookMs() });
    }
  }
}
