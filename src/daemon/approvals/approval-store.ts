// The approvals of a running service: withholds entries that are not approved, records approvals, and
// announces both.

import {
  type ApprovalOutcome,
  type Approvals,
  applyApprovals,
  type Grant,
  type WaitingEntry,
  withApproved,
} from "../../config/approval/apply-approvals.ts";
import { BACKEND_ORDER } from "../../config/approval/backend-order.ts";
import { editedEntries } from "../../config/approval/edited-entries.ts";
import { entrySummary } from "../../config/approval/entry-text.ts";
import type { ProtectedPaths } from "../../config/reachable-paths.ts";
import {
  type ApproveMode,
  type ConfigSnapshot,
  deepFreeze,
  type MountaineerConfig,
} from "../../config/snapshot.ts";
import { createSinceTracker } from "../../runtime/conditions/conditions.ts";
import { errorText } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { isoTime } from "../../runtime/time/clock.ts";
import { oneByOne } from "../../runtime/time/one-by-one.ts";
import { DAEMON_CONDITIONS, type KnownCondition } from "../conditions/condition-rows.ts";
import type { ApprovalTransition, ServiceTransition } from "../events/service-transitions.ts";
import type { ApprovalsFile, LoadedApprovals } from "./approvals-file.ts";

/** A configuration file after its entries were compared with the approvals. */
export interface EvaluatedFile {
  readonly file: ConfigSnapshot;
  /** The part that may run; the same object as `file` if nothing waits. */
  readonly effective: ConfigSnapshot;
  readonly outcome: ApprovalOutcome;
  /** True if the entries that wait for approval have changed. */
  readonly changes: boolean;
  readonly granted: Grant | null;
}

export type ApprovalStore = ReturnType<typeof createApprovalStore>;

export interface ApprovalStoreOptions extends RuntimeTools {
  readonly file: ApprovalsFile;
  readonly loaded: LoadedApprovals;
  readonly protectedPaths: ProtectedPaths;
  /** The configuration of an empty file. */
  readonly blank: MountaineerConfig;
  readonly publish: (transition: ServiceTransition) => void;
  /** False for commands that only read: nothing is written. */
  readonly writes: boolean;
  /** Called before a grant is written or withdrawn. */
  readonly onGrant?: (() => void) | undefined;
}

export function createApprovalStore(options: ApprovalStoreOptions) {
  const { file: store, protectedPaths, blank, clock, logger, publish, writes } = options;
  let memory: Approvals | null = options.loaded.approvals;
  let lost = options.loaded.kind === "lost" ? options.loaded : null;
  let mode: ApproveMode = memory?.mode ?? "none";
  let waiting: readonly WaitingEntry[] = [];
  /** By the entry's id. */
  let waitingConditions: ReadonlyMap<string, KnownCondition> = new Map();
  const sinceTracker = createSinceTracker(clock);
  let mayWrite = writes;
  const writer = createApprovalWriter(store, logger, validApprovals(options.loaded));

  const evaluate = (
    file: ConfigSnapshot,
    running: MountaineerConfig | null,
    granted: Grant | null,
  ): EvaluatedFile => {
    const input = { file: file.config, running, protectedPaths, blank };
    const grant = (approvals: Approvals): Approvals =>
      granted === null ? approvals : withApproved(approvals, input, granted);
    let outcome = applyApprovals({ ...input, approvals: memory === null ? null : grant(memory) });
    // This file gives the home its first approvals. The grant for the edit also applies to them.
    if (memory === null && outcome.approvals !== null) {
      outcome = applyApprovals({ ...input, approvals: grant(outcome.approvals) });
    }
    const effective =
      outcome.effective === file.config ? file : deepFreeze({ ...file, config: outcome.effective });
    const changes = waitingKey(outcome.waiting) !== waitingKey(waiting);
    return { file, effective, outcome, changes, granted };
  };

  /** False while approvals exist that cannot be read now: they must not be overwritten. */
  const wantsWrite = (approvals: Approvals): boolean =>
    mayWrite && lost?.passes !== true && !isSame(writer.written, approvals);
  /**
   * Writes the approvals without a new grant, and does not wait for the disk. Called once the file's content runs: if
   * the daemon crashes earlier, the next start judges the file again, with the same result.
   */
  const remember = (approvals: Approvals): void => {
    if (!wantsWrite(approvals)) return;
    const advances = writer.written === null || writer.written.mode !== approvals.mode;
    void writer.tryToWrite(approvals, advances);
  };
  const take = (again: LoadedApprovals): void => {
    lost = again.kind === "lost" ? again : null;
    memory = again.approvals;
    writer.written = validApprovals(again);
  };

  return {
    get mode(): ApproveMode {
      return mode;
    },
    get waiting(): readonly WaitingEntry[] {
      return waiting;
    },
    waitingConditions: () => waitingConditions,
    /** Why existing approvals cannot be used now; null without approvals. */
    get lostBecause(): string | null {
      return lost?.reason ?? null;
    },
    /** True if approvals cannot be used now, but may be readable later. */
    get mayPass(): boolean {
      return lost?.passes === true;
    },
    /** Decides which entries of the file may run, without recording anything. */
    preview: (file: ConfigSnapshot, running: MountaineerConfig | null): EvaluatedFile =>
      evaluate(file, running, null),
    /** The grant that an edit of the file implies. */
    edited: (before: MountaineerConfig, after: MountaineerConfig, running: MountaineerConfig | null): Grant =>
      editedEntries({ before, after, running, approvals: memory, protectedPaths, blank }),
    /**
     * Decides which entries of a file may run, before the file is applied. The approvals are written to disk if there
     * is a grant, or if the home has none yet. Rejects with `secret_unavailable` only if a grant cannot be written.
     */
    async judge(
      file: ConfigSnapshot,
      running: MountaineerConfig | null,
      granted?: Grant,
    ): Promise<EvaluatedFile> {
      const judged = evaluate(file, running, granted ?? null);
      const { approvals } = judged.outcome;
      if (!mayWrite || approvals === null) return judged;
      if (granted === undefined) {
        // The home had no approvals before, so these are its first ones.
        if (memory === null) await writer.tryToWrite(approvals, true);
        return judged;
      }
      options.onGrant?.();
      await writer.write(approvals, true);
      lost = null;
      return judged;
    },
    /** To be called when the approved part of the file runs. Announces entries that newly wait or were approved. */
    applied({ outcome, granted }: EvaluatedFile): void {
      const before = new Map(waiting.map((entry) => [entry.id, entry]));
      memory = outcome.approvals;
      mode = outcome.mode;
      waiting = outcome.waiting;
      const now = isoTime(clock.wallMs());
      waitingConditions = new Map(
        waiting.map((entry) => {
          const { id } = entry;
          const condition = DAEMON_CONDITIONS.waiting_for_approval(id, entrySummary(entry));
          return [id, { ...condition, since: waitingConditions.get(id)?.since ?? now }];
        }),
      );
      for (const entry of waiting) {
        const was = before.get(entry.id);
        if (was !== undefined && waitingDigest(was) === waitingDigest(entry)) continue;
        publish(transitionOf("config.entry_waits", entry));
      }
      for (const [id, entry] of before) {
        const isOrder = id === BACKEND_ORDER && !waiting.some((one) => one.id === id);
        const runs = isOrder || outcome.approvals?.entries.get(id)?.state === "runs";
        if (!runs || granted?.ids.has(id) !== true) continue;
        publish(transitionOf("config.entry_approved", entry));
      }
      if (outcome.approvals !== null) remember(outcome.approvals);
    },
    /**
     * Restores the approvals on the disk to their state before the last grant, because the content that was approved
     * by that grant does not run. Never rejects.
     */
    async withdraw(): Promise<void> {
      if (memory === null || !wantsWrite(memory)) return;
      options.onGrant?.();
      await writer.tryToWrite(memory, true);
    },
    /** One transition for each entry that waits now. */
    announcements: (): readonly ApprovalTransition[] =>
      waiting.map((entry) => transitionOf("config.entry_waits", entry)),
    conditions(): KnownCondition[] {
      const { unsavedBecause } = writer;
      return sinceTracker([
        ...(lost !== null && waiting.length > 0
          ? [DAEMON_CONDITIONS.approvals_lost(lost.reason, lost.passes)]
          : []),
        ...waitingConditions.values(),
        ...(unsavedBecause === null ? [] : [DAEMON_CONDITIONS.approvals_not_saved(unsavedBecause)]),
      ]);
    },
    /**
     * Resolves with true if approvals that could not be read are readable now; the caller must then judge the
     * file again.
     */
    async readAgain(): Promise<boolean> {
      if (lost?.passes !== true) return false;
      const again = await store.read(new AbortController().signal);
      if (again.kind === "lost" && again.passes) return false;
      take(again);
      return true;
    },
    /**
     * To be called when this daemon takes charge of the home: allows writing. Resolves with true if another
     * process has changed the approvals since they were read; the caller must then judge the file again.
     */
    async takeHome(): Promise<boolean> {
      mayWrite = true;
      const again = await store.read(new AbortController().signal);
      // If the file still cannot be read, the approvals in memory stay.
      if (again.kind === "lost" && again.passes) return false;
      if (isSame(writer.written, validApprovals(again))) {
        if (memory !== null) remember(memory);
        return false;
      }
      take(again);
      return true;
    },
    async [Symbol.asyncDispose]() {
      await writer.whenWritten();
    },
  };
}

/** The approvals if they are valid on disk; null if they were lost, or never existed. */
function validApprovals(loaded: LoadedApprovals): Approvals | null {
  return loaded.kind === "lost" ? null : loaded.approvals;
}

/** Writes one version of the approvals after the other. */
function createApprovalWriter(store: ApprovalsFile, logger: Logger, written: Approvals | null) {
  const inTurn = oneByOne();
  const self = {
    written,
    unsavedBecause: null as string | null,
    write: (approvals: Approvals, advances: boolean): Promise<void> =>
      inTurn(async () => {
        await store.write(approvals, advances);
        self.written = approvals;
        self.unsavedBecause = null;
      }),
    /** Never rejects: a failure is logged once, and is a condition until a write succeeds. */
    tryToWrite: (approvals: Approvals, advances: boolean): Promise<void> =>
      self.write(approvals, advances).catch((error: unknown) => {
        const reason = errorText(error);
        if (self.unsavedBecause === null)
          logger.warn("approvals cannot be written", { path: store.path, reason });
        self.unsavedBecause = reason;
      }),
    whenWritten: () => inTurn(async () => {}),
  };
  return self;
}

function transitionOf(name: ApprovalTransition["name"], entry: WaitingEntry): ApprovalTransition {
  return { name, entry: entry.id, kind: entry.kind, summary: entrySummary(entry) };
}

/** Identifies the version of an entry that a person was shown: an approval is valid only for that version. */
export function waitingDigest({ id, waiting }: WaitingEntry): string {
  return sha256Of(JSON.stringify([id, waiting]));
}

function waitingKey(waiting: readonly WaitingEntry[]): string {
  return waiting.map(waitingDigest).join(" ");
}

function isSame(one: Approvals | null, other: Approvals | null): boolean {
  const text = (approvals: Approvals | null): string | null =>
    approvals && JSON.stringify([approvals.mode, [...approvals.entries].sort(), approvals.order]);
  return text(one) === text(other);
}
