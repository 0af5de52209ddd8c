// All shares of a daemon. The cycles of each share run one after another in its own reconcile loop, so a slow or hung
// share delays no other.
import { createReconcileLoop, type ReconcileLoop } from "../../reconcile/reconcile-loop.ts";
import { EMPTY_SHARE_MEMORY, type ShareMemory, type StateStore } from "../../reconcile/state-store.ts";
import type { Trigger, TriggerReason } from "../../reconcile/trigger.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { settlesWithin } from "../../runtime/time/clock.ts";
import { createDriverSuccession, type DriverSuccession } from "../drivers/driver-succession.ts";
import type { MountDriver } from "../drivers/mount-driver.ts";
import type { ShareCondition } from "../policy/decide.ts";
import type { RequestOutcome, ShareRequest } from "../policy/share-request.ts";
import type { Contact } from "../program/sign-in.ts";
import type { ShareSpec } from "../share-spec.ts";
import { type CycleTools, ShareCycle, type ShareView } from "./share-cycle.ts";
import type { ConfiguredShare } from "./share-subject.ts";
import { createUnconfiguredShares, type UnconfiguredShare } from "./unconfigured-shares.ts";

/** `untilIdle` waits for a confirming cycle (a second probe or check) if it is due within this time, ms. */
const IDLE_WITHIN_MS = 1500;
const IDLE_ROUNDS = 8;
/** When the engine ends, how long it waits for aborted checks of servers, ms. Their programs are killed at once. */
const CHECKS_END_MS = 1_000;

interface EngineTools extends CycleTools {
  readonly memory: StateStore;
  readonly logger: Logger;
  /** All drivers that a share may have or have had. A mount belongs to the first of them that recognizes it. */
  readonly drivers: readonly MountDriver[];
  readonly onCycle?: (share: string) => void;
}

interface RunningShare {
  readonly loop: ReconcileLoop;
  readonly cycle: ShareCycle;
  readonly succession: DriverSuccession;
  unwatchProcess: () => void;
  subject: ConfiguredShare;
}

export class ShareEngine implements AsyncDisposable {
  readonly #tools: EngineTools;
  readonly #shares = new Map<string, RunningShare>();
  /** The newest end of each removed share, until it is over; a share that is added again waits for it. */
  readonly #ending = new Map<string, Promise<void>>();
  readonly #checksEnding = new Set<Promise<void>>();
  readonly #conditionLog: ReturnType<typeof createConditionLog>;
  /**
   * State of shares from the state file. Each is used once: a share that is removed and added again starts
   * without history.
   */
  readonly #recalled: Map<string, ShareMemory>;
  readonly #unconfigured: ReturnType<typeof createUnconfiguredShares>;
  readonly #unregister: () => void;
  #isResting = false;
  #isEnding = false;

  constructor(tools: EngineTools) {
    this.#tools = tools;
    this.#conditionLog = createConditionLog(tools.logger);
    this.#recalled = new Map(tools.memory.restored.shares);
    this.#unconfigured = createUnconfiguredShares(tools);
    this.#unregister = this.#listenToPrograms();
  }

  get names(): readonly string[] {
    return [...this.#shares.keys()];
  }

  /** Runs a cycle of every share; shares for which `first` is true begin before the others. */
  triggerAll(
    reason: TriggerReason,
    atMs: number,
    details: readonly string[] = [],
    first: (spec: ShareSpec) => boolean = () => false,
  ): void {
    const rank = ({ subject }: RunningShare): number => Number(first(subject.spec));
    const ordered = [...this.#shares.values()].sort((one, other) => rank(other) - rank(one));
    for (const { loop } of ordered) loop.trigger({ reason, atMs, details });
  }

  trigger(name: string, reason: TriggerReason): void {
    this.#shares.get(name)?.loop.trigger(this.#triggerNow(reason));
  }

  /** Notes that a program waits for the share, and starts a cycle. */
  want(name: string): void {
    this.#shares.get(name)?.cycle.want();
    this.trigger(name, "data");
  }

  /**
   * Requests an action of one share; an abort withdraws a waiting request. A share that is no longer configured can only
   * be unmounted, which also removes its link. Rejects with `share_unknown`.
   */
  async request(name: string, request: ShareRequest, signal: AbortSignal): Promise<RequestOutcome> {
    signal.throwIfAborted();
    if (request.kind === "unmount" && !this.#shares.has(name))
      return this.#unmountUnconfigured(name, request, signal);
    return this.#request(this.#share(name), request, signal);
  }

  async #unmountUnconfigured(
    name: string,
    request: ShareRequest,
    signal: AbortSignal,
  ): Promise<RequestOutcome> {
    const left = (await this.findUnconfigured()).find(({ spec }) => spec.name === name);
    if (left === undefined) throw shareUnknown(name);
    const share = this.#begin(left, left.memory, () => true);
    const outcome = await this.#request(share, request, signal).finally(() => this.#end(name, share, false));
    if (outcome.result === "unmounted") await this.#tools.links.remove(left.spec);
    await this.findUnconfigured();
    return outcome;
  }

  async #request(
    { cycle, loop }: RunningShare,
    request: ShareRequest,
    signal: AbortSignal,
  ): Promise<RequestOutcome> {
    const answer = cycle.request(request);
    const withdraw = (): void => cycle.withdraw(request);
    // No cycle will perform the request now.
    if (this.#isEnding) withdraw();
    signal.addEventListener("abort", withdraw, { once: true });
    loop.trigger(this.#triggerNow("user"));
    try {
      return await answer;
    } finally {
      signal.removeEventListener("abort", withdraw);
    }
  }

  /** Resolves when the share has nothing more to do for now. */
  async untilIdle(name: string, signal: AbortSignal): Promise<void> {
    const { loop } = this.#share(name);
    const { clock } = this.#tools;
    for (let round = 0; round < IDLE_ROUNDS; round++) {
      await loop.idle();
      const { nextRun } = loop;
      if (nextRun === null || nextRun.reason !== "confirm") return;
      const waitMs = nextRun.atMs - clock.monotonicMs();
      if (waitMs > IDLE_WITHIN_MS) return;
      await clock.sleep(Math.max(0, waitMs) + 1, signal);
    }
  }

  view(name: string): ShareView {
    return this.#share(name).cycle.view();
  }

  /** Observes the share now, without taking a step. */
  async observe(name: string): Promise<ShareView> {
    return this.#share(name).cycle.observe(this.#tools.clock.monotonicMs());
  }

  /** Asks whether the share's hosts may be contacted now. */
  contact(name: string): Promise<Contact> {
    return this.#share(name).cycle.contact();
  }

  /**
   * From now on, runs a cycle only for a person's request, so that a share which a person unmounts stays
   * unmounted.
   */
  rest(): void {
    this.#isResting = true;
  }

  /** Shares that are no longer configured and still mounted, unless another share uses their mount. */
  async findUnconfigured(): Promise<readonly UnconfiguredShare[]> {
    await Promise.all(this.#ending.values());
    await this.#unconfigured.check();
    return this.knownUnconfigured;
  }

  /** The result of the newest `findUnconfigured`. */
  get knownUnconfigured(): readonly UnconfiguredShare[] {
    const used = [...this.#shares.values()].map(({ cycle }) => cycle.view().observed?.mount?.found.path);
    return this.#unconfigured.known().filter(({ spec }) => !used.includes(spec.mountPath));
  }

  /**
   * Replaces the configured shares. Removed shares stay mounted, and are forgotten once they are not; the others keep
   * their loops. `former`: the last known configuration of a share that is only in the state file.
   */
  apply(subjects: readonly ConfiguredShare[], former?: (name: string) => ConfiguredShare): void {
    const wanted = new Map(subjects.map((subject) => [subject.spec.name, subject]));
    for (const [name, memory] of this.#recalled) {
      if (former === undefined || wanted.has(name)) continue;
      this.#recalled.delete(name);
      this.#unconfigured.keep({ ...former(name), memory });
    }
    for (const [name, share] of this.#shares) {
      if (wanted.has(name)) continue;
      this.#shares.delete(name);
      this.#end(name, share, true);
    }
    for (const subject of wanted.values()) this.#take(subject);
  }

  /** Ends all cycles and checks. The last views stay available. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#unregister();
    this.#isEnding = true;
    for (const [name, share] of this.#shares) this.#end(name, share, false);
    await Promise.all(this.#ending.values());
    await settlesWithin(this.#tools.clock, CHECKS_END_MS, Promise.all(this.#checksEnding));
  }

  #share(name: string): RunningShare {
    const share = this.#shares.get(name);
    if (share === undefined) throw shareUnknown(name);
    return share;
  }

  /** Adds a share, or applies its new configuration. */
  #take(subject: ConfiguredShare): void {
    const { name } = subject.spec;
    const share = this.#shares.get(name);
    if (share === undefined) {
      this.#add(subject);
      return;
    }
    const lasting = { ...subject, driver: share.succession.take(share.subject, subject) };
    share.unwatchProcess();
    share.unwatchProcess = this.#watchProcess(lasting);
    share.subject = subject;
    share.cycle.reconfigure(lasting);
    // Shares keep the order of the configuration file.
    this.#shares.delete(name);
    this.#shares.set(name, share);
  }

  #add(subject: ConfiguredShare): void {
    const { name } = subject.spec;
    const memory = this.#recalled.get(name) ?? EMPTY_SHARE_MEMORY;
    this.#recalled.delete(name);
    this.#unconfigured.drop(name);
    this.#shares.set(
      name,
      this.#begin(subject, memory, () => this.#isResting),
    );
  }

  /** `isResting`: whether cycles run only for a person's request. */
  #begin(subject: ConfiguredShare, recalled: ShareMemory, isResting: () => boolean): RunningShare {
    const { name } = subject.spec;
    const { clock, logger, memory, drivers, onCycle } = this.#tools;
    const succession = createDriverSuccession(drivers);
    const lasting = { ...subject, driver: succession.begin(subject) };
    const { observedAt } = memory.restored;
    const remembered = { memory: recalled, observedAt };
    const cycle = new ShareCycle(this.#tools, lasting, remembered, () =>
      this.trigger(name, "servers_compared"),
    );
    const before = this.#ending.get(name);
    const loop = createReconcileLoop({
      clock,
      run: async (triggers, stopping) => {
        // A share that was removed and added again may still run a cycle of its old loop: the two must not perform steps
        // at the same time.
        await before;
        if (isResting() && !cycle.hasRequest) return null;
        const details = triggers.flatMap((trigger) => trigger.details);
        const reasons = triggers.map(({ reason }) => reason);
        logger.debug("cycle", {
          ...{ share: name, trigger: reasons },
          ...(details.length > 0 ? { details } : {}),
        });
        succession.cycleBegins();
        const nextRun = await cycle.run(triggers, stopping);
        this.#conditionLog.report(name, cycle.view().conditions);
        onCycle?.(name);
        return nextRun;
      },
      onFailure: (error) => logger.error("cycle failed", { share: name, reason: errorText(error) }),
    });
    return { loop, cycle, succession, unwatchProcess: this.#watchProcess(lasting), subject };
  }

  #watchProcess({ driver }: ConfiguredShare): () => void {
    const unregister = driver.onMountProcessExit?.((name) => this.trigger(name, "mount_process_exit"));
    return unregister ?? (() => {});
  }

  #end(name: string, { loop, cycle, unwatchProcess }: RunningShare, forget: boolean): void {
    this.#conditionLog.forget(name);
    unwatchProcess();
    cycle.withdraw(null);
    const checkEnded = cycle.end().finally(() => this.#checksEnding.delete(checkEnded));
    this.#checksEnding.add(checkEnded);
    const before = this.#ending.get(name);
    const ended = (async () => {
      await loop[Symbol.asyncDispose]();
      await cycle.releaseClaims();
      await before;
      if (!forget) return;
      const { subject, memory } = cycle.view();
      if (this.#shares.has(name)) await this.#tools.memory.forget(name);
      else this.#unconfigured.keep({ ...subject, memory });
    })();
    this.#ending.set(name, ended);
    void ended.then(() => {
      if (this.#ending.get(name) === ended) this.#ending.delete(name);
    });
  }

  /** A program that reports a change of its mount starts a cycle of the share. */
  #listenToPrograms(): () => void {
    const unregisters = this.#tools.drivers.map(({ moving }) =>
      moving?.onReport((name) => this.trigger(name, "program")),
    );
    return () => {
      for (const each of unregisters) each?.();
    };
  }

  #triggerNow(reason: TriggerReason): Trigger {
    return { reason, atMs: this.#tools.clock.monotonicMs(), details: [] };
  }
}

function shareUnknown(name: string): MountaineerError {
  return new MountaineerError("share_unknown", `no share of the name ${name} is configured`);
}

export function createConditionLog(logger: Logger) {
  const reported = new Map<string, ReadonlyMap<string, ShareCondition>>();
  return {
    /** Logs errors that began or ended since the last call. */
    report(share: string, conditions: readonly ShareCondition[]): void {
      const before = reported.get(share) ?? new Map<string, ShareCondition>();
      const errors = conditions.filter(({ severity }) => severity === "error");
      const now = new Map(errors.map((condition) => [aboutOf(condition), condition]));
      reported.set(share, now);
      for (const [about, { code, title }] of before)
        if (!now.has(about)) logger.info("share.condition_over", { share, code, reason: title });
      for (const [about, { code, title, hint }] of now) {
        if (before.has(about)) continue;
        logger.error("share.condition", { share, code, reason: title, ...(hint === null ? {} : { hint }) });
      }
    },
    forget(share: string): void {
      reported.delete(share);
    },
  };
}

/** Identifies a condition: two conditions whose titles differ only in numbers are the same. */
function aboutOf({ code, title }: ShareCondition): string {
  return `${code} ${title.replaceAll(/\d+/g, "#")}`;
}
