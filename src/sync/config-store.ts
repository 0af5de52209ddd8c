// The one owner of what runs, and the lane in which that changes. A detector's sign, `reload`, an edit, a rollback and a
// retry only trigger the lane; each cycle looks at the file, decides, and takes one step.
import { createLane } from "../reconcile/lane.ts";
import type { TriggerReason } from "../reconcile/trigger.ts";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import type { Logger } from "../runtime/log/log.ts";
import type { Clock } from "../runtime/time/clock.ts";
import {
  type CheckedContent,
  type ConfigSteps,
  LEFT,
  outcomeOfThrown,
  type ReloadOutcome,
  type ReloadResult,
  type Running,
} from "./config-steps.ts";
import { createFileLook } from "./file-look.ts";
import type { FileWatch } from "./file-watch.ts";
import type { SyncEventType } from "./sync-event.ts";
import { createSyncMemory, type RejectedContent } from "./sync-memory.ts";
import type { SyncState } from "./sync-settings.ts";
import type { WatchedFile } from "./watched-file.ts";

export interface ConfigStoreOptions<Snapshot> extends ConfigSteps<Snapshot> {
  readonly first: Pick<Running<Snapshot>, "sha256" | "snapshot">;
  /** In the file's place at the start; null, and by default: nothing. */
  readonly rejected?: RejectedContent | null;
  readonly file: WatchedFile;
  readonly watch: FileWatch;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly announce: (type: SyncEventType, details: string) => void;
  /** Called after each cycle. */
  readonly onState: () => void;
}

/** What work that has its turn in the lane may do. */
export interface ConfigTurn<Snapshot> {
  /** Aborts when the lane ends. */
  readonly signal: AbortSignal;
  /**
   * Applies what the work has put into the file. A content that cannot be applied stays there, is told, and is tried
   * again as one that was saved by hand.
   */
  applySaved(content: CheckedContent<Snapshot>): Promise<ReloadResult>;
  /** Applies what runs once more, because its secrets may have other values now; or as it is meant from now on. */
  applyAgain(source: string, meant?: Snapshot): Promise<ReloadOutcome>;
}

/** How often a look is begun anew because work comes first: a row of edits without end must not put it off for ever. */
const MOST_BROKEN_OFF = 3;

/** What runs, and the one way in which that changes. */
function createApplying<Snapshot>(options: ConfigStoreOptions<Snapshot>) {
  let running: Running<Snapshot> = { ...options.first, generation: 1 };
  let busy = false;
  const busily = async <T>(step: () => Promise<T>): Promise<T> => {
    busy = true;
    try {
      return await step();
    } finally {
      busy = false;
    }
  };
  return {
    get running() {
      return running;
    },
    get busy() {
      return busy;
    },
    busily,
    apply: (content: CheckedContent<Snapshot>, signal: AbortSignal): Promise<ReloadOutcome> =>
      busily(async () => {
        try {
          const applied = await options.apply(content, running, signal);
          const { snapshot, changed, details, diff } = applied;
          const isNew = content.sha256 !== running.sha256;
          running = { sha256: content.sha256, snapshot, generation: running.generation + Number(changed) };
          await options.onApplied?.(content, applied, isNew);
          return { kind: "applied", changed, details, diff };
        } catch (error) {
          return outcomeOfThrown(error);
        }
      }),
  };
}

/** Disposing aborts what is under way and waits for its end; nothing is applied after it. */
export function createConfigStore<Snapshot>(options: ConfigStoreOptions<Snapshot>) {
  const { file, watch, clock, logger, announce, rejected = null } = options;
  const applying = createApplying(options);
  let hasWork = false;
  let ended = false;
  const waiting: { readonly perform: (signal: AbortSignal) => Promise<void>; readonly refuse: () => void }[] =
    [];
  const askers: ((result: ReloadResult) => void)[] = [];
  /** Ends the look that is under way, for work that comes first. */
  let looking = new AbortController();

  const memory = createSyncMemory({ path: file.path, rejected, watch, clock, logger, announce });
  const lookFor = (reason: TriggerReason): void =>
    lane.trigger({ reason, atMs: clock.monotonicMs(), details: [] });

  const look = createFileLook<Snapshot>({
    file,
    watch,
    clock,
    memory: () => ({ ...memory.record, runningSha256: applying.running.sha256 }),
    onRead: memory.noteRead,
    load: (bytes, signal) => applying.busily(() => options.load(bytes, signal)),
    apply: applying.apply,
  });

  const turnOf = (signal: AbortSignal): ConfigTurn<Snapshot> => ({
    signal,
    async applySaved(content) {
      watch.slot.noteRead(content.sha256);
      const outcome = await applying.apply(content, signal);
      memory.noteSaved(content.sha256, outcome.kind === "applied" ? outcome : null);
      if (outcome.kind === "applied") return outcome;
      // The file holds what does not run: try it once more, tell it and, if the file is watched, go on trying.
      return memory.settle(await look(true, signal, signal), applying.running.sha256, true);
    },
    async applyAgain(source, meant) {
      const { sha256, snapshot: now } = applying.running;
      const snapshot = meant ?? now;
      const content = { bytes: new Uint8Array(), sha256, snapshot, source };
      const outcome = await applying.apply(content, signal);
      if (outcome.kind === "applied" && outcome.changed) memory.announceApplied(true, outcome.details);
      return outcome;
    },
  });

  /** Work that comes meanwhile has its turn after the next look. */
  const takeTurns = async (signal: AbortSignal): Promise<void> => {
    for (const work of waiting.splice(0)) {
      if (signal.aborted) work.refuse();
      else await work.perform(signal);
    }
    hasWork = waiting.length > 0;
  };

  const lane = createLane({
    clock,
    async run(triggers, signal) {
      const isDue = triggers.some(({ reason }) => reason !== "user");
      const answering: typeof askers = [];
      let result = LEFT;
      try {
        for (let looks = 1, again = true; again; looks += 1) {
          await takeTurns(signal);
          answering.push(...askers.splice(0));
          const asked = answering.length > 0;
          if (!asked && !isDue) break;
          looking = new AbortController();
          const early = looks > MOST_BROKEN_OFF ? signal : AbortSignal.any([signal, looking.signal]);
          const end = await look(asked, signal, early);
          again = end.kind === "left" && hasWork && !signal.aborted;
          if (again) continue;
          const counts = !signal.aborted || end.kind === "tried";
          result = memory.settle(counts ? end : { kind: "left" }, applying.running.sha256, asked);
        }
      } finally {
        options.onState();
        for (const answer of answering) answer(result);
      }
      return memory.retry();
    },
    onFailure: (error) =>
      logger.error("config watch broke off", { path: file.path, reason: errorText(error) }),
  });

  return {
    get running(): Running<Snapshot> {
      return applying.running;
    },
    /** A content is being parsed or applied. */
    get busy(): boolean {
      return applying.busy;
    },
    /** Work is waiting for its turn, or has it. */
    get hasWork(): boolean {
      return hasWork;
    },
    get state(): Pick<SyncState, "lastSync" | "lastError" | "hash"> {
      return { ...memory.state, hash: applying.running.sha256 };
    },
    /** The file is looked at in the lane's next cycle. */
    lookFor,
    /** Looks now. Never rejects; calls made while a cycle runs share the next look. */
    reloadNow(): Promise<ReloadResult> {
      if (ended) return Promise.resolve(LEFT);
      return new Promise((resolve) => {
        askers.push(resolve);
        lookFor("user");
      });
    },
    /**
     * Does this with nothing else under way; a look that has begun is begun anew after it, three times in a row at most.
     * Rejects with what the work rejects with, and with `aborted` when the store ends before its turn.
     */
    inTurn<T>(work: (turn: ConfigTurn<Snapshot>) => Promise<T>): Promise<T> {
      if (ended) return Promise.reject(stopping());
      return new Promise((resolve, reject) => {
        waiting.push({
          // Who is answered finds the state that the answer speaks of.
          perform: (signal) =>
            Promise.resolve(turnOf(signal)).then(work).finally(options.onState).then(resolve, reject),
          refuse: () => reject(stopping()),
        });
        hasWork = true;
        looking.abort();
        lookFor("user");
      });
    },
    async [Symbol.asyncDispose]() {
      ended = true;
      await lane[Symbol.asyncDispose]();
      for (const { refuse } of waiting.splice(0)) refuse();
      for (const answer of askers.splice(0)) answer(LEFT);
    },
  };
}

function stopping(): MountaineerError {
  return new MountaineerError("aborted", "the daemon is stopping; nothing was written");
}
