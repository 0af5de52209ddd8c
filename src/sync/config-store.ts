// The running configuration, and the reconcile loop in which it changes, one cycle at a time
// (reconcile/reconcile-loop.ts). A detector, `reload`, an edit, a rollback and a retry only request a cycle; each cycle
// reads the file (a check), decides, and takes one step.
import { createReconcileLoop } from "../reconcile/reconcile-loop.ts";
import type { TriggerReason } from "../reconcile/trigger.ts";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import type { RuntimeTools } from "../runtime/log/runtime-tools.ts";
import {
  type CheckedContent,
  type ConfigSteps,
  ENDED,
  outcomeOfThrown,
  type ReloadOutcome,
  type ReloadResult,
  type Running,
} from "./config-steps.ts";
import { createFileCheck } from "./file-check.ts";
import type { FileWatch } from "./file-watch.ts";
import type { SyncEventType } from "./sync-event.ts";
import { createSyncMemory, type RejectedContent } from "./sync-memory.ts";
import type { SyncState } from "./sync-settings.ts";
import type { WatchedFile } from "./watched-file.ts";

export interface ConfigStoreOptions<Snapshot> extends ConfigSteps<Snapshot>, RuntimeTools {
  readonly first: Pick<Running<Snapshot>, "sha256" | "snapshot">;
  /** The file's content at the start, if it was rejected and `first` runs in its place. */
  readonly rejected?: RejectedContent | null;
  readonly file: WatchedFile;
  readonly watch: FileWatch;
  readonly announce: (type: SyncEventType, details: string) => void;
  /** Called after each cycle. */
  readonly onState: () => void;
}

/** What a function passed to `inTurn` can do; nothing else runs in the loop during it. */
export interface ConfigTurn<Snapshot> {
  /** Aborts when the loop ends. */
  readonly signal: AbortSignal;
  /**
   * Applies content that was just written to the file. If the content cannot be applied, it stays in the file, and
   * the failure is announced and retried as after a save by hand.
   */
  applySaved(content: CheckedContent<Snapshot>): Promise<ReloadResult>;
  /** Applies the running bytes again, because secrets may have changed; `snapshot` replaces the running one. */
  applyAgain(source: string, snapshot?: Snapshot): Promise<ReloadOutcome>;
}

/**
 * How many times in a row new work may interrupt a check of the file. The next check is finished first, so that a
 * series of edits cannot postpone it for ever.
 */
const MOST_BROKEN_OFF = 3;

function createRunning<Snapshot>(options: ConfigStoreOptions<Snapshot>) {
  const self = {
    running: { ...options.first, generation: 1 } as Running<Snapshot>,
    busy: false,
    async busily<T>(step: () => Promise<T>): Promise<T> {
      self.busy = true;
      try {
        return await step();
      } finally {
        self.busy = false;
      }
    },
    /** Never rejects. */
    apply: (content: CheckedContent<Snapshot>, signal: AbortSignal): Promise<ReloadOutcome> =>
      self.busily(async () => {
        try {
          const { running } = self;
          const applied = await options.apply(content, running, signal);
          const { snapshot, changed, details, diff } = applied;
          const generation = running.generation + Number(changed);
          self.running = { sha256: content.sha256, snapshot, generation };
          await options.onApplied?.(content, applied, content.sha256 !== running.sha256);
          return { kind: "applied", changed, details, diff };
        } catch (error) {
          return outcomeOfThrown(error);
        }
      }),
  };
  return self;
}

/** Disposing aborts the present cycle and waits for its end; nothing is applied after that. */
export function createConfigStore<Snapshot>(options: ConfigStoreOptions<Snapshot>) {
  const { file, watch, clock, logger, announce, rejected = null } = options;
  const current = createRunning(options);
  let hasWork = false;
  let ended = false;
  const waitingWork: {
    readonly perform: (signal: AbortSignal) => Promise<void>;
    readonly refuse: () => void;
  }[] = [];
  /** Callers of `reloadNow` that wait for a check. */
  const requests: ((result: ReloadResult) => void)[] = [];
  /** Aborts when work arrives, which breaks off the check in progress. */
  let workArrived = new AbortController();

  const memory = createSyncMemory({ path: file.path, rejected, watch, clock, logger, announce });
  const checkFor = (reason: TriggerReason): void =>
    loop.trigger({ reason, atMs: clock.monotonicMs(), details: [] });

  const check = createFileCheck<Snapshot>({
    file,
    watch,
    clock,
    memory: () => ({ ...memory.record, runningSha256: current.running.sha256 }),
    onRead: memory.recordRead,
    load: ({ bytes, inode, isMovedIn = false }, signal, waitMs) =>
      current.busily(() => options.load(bytes, signal, { inode, isMovedIn, waitMs })),
    apply: current.apply,
  });

  const turnOf = (signal: AbortSignal): ConfigTurn<Snapshot> => ({
    signal,
    async applySaved(content) {
      watch.detector.recordRead(content.sha256);
      const outcome = await current.apply(content, signal);
      memory.recordSaved(content.sha256, outcome.kind === "applied" ? outcome : null);
      if (outcome.kind === "applied") return outcome;
      // The check tries the saved content a second time. If that also fails, it announces the failure and, if the file
      // is watched, schedules the retries.
      return memory.conclude(await check(true, signal, signal), current.running.sha256, true);
    },
    async applyAgain(source, snapshot = current.running.snapshot) {
      const content = { bytes: new Uint8Array(), sha256: current.running.sha256, snapshot, source };
      const outcome = await current.apply(content, signal);
      if (outcome.kind === "applied" && outcome.changed) memory.announceApplied(true, outcome.details);
      return outcome;
    },
  });

  /** Performs the waiting work. Work that arrives during that waits until after the next check of the file. */
  const takeTurns = async (signal: AbortSignal): Promise<void> => {
    for (const work of waitingWork.splice(0)) {
      if (signal.aborted) work.refuse();
      else await work.perform(signal);
    }
    hasWork = waitingWork.length > 0;
  };

  const loop = createReconcileLoop({
    clock,
    async run(triggers, signal) {
      const isDue = triggers.some(({ reason }) => reason !== "user");
      const answering: typeof requests = [];
      let result = ENDED;
      try {
        for (let checks = 1, again = true; again; checks += 1) {
          await takeTurns(signal);
          answering.push(...requests.splice(0));
          const isRequested = answering.length > 0;
          if (!isRequested && !isDue) break;
          workArrived = new AbortController();
          const breakOff = checks > MOST_BROKEN_OFF ? signal : AbortSignal.any([signal, workArrived.signal]);
          const end = await check(isRequested, signal, breakOff);
          again = end.kind === "left" && hasWork;
          if (again) continue;
          result = memory.conclude(end, current.running.sha256, isRequested);
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
      return current.running;
    },
    get busy(): boolean {
      return current.busy;
    },
    /** True while work passed to `inTurn` waits or runs. */
    get hasWork(): boolean {
      return hasWork;
    },
    get state(): Pick<SyncState, "lastSync" | "lastError" | "hash"> {
      return { ...memory.state, hash: current.running.sha256 };
    },
    /** Makes the loop's next cycle read the file. */
    checkFor,
    /** Reads the file now. Never rejects; calls made during a cycle share the next check. */
    reloadNow(): Promise<ReloadResult> {
      if (ended) return Promise.resolve(ENDED);
      return new Promise((resolve) => {
        requests.push(resolve);
        checkFor("user");
      });
    },
    /**
     * Runs only `work` in the loop. Rejects with the error of `work`, or with `aborted` if the store ends before `work`
     * begins.
     */
    inTurn<T>(work: (turn: ConfigTurn<Snapshot>) => Promise<T>): Promise<T> {
      if (ended) return Promise.reject(stopping());
      return new Promise((resolve, reject) => {
        waitingWork.push({
          // `onState` is called first: a caller that sees the result also sees the state that belongs to it.
          perform: (signal) =>
            Promise.resolve(turnOf(signal)).then(work).finally(options.onState).then(resolve, reject),
          refuse: () => reject(stopping()),
        });
        hasWork = true;
        workArrived.abort();
        checkFor("user");
      });
    },
    async [Symbol.asyncDispose]() {
      ended = true;
      await loop[Symbol.asyncDispose]();
      for (const { refuse } of waitingWork.splice(0)) refuse();
      for (const answer of requests.splice(0)) answer(ENDED);
    },
  };
}

function stopping(): MountaineerError {
  return new MountaineerError("aborted", "the daemon is stopping; nothing was written");
}
