// All shares of one home, each with a lane of its own: a slow or hung share holds back no other.
import { createLane, type Lane } from "../../reconcile/lane.ts";
import { EMPTY_SHARE_MEMORY, type Memory } from "../../reconcile/memory.ts";
import type { Trigger, TriggerReason } from "../../reconcile/trigger.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { type Clock, settledWithin } from "../../runtime/time/clock.ts";
import type { Carriage } from "../drivers/carriage.ts";
import { createDriverSuccession, type DriverSuccession } from "../drivers/driver-succession.ts";
import type { MountDriver } from "../drivers/mount-driver.ts";
import type { StandingCondition } from "../policy/decide.ts";
import type { RequestOutcome, ShareRequest } from "../policy/share-request.ts";
import type { ShareSpec } from "../share-spec.ts";
import { type CycleTools, ShareCycle, type ShareView } from "./share-cycle.ts";
import type { Subject } from "./share-subject.ts";

/** A wake sooner than this belongs to what a person waits for: a confirming probe, a second look. */
const SETTLE_WITHIN_MS = 1500;
const SETTLE_ROUNDS = 8;
/** How long the end waits for proofs that were aborted: their programs are killed at once, ms. */
const PROOFS_END_MS = 1_000;

interface EngineTools extends CycleTools {
  readonly memory: Memory;
  readonly logger: Logger;
  /**
   * All drivers that shares may have, or had when they were mounted; the drivers that recognize their own mounts best
   * come first.
   */
  readonly drivers: readonly MountDriver[];
  /** Called after each cycle of a share. */
  readonly onCycle?: (share: string) => void;
}

export type ShareEngine = ReturnType<typeof createShareEngine>;

interface Keeper {
  readonly lane: Lane;
  readonly cycle: ShareCycle;
  readonly succession: DriverSuccession;
  unregister: () => void;
  subject: Subject;
}

export function createShareEngine(tools: EngineTools) {
  const { clock, logger, memory } = tools;
  const keepers = new Map<string, Keeper>();
  /** Removed shares whose last cycle still runs. */
  const ending = new Map<string, Promise<void>>();
  const proofsEnding = new Set<Promise<void>>();
  const conditionLog = createConditionLog(logger);
  const resting = { is: false };
  let isEnding = false;
  const keep = createKeepers(tools, { keepers, ending, conditionLog, resting });
  const unregister = listenToCarrier(tools, keepers);

  const keeperOf = (name: string): Keeper => {
    const keeper = keepers.get(name);
    if (keeper === undefined) {
      throw new MountaineerError("share_unknown", `no share of the name ${name} is configured`);
    }
    return keeper;
  };
  const end = (name: string, keeper: Keeper, forget: boolean): Promise<void> => {
    conditionLog.forget(name);
    keeper.unregister();
    keeper.cycle.withdraw(null);
    const proofEnded = keeper.cycle.end().finally(() => proofsEnding.delete(proofEnded));
    proofsEnding.add(proofEnded);
    const before = ending.get(name);
    const ended = (async () => {
      await keeper.lane[Symbol.asyncDispose]();
      await keeper.cycle.letGo();
      await before;
      if (forget) await memory.forget(name);
    })();
    ending.set(name, ended);
    return ended.then(() => {
      if (ending.get(name) === ended) ending.delete(name);
    });
  };

  return {
    get names(): readonly string[] {
      return [...keepers.keys()];
    },
    /** Runs a cycle of every share; those for which `first` is true are begun before the others. */
    triggerAll(
      reason: TriggerReason,
      atMs: number,
      details: readonly string[] = [],
      first?: (spec: ShareSpec) => boolean,
    ): void {
      const trigger: Trigger = { reason, atMs, details };
      const all = [...keepers.values()];
      const ordered = first === undefined ? all : [...all].sort((a, b) => rank(b, first) - rank(a, first));
      for (const { lane } of ordered) lane.trigger(trigger);
    },
    trigger(name: string, reason: TriggerReason): void {
      keepers.get(name)?.lane.trigger(triggerNow(clock, reason));
    },
    /** A program cannot go on without the share. */
    want(name: string): void {
      const keeper = keepers.get(name);
      keeper?.cycle.want();
      keeper?.lane.trigger(triggerNow(clock, "data"));
    },
    /** Asks one share; aborting the signal withdraws what still waits. Rejects for a name it does not know. */
    async ask(name: string, request: ShareRequest, signal: AbortSignal): Promise<RequestOutcome> {
      const { cycle, lane } = keeperOf(name);
      signal.throwIfAborted();
      const answer = cycle.ask(request);
      // Nothing will perform it any more.
      if (isEnding) cycle.withdraw(request);
      const withdraw = (): void => cycle.withdraw(request);
      signal.addEventListener("abort", withdraw, { once: true });
      lane.trigger(triggerNow(clock, "user"));
      try {
        return await answer;
      } finally {
        signal.removeEventListener("abort", withdraw);
      }
    },
    /** Resolves when the share has nothing more to do for now. */
    settle: async (name: string, signal: AbortSignal): Promise<void> =>
      settled(clock, keeperOf(name).lane, signal),
    view: (name: string): ShareView => keeperOf(name).cycle.view(),
    /** A fresh look without a step. */
    look: (name: string): Promise<ShareView> => keeperOf(name).cycle.look(clock.monotonicMs()),
    /** From now on only people's requests start cycles: what these unmount is not mounted again. */
    rest(): void {
      resting.is = true;
    },
    /**
     * Replaces the configured shares. Shares that are gone stay mounted and are forgotten, the others keep their lanes.
     */
    apply(subjects: readonly Subject[]): void {
      const wanted = new Map(subjects.map((subject) => [subject.spec.name, subject]));
      for (const [name, keeper] of keepers) {
        if (wanted.has(name)) continue;
        keepers.delete(name);
        void end(name, keeper, true);
      }
      for (const subject of wanted.values()) keep(subject);
    },
    /** The last view stays available: the end of the engine does not remove a share. */
    async [Symbol.asyncDispose]() {
      unregister?.();
      isEnding = true;
      for (const [name, keeper] of keepers) void end(name, keeper, false);
      await Promise.all(ending.values());
      // If this process ended before the programs, it would leave a file with a login behind.
      await settledWithin(clock, PROOFS_END_MS, Promise.all(proofsEnding));
    },
  };
}

async function settled(clock: Clock, lane: Lane, signal: AbortSignal): Promise<void> {
  for (let round = 0; round < SETTLE_ROUNDS; round++) {
    await lane.idle();
    const { wake } = lane;
    if (wake === null || wake.reason !== "confirm") return;
    const waitMs = wake.atMs - clock.monotonicMs();
    if (waitMs > SETTLE_WITHIN_MS) return;
    await clock.sleep(Math.max(0, waitMs) + 1, signal);
  }
}

interface Keeping {
  readonly keepers: Map<string, Keeper>;
  readonly ending: ReadonlyMap<string, Promise<void>>;
  readonly conditionLog: ReturnType<typeof createConditionLog>;
  readonly resting: { readonly is: boolean };
}

/** Returns a function that takes in a configured share, new or changed. */
function createKeepers(
  tools: EngineTools,
  { keepers, ending, conditionLog, resting }: Keeping,
): (subject: Subject) => void {
  const { clock, logger, memory } = tools;
  const { observedAt, shares } = memory.recollection;
  /** From the state file. Each is used once: a share that is removed and added again begins anew. */
  const recalled = new Map(shares);

  const watchProcess = ({ spec, driver }: Subject, lane: Lane): (() => void) => {
    const unregister = driver.onMountProcessExit?.((shareName) => {
      if (shareName === spec.name) lane.trigger(triggerNow(clock, "mount_process_exit"));
    });
    return unregister ?? (() => {});
  };
  const add = (subject: Subject): void => {
    const { name } = subject.spec;
    const succession = createDriverSuccession(tools.drivers);
    const lasting = { ...subject, driver: succession.begin(subject) };
    const remembered = { memory: recalled.get(name) ?? EMPTY_SHARE_MEMORY, observedAt };
    const cycle = new ShareCycle(tools, lasting, remembered, () =>
      keepers.get(name)?.lane.trigger(triggerNow(clock, "proof")),
    );
    recalled.delete(name);
    const before = ending.get(name);
    const lane = createLane({
      clock,
      async run(triggers, stopping) {
        // Two lanes of one share must not perform steps at the same time.
        await before;
        if (resting.is && !cycle.isAsked) return null;
        logTriggers(logger, name, triggers);
        succession.cycleBegins();
        const wake = await cycle.run(triggers, stopping);
        conditionLog.note(name, cycle.view().conditions);
        tools.onCycle?.(name);
        return wake;
      },
      onFailure: (error) => logger.error("cycle failed", { share: name, reason: errorText(error) }),
    });
    keepers.set(name, { lane, cycle, succession, unregister: watchProcess(lasting, lane), subject });
  };

  return (subject) => {
    const { name } = subject.spec;
    const keeper = keepers.get(name);
    if (keeper === undefined) {
      add(subject);
      return;
    }
    const lasting = { ...subject, driver: keeper.succession.take(keeper.subject, subject) };
    keeper.unregister();
    keeper.unregister = watchProcess(lasting, keeper.lane);
    keeper.subject = subject;
    keeper.cycle.reconfigure(lasting);
    // Keeps the order of the file.
    keepers.delete(name);
    keepers.set(name, keeper);
  };
}

/** Notices of the carrier about a mount wake its lane. */
function listenToCarrier(
  { carriage, clock }: EngineTools,
  keepers: ReadonlyMap<string, Keeper>,
): (() => void) | undefined {
  const dropLost = carriage === undefined ? null : createDropLost(carriage);
  return carriage?.onNotice((share, notice) => {
    const keeper = keepers.get(share);
    if (notice === "lost") {
      if (keeper !== undefined) dropLost?.(keeper.subject);
      return;
    }
    if (notice === "doubt") keeper?.cycle.doubt();
    keeper?.lane.trigger(triggerNow(clock, notice === "stalled" ? "stalled" : "carrier"));
  });
}

function triggerNow(clock: Clock, reason: TriggerReason): Trigger {
  return { reason, atMs: clock.monotonicMs(), details: [] };
}

function rank({ subject }: Keeper, first: (spec: ShareSpec) => boolean): number {
  return Number(first(subject.spec));
}

function logTriggers(logger: Logger, share: string, triggers: readonly Trigger[]): void {
  const details = triggers.flatMap((trigger) => trigger.details);
  logger.debug("cycle", {
    share,
    trigger: triggers.map(({ reason }) => reason),
    ...(details.length > 0 ? { details } : {}),
  });
}

/** One run at a time for each share; a request meanwhile runs it once more, and the carrier hears of the end. */
export function createDropLost(
  carriage: Pick<Carriage, "of" | "usedUp">,
): (subject: Pick<Subject, "spec" | "driver">) => void {
  /** By share: whether it was requested again meanwhile. */
  const underWay = new Map<string, boolean>();

  const drop = async ({ spec, driver }: Pick<Subject, "spec" | "driver">): Promise<void> => {
    do {
      underWay.set(spec.name, false);
      await driver.dropLost?.(spec, carriage.of(spec.name)?.connections ?? 0);
    } while (underWay.get(spec.name) === true);
    underWay.delete(spec.name);
    await carriage.usedUp(spec.name);
  };
  return (subject) => {
    const { name } = subject.spec;
    if (underWay.has(name)) underWay.set(name, true);
    else void drop(subject);
  };
}

export function createConditionLog(logger: Logger) {
  const logged = new Map<string, ReadonlyMap<string, StandingCondition>>();
  return {
    /** What stands now; only what has changed since the last call is logged. */
    note(share: string, conditions: readonly StandingCondition[]): void {
      const before = logged.get(share) ?? new Map<string, StandingCondition>();
      const errors = conditions.filter(({ severity }) => severity === "error");
      const now = new Map(errors.map((condition) => [aboutOf(condition), condition]));
      logged.set(share, now);
      for (const [about, { code, title }] of before)
        if (!now.has(about)) logger.info("share.condition_over", { share, code, reason: title });
      for (const [about, { code, title, hint }] of now) {
        if (before.has(about)) continue;
        logger.error("share.condition", { share, code, reason: title, ...(hint === null ? {} : { hint }) });
      }
    },
    forget(share: string): void {
      logged.delete(share);
    },
  };
}

/** A title with a counter counts as the same while only its numbers change. */
function aboutOf({ code, title }: StandingCondition): string {
  return `${code} ${title.replaceAll(/\d+/g, "#")}`;
}
