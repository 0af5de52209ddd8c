// The configuration of a running service: watched, reloaded, edited, rolled back and reported.
import type { ReloadReport } from "../../api/contract/config.ts";
import type { Control } from "../../api/operations/operations.ts";
import { entrySummary } from "../../config/approval/entry-text.ts";
import { changesText, diffConfigs, isEmptyDiff } from "../../config/diff.ts";
import { openHistory } from "../../config/history/history.ts";
import type { RealPath } from "../../config/history/history-owner.ts";
import type { HomeContext } from "../../config/home-context.ts";
import { syncKeys } from "../../config/schema/schema.ts";
import { sectionSettings } from "../../config/section-settings.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { createConfigReader } from "../../config/worker/config-reader.ts";
import type { StartReader } from "../../config/worker/reader-process.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { localClock, localDay } from "../../runtime/time/clock.ts";
import { type CheckedContent, type ConfigSteps, outcomeOfThrown } from "../../sync/config-steps.ts";
import { type ConfigWatcher, createConfigWatcher } from "../../sync/config-watcher.ts";
import { createSyncEvents } from "../../sync/sync-event.ts";
import type { WatchedFile } from "../../sync/watched-file.ts";
import type { ApprovalStore, EvaluatedFile } from "../approvals/approval-store.ts";
import type { RejectedFile } from "../compose/home.ts";
import type { EventStream } from "../events/event-stream.ts";
import type { ServiceTransition } from "../events/service-transitions.ts";
import { type AcceptedFile, createAcceptedFile, summaryOf } from "./accepted-file.ts";
import { createApprovals } from "./approvals.ts";
import { createBufferedHistory } from "./buffered-history.ts";
import { createConfigEdits } from "./config-edits.ts";
import { describeDiff, mistakesText, reportOf } from "./reload-report.ts";
import { applyChange, type ConfigApplier } from "./reload-transaction.ts";

interface ConfigServiceOptions extends RuntimeTools {
  readonly home: string;
  readonly homeContext: HomeContext;
  readonly snapshot: ConfigSnapshot;
  readonly file: WatchedFile;
  readonly realPath: RealPath;
  readonly appliers: readonly ConfigApplier[];
  readonly approvals: ApprovalStore;
  /** The whole file; `snapshot` is the approved part of it, which runs. */
  readonly loadedFile: ConfigSnapshot;
  /** The file, if it was rejected at the start, so that `snapshot` is an earlier content; else null. */
  readonly rejected: Omit<RejectedFile, "acceptedAt"> | null;
  /**
   * Reads the secrets to which a configuration refers. A changed secret makes the result differ from the
   * running configuration.
   */
  readonly bindSecrets: (snapshot: ConfigSnapshot, signal: AbortSignal) => Promise<ConfigSnapshot>;
  /** Rejects if other users may write the configuration, or read a secret in it. */
  readonly requirePrivate: (snapshot: ConfigSnapshot) => Promise<void>;
  readonly startReader: StartReader;
  readonly stream: EventStream;
  readonly publish: (transition: ServiceTransition) => void;
}

/** Disposing stops watching and refuses further edits. It resolves when the edit in progress has ended. */
export function createConfigService(options: ConfigServiceOptions) {
  const { home, homeContext, snapshot, rejected, file, startReader, clock, logger, stream, publish } =
    options;
  const stored = openHistory(home, snapshot.path, options.realPath);
  const history = createBufferedHistory(stored, options);
  const ending = new AbortController();
  const reader = createConfigReader({ path: snapshot.path, homeContext, clock, startReader });
  const events = createSyncEvents();

  const keep = (
    { bytes, inode }: Pick<CheckedContent<unknown>, "bytes" | "inode">,
    source: string,
    summary: string,
  ): Promise<void> => {
    const { sha256, snapshot: running } = watcher.running;
    return history.record({ bytes, inode, sha256, format: running.format, source, summary });
  };

  const syncSection: ConfigApplier = {
    name: "sync",
    prepare: ({ after }) => Promise.resolve({ commit: () => watcher.setSettings(after.sync) }),
  };
  const accepted = createAcceptedFile(options.approvals, options.loadedFile);
  const steps = configSteps({ ...options, appliers: [...options.appliers, syncSection] }, reader, accepted);
  const watcher: ConfigWatcher<ConfigSnapshot> = createConfigWatcher<ConfigSnapshot>({
    file,
    settings: snapshot.config.sync,
    clock,
    logger,
    first: { sha256: snapshot.sha256, snapshot },
    rejected: rejected && {
      sha256: rejected.sha256,
      kind: rejected.isSuspect ? "cut_short" : "rejected",
      reason: rejected.reason ?? mistakesText(rejected.mistakes),
    },
    ...steps,
    async onApplied(content, { changed, details, diff }, isNew) {
      const { generation, sha256 } = watcher.running;
      const { source } = content;
      if (changed) publish({ name: "config.applied", source, generation, sha256, summary: details });
      const changes = diff === null ? "" : changesText(diff);
      if (isNew || content.inode !== undefined) await keep(content, source, changes || details);
    },
    onMove: (content) => void keep(content, "file", "started"),
    onSign: () => reader.expect(),
    onEvent(event) {
      const numbered = events.add(event);
      // `config.rejected` is published for this event only, because the watcher does not send the event for a
      // half-written file or a repeated failure.
      if (event.type === "error") {
        publish({ name: "config.rejected", source: "file", reason: event.details });
      }
      stream.publish({ kind: "sync", event: numbered });
    },
    onState: () => stream.publish({ kind: "sync_state", sync: syncReport(snapshot.path, watcher, accepted) }),
  });
  const reloads = createReloads(file, watcher, steps, accepted);

  return {
    control: {
      sync: () => ({ ...syncReport(snapshot.path, watcher, accepted), events: events.all() }),
      ...reloads.control,
      ...createConfigEdits({ homeContext, file, watcher, history, clock, accepted, startReader }),
      ...createApprovals(watcher, accepted),
      history: async () => ({
        entries: (await history.list()).map(({ format: _, ...entry }) => entry),
      }),
      historyText: async ({ n }) => Buffer.from((await history.entry(n)).bytes).toString("utf8"),
    } satisfies Partial<Control>,
    watcher,
    /** Adds a change of something else, in words, to the history's newest entry. Never rejects. */
    async remark(text: string): Promise<void> {
      const newest = await stored.entry(0).catch(() => null);
      if (newest === null) return;
      const at = new Date(clock.wallMs());
      const summary = `${localDay(at)} ${localClock(at)} ${text}`;
      await stored
        .record({ ...newest, summary, isRemark: true })
        .catch((error: unknown) =>
          logger.warn("a change is missing in the history", { reason: errorText(error) }),
        );
    },
    /** Applies the running configuration again if one of its secrets has another value now. */
    refreshSecrets: () => reloads.applyAgain("secrets"),
    /** Applies the running configuration again, with the current approvals. */
    judgeAgain: () => reloads.applyAgain("approvals"),
    /** Why the file on disk is not in use as it is; null: it is. Never rejects but by the signal. */
    async unusedFileBecause(signal: AbortSignal): Promise<string | null> {
      const found = await file.read(signal).catch((error: unknown) => errorText(error));
      signal.throwIfAborted();
      if (typeof found === "string") return found;
      if (found === null) return "it is not there";
      const { waiting } = accepted.approvalStore;
      if (sha256Of(found.bytes) !== watcher.running.sha256)
        return watcher.state.lastError?.reason ?? "it has changed, and is not loaded yet: mountaineer reload";
      return waiting.length === 0
        ? null
        : `changes wait for approval: ${waiting.map(entrySummary).join("; ")}`;
    },
    /** Why the running configuration is missing from the history; null if it is not missing. */
    get historyUnsavedBecause() {
      return history.unsavedBecause;
    },
    /** Begins to watch; resolves when no later change can be missed. */
    async start() {
      // The newest history entry must hold the running content, wherever that content came from.
      const found = await file.read(ending.signal).catch((error: unknown) => {
        logger.warn("the running configuration could not be saved", { reason: errorText(error) });
        return null;
      });
      // The watcher reports a file that changed since it was loaded.
      if (found !== null && sha256Of(found.bytes) === snapshot.sha256) await keep(found, "start", "started");
      await watcher.start();
    },
    async [Symbol.asyncDispose]() {
      ending.abort();
      reader[Symbol.dispose]();
      await watcher[Symbol.asyncDispose]();
    },
  };
}

function configSteps(
  { appliers, bindSecrets, requirePrivate, logger }: ConfigServiceOptions,
  reader: ReturnType<typeof createConfigReader>,
  accepted: AcceptedFile,
) {
  const compareJudged = async (judged: EvaluatedFile, running: ConfigSnapshot, signal: AbortSignal) => {
    await requirePrivate(judged.file);
    const snapshot = await bindSecrets(judged.effective, signal);
    const diff = diffConfigs(running.config, snapshot.config);
    const touches = !isEmptyDiff(diff);
    const summary = touches ? describeDiff(diff).summary : null;
    return { snapshot, diff, touches, ...summaryOf(judged, summary) };
  };
  const steps: Pick<ConfigSteps<ConfigSnapshot>, "load" | "apply"> = {
    async load(bytes, signal, from) {
      const { loaded, held: suspect, isStale } = await reader.load(bytes, signal, from);
      const reason = loaded.ok ? "" : mistakesText(loaded.mistakes);
      return { ...loaded, reason, suspect, isStale };
    },
    async apply(content, running, signal) {
      const judged = await accepted.judge(content, running.snapshot);
      const applied = await compareJudged(judged, running.snapshot, signal);
      const { diff, touches, snapshot } = applied;
      const change = { before: running.snapshot.config, after: snapshot.config, diff };
      if (touches) await applyChange(appliers, change, logger, signal);
      accepted.applied(judged);
      return applied;
    },
  };
  return {
    ...steps,
    /** Resolves with what `apply` would do. */
    compare: (loaded: ConfigSnapshot, running: ConfigSnapshot, signal: AbortSignal) =>
      compareJudged(accepted.preview(loaded, running), running, signal),
  };
}

function syncReport(
  path: string,
  { state, running }: ConfigWatcher<ConfigSnapshot>,
  { approvalStore: { waiting } }: Pick<AcceptedFile, "approvalStore">,
) {
  const { watching, lastSync, lastError, detector, fileMissing } = state;
  const { sha256, generation, snapshot } = running;
  return {
    config_path: path,
    sha256,
    generation,
    watching,
    last_sync: lastSync,
    last_error: lastError,
    degraded: detector.degraded,
    file_missing: fileMissing,
    ...(waiting.length === 0 ? {} : { waiting: waiting.map(entrySummary) }),
    settings: sectionSettings(syncKeys, snapshot.config.sync),
  };
}

/** The functions that reload or check the configuration when the API asks for it. */
function createReloads(
  file: WatchedFile,
  watcher: ConfigWatcher<ConfigSnapshot>,
  { load, compare }: ReturnType<typeof configSteps>,
  accepted: AcceptedFile,
) {
  const readNow = async (signal: AbortSignal): Promise<Uint8Array> => {
    const found = await file.read(signal);
    if (found !== null) return found.bytes;
    throw new MountaineerError("config_unreadable", `${file.path} is not there`, {
      hint: "`mountaineer config rollback 0` writes the running configuration into it",
    });
  };

  const applyAgain = (source: string): Promise<ReloadReport> =>
    watcher.inTurn(async (turn) => {
      const outcome = await turn.applyAgain(source);
      return reportOf(outcome, watcher.running, false, accepted.waiting);
    });

  const preview = (
    bytesOf: (signal: AbortSignal) => Promise<Uint8Array>,
    asker: AbortSignal,
  ): Promise<ReloadReport> =>
    watcher.inTurn(async (turn) => {
      const signal = AbortSignal.any([asker, turn.signal]);
      const bytes = await bytesOf(signal);
      const { running } = watcher;
      try {
        const loaded = await load(bytes, signal);
        if (!loaded.ok) return reportOf({ kind: "rejected", ...loaded }, running, true);
        const would = await compare(loaded.snapshot, running.snapshot, signal);
        const { generation } = running;
        const { sha256 } = loaded.snapshot;
        return reportOf({ kind: "applied", ...would }, { generation, sha256 }, true, would.waiting);
      } catch (error) {
        return reportOf(outcomeOfThrown(error), running, true);
      }
    });

  const control = {
    async config(_, signal) {
      const bytes = await readNow(signal);
      const { sha256, snapshot } = watcher.running;
      const text = Buffer.from(bytes).toString("utf8");
      const { path, format } = snapshot;
      return { path, format, sha256: sha256Of(bytes), text, running_sha256: sha256 };
    },
    async checkConfig({ text }, signal) {
      const report = await preview(async () => Buffer.from(text), signal);
      const { errors: mistakes, waiting = [] } = report;
      const would_change = mistakes.length > 0 ? null : report;
      return { mistakes, would_change, waits_for_approval: [...waiting] };
    },
    async reload({ dry_run = false, secrets = false }, signal) {
      if (dry_run) return preview(readNow, signal);
      if (secrets) return applyAgain("secrets");
      const result = await watcher.reloadNow();
      const report = reportOf(result, watcher.running, false, accepted.waiting);
      if (result.kind !== "same") return report;
      // Equal bytes make a different configuration if a secret has changed.
      const refreshed = await applyAgain("secrets");
      return refreshed.reloaded || refreshed.failure !== null ? refreshed : report;
    },
  } satisfies Partial<Control>;
  return { applyAgain, control };
}
