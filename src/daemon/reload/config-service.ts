// The configuration of a running service: watched, reloaded, edited, rolled back and reported.
import type { ConfigCheckReport, ConfigReport, ReloadReport } from "../../api/contract.ts";
import type { Control } from "../../api/operations.ts";
import { diffConfigs, isEmptyDiff } from "../../config/diff.ts";
import { openHistory } from "../../config/history/history.ts";
import type { RealPath } from "../../config/history/history-owner.ts";
import type { ConfigLayer } from "../../config/layer/layer.ts";
import type { ConfigPlace } from "../../config/locate.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import type { ConfigMistake } from "../../config/values/mistakes.ts";
import { createConfigReader } from "../../config/worker/config-reader.ts";
import { type StartReader, startReaderProcess } from "../../config/worker/reader-process.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { type Clock, isoTime } from "../../runtime/time/clock.ts";
import { type AppliedContent, type ConfigSteps, outcomeOfThrown } from "../../sync/config-steps.ts";
import { type ConfigWatcher, createConfigWatcher } from "../../sync/config-watcher.ts";
import { createSyncEvents } from "../../sync/sync-event.ts";
import type { WatchedFile } from "../../sync/watched-file.ts";
import type { ApprovalKeeper } from "../approvals/approval-keeper.ts";
import type { EventStream } from "../events/event-stream.ts";
import type { ServiceTransition } from "../events/service-transitions.ts";
import { createApprovals } from "./approvals.ts";
import { createConfigEdits } from "./config-edits.ts";
import { createHolding, type Holding, type Judged } from "./holding.ts";
import { createLayerUnder } from "./layer-under.ts";
import { describeDiff, mistakesText, reportOf } from "./reload-report.ts";
import { applyChange, type ConfigApplier } from "./reload-transaction.ts";
import { createUnkeptHistory, type UnkeptHistory } from "./unkept-history.ts";

interface ConfigServiceOptions {
  readonly home: string;
  readonly place: ConfigPlace;
  readonly snapshot: ConfigSnapshot;
  readonly file: WatchedFile;
  /** As `openHistory` needs it. */
  readonly realPath: RealPath;
  readonly appliers: readonly ConfigApplier[];
  /** Of the fleet, under `snapshot`. Default: none. */
  readonly layer?: ConfigLayer | null;
  /** Default: nothing is ever held. */
  readonly approvals?: ApprovalKeeper;
  /** What the file was when `snapshot` became what runs of it. Default: all of it runs. */
  readonly loadedFile?: ConfigSnapshot;
  /** What the file holds, where it was rejected at the start and `snapshot` is what was accepted before; null: it was not. */
  readonly rejected?: {
    readonly sha256: string;
    readonly mistakes: readonly ConfigMistake[];
    readonly unreadable: string | null;
  } | null;
  /** Reads the secrets that a content refers to: other values are another meaning. Default: there are none. */
  readonly bindSecrets?: (snapshot: ConfigSnapshot, signal: AbortSignal) => Promise<ConfigSnapshot>;
  /** Rejects when others may write what stands there, or read a secret in it. Default: whatever stands there may run. */
  readonly requirePrivate?: (snapshot: ConfigSnapshot) => Promise<void>;
  /** Default: reads and edits in processes of their own. */
  readonly startReader?: StartReader | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stream: EventStream;
  readonly publish: (transition: ServiceTransition) => void;
}

export type ConfigService = ReturnType<typeof createConfigService>;

/** Disposing stops watching, refuses further edits and waits for what is under way; then nothing is applied any more. */
export function createConfigService(options: ConfigServiceOptions) {
  const { home, place, snapshot, rejected = null, file, clock, logger, stream, publish } = options;
  const { startReader = startReaderProcess } = options;
  const history = createUnkeptHistory(openHistory(home, snapshot.path, options.realPath));
  const ending = new AbortController();
  const first = options.layer ?? null;
  const under = createLayerUnder({ first, place, file, watcher: () => watcher, history, clock, startReader });
  const layer = () => under.current;
  const reader = createConfigReader({ path: snapshot.path, place, layer, clock, startReader });
  const events = createSyncEvents();

  const keep = async (bytes: Uint8Array, source: string, summary: string): Promise<void> => {
    const { sha256, snapshot: running } = watcher.running;
    const time = isoTime(clock.wallMs());
    await history.record({ bytes, sha256, format: running.format, source, summary, time });
  };
  const tryToKeep = (message: string, ...content: Parameters<typeof keep>): Promise<void> =>
    keep(...content).catch((error: unknown) => logger.warn(message, { reason: errorText(error) }));

  const syncSection: ConfigApplier = {
    name: "sync",
    prepare: ({ after }) => Promise.resolve({ commit: () => watcher.setSettings(after.sync) }),
  };
  const holding = createHolding(options.approvals ?? null, options.loadedFile ?? snapshot);
  const steps = configSteps({ ...options, appliers: [...options.appliers, syncSection] }, reader, holding);
  const watcher: ConfigWatcher<ConfigSnapshot> = createConfigWatcher<ConfigSnapshot>({
    file,
    settings: snapshot.config.sync,
    clock,
    logger,
    first: { sha256: snapshot.sha256, snapshot },
    rejected: rejected && {
      sha256: rejected.sha256,
      reason: rejected.unreadable ?? mistakesText(rejected.mistakes),
    },
    ...steps,
    async onApplied({ bytes, source }, { snapshot: applied, changed, details }, isNew) {
      if (applied.config.layer === undefined) under.forget();
      const { generation, sha256 } = watcher.running;
      if (changed) publish({ name: "config.applied", source, generation, sha256, summary: details });
      if (isNew) await tryToKeep("an accepted configuration could not be kept", bytes, source, details);
    },
    onSign: () => reader.expect(),
    onEvent(event) {
      const numbered = events.add(event);
      // Here and not where it was tried: what was only half written, or fails again as before, is no news.
      if (event.type === "error") {
        publish({ name: "config.rejected", source: "file", reason: event.details });
      }
      stream.publish({ kind: "sync", event: numbered });
    },
    onState: () => stream.publish({ kind: "sync_state", sync: syncReport(snapshot.path, watcher, holding) }),
  });
  const reloads = createReloads(file, watcher, steps, holding);

  return {
    control: {
      sync: () => ({ ...syncReport(snapshot.path, watcher, holding), events: events.all() }),
      reload: ({ dry_run = false, secrets = false }, signal) => {
        if (dry_run) return reloads.preview(reloads.readNow, signal);
        return secrets ? reloads.applyAgain("secrets") : reloads.reloadNow();
      },
      checkConfig: ({ text }, signal) => reloads.check(Buffer.from(text), signal),
      config: (_, signal) => reloads.standing(signal),
      ...createConfigEdits({ place, layer, file, watcher, history, clock, logger, holding, startReader }),
      ...createApprovals(watcher, holding),
      history: () => historyReport(history),
      historyText: async ({ n }) => Buffer.from((await history.entry(n)).bytes).toString("utf8"),
    } satisfies Partial<Control>,
    watcher,
    /** Applies what runs once more if one of its secrets has another value now. */
    refreshSecrets: () => reloads.applyAgain("secrets"),
    /** Applies what runs once more, with what is approved by now. */
    judgeAgain: () => reloads.applyAgain("approvals"),
    /** Of the fleet, under what runs. */
    layers: under,
    /** Why the history lacks what runs; null: it does not. */
    get historyUnsavedBecause() {
      return history.unsavedBecause;
    },
    /** Begins to watch; resolves when no later change can be missed. */
    async start() {
      // What runs is the newest accepted content, whatever brought it.
      const bytes = await file.read(ending.signal).catch((error: unknown) => {
        logger.warn("the running configuration could not be kept", { reason: errorText(error) });
        return null;
      });
      // A file that changed since it was loaded is brought by the watcher.
      if (bytes !== null && sha256Of(bytes) === snapshot.sha256) {
        await tryToKeep("the running configuration could not be kept", bytes, "start", "started");
      }
      await watcher.start();
    },
    async [Symbol.asyncDispose]() {
      ending.abort();
      reader[Symbol.dispose]();
      await watcher[Symbol.asyncDispose]();
    },
  };
}

/** How a content is parsed, and how it becomes what runs. */
function configSteps(
  { appliers, bindSecrets, requirePrivate, logger }: ConfigServiceOptions,
  reader: ReturnType<typeof createConfigReader>,
  holding: Holding,
): Pick<ConfigSteps<ConfigSnapshot>, "load" | "apply"> & {
  /** What `apply` would do. */
  readonly compare: (
    snapshot: ConfigSnapshot,
    running: ConfigSnapshot,
    signal: AbortSignal,
  ) => Promise<
    AppliedContent<ConfigSnapshot> & {
      readonly diff: ReturnType<typeof diffConfigs>;
      readonly waiting: readonly string[];
    }
  >;
} {
  const compareJudged = async (judged: Judged, running: ConfigSnapshot, signal: AbortSignal) => {
    const { effective } = judged;
    await requirePrivate?.(judged.file);
    const snapshot = bindSecrets === undefined ? effective : await bindSecrets(effective, signal);
    const diff = diffConfigs(running.config, snapshot.config);
    const touches = !isEmptyDiff(diff);
    const summary = touches ? describeDiff(diff).summary : null;
    return { snapshot, diff, touches, ...holding.told(judged, summary) };
  };
  const compare = (loaded: ConfigSnapshot, running: ConfigSnapshot, signal: AbortSignal) =>
    compareJudged(holding.preview(loaded, running), running, signal);
  return {
    compare,
    async load(bytes, signal) {
      const { loaded } = await reader.load(bytes, signal);
      if (loaded.ok) return loaded;
      // Whatever is wrong with it may be half of a file that is still being written.
      return { ok: false, mistakes: loaded.mistakes, reason: mistakesText(loaded.mistakes) };
    },
    async apply(content, running, signal) {
      const judged = await holding.judge(content, running.snapshot);
      const applied = await compareJudged(judged, running.snapshot, signal);
      const { diff, touches, snapshot } = applied;
      const change = { before: running.snapshot.config, after: snapshot.config, diff };
      if (touches) await applyChange(appliers, change, logger, signal);
      holding.applied(judged);
      return applied;
    },
  };
}

async function historyReport(history: UnkeptHistory) {
  const entries = await history.list();
  return {
    entries: entries.map(({ n, time, sha256, source, summary }) => ({ n, time, sha256, source, summary })),
  };
}

/** The state of the watched file in the form of the API. */
function syncReport(
  path: string,
  { state, running }: ConfigWatcher<ConfigSnapshot>,
  { summaries }: Pick<Holding, "summaries">,
) {
  const { watching, lastSync, lastError, detector, fileMissing } = state;
  const { sha256, generation, snapshot } = running;
  const { enabled, pollIntervalMs, debounceMs, detection, onFailure } = snapshot.config.sync;
  return {
    config_path: path,
    sha256,
    generation,
    watching,
    last_sync: lastSync,
    last_error: lastError,
    degraded: detector.degraded,
    file_missing: fileMissing,
    ...(summaries.length === 0 ? {} : { waiting: [...summaries] }),
    settings: {
      enabled,
      poll_interval: pollIntervalMs / 1000,
      debounce: debounceMs / 1000,
      detection,
      on_failure: onFailure,
    },
  };
}

/** Reading the file again because somebody asks. */
function createReloads(
  file: WatchedFile,
  watcher: ConfigWatcher<ConfigSnapshot>,
  { load, compare }: ReturnType<typeof configSteps>,
  holding: Holding,
) {
  const readNow = async (signal: AbortSignal): Promise<Uint8Array> => {
    const bytes = await file.read(signal);
    if (bytes !== null) return bytes;
    throw new MountaineerError("config_unreadable", `${file.path} is not there`, {
      hint: "`mountaineer config rollback 0` writes what runs",
    });
  };

  const applyAgain = (source: string): Promise<ReloadReport> =>
    watcher.inTurn(async (turn) => {
      const outcome = await turn.applyAgain(source);
      return reportOf(outcome, watcher.running, false, holding.waiting);
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

  return {
    readNow,
    applyAgain,
    preview,
    /** The file as it stands. */
    async standing(signal: AbortSignal): Promise<ConfigReport> {
      const bytes = await readNow(signal);
      const { sha256, snapshot } = watcher.running;
      return {
        path: snapshot.path,
        format: snapshot.format,
        sha256: sha256Of(bytes),
        text: Buffer.from(bytes).toString("utf8"),
        running_sha256: sha256,
      };
    },
    async check(bytes: Uint8Array, asker: AbortSignal): Promise<ConfigCheckReport> {
      const report = await preview(async () => bytes, asker);
      const { errors: mistakes, waiting = [] } = report;
      const would_change = mistakes.length > 0 ? null : report;
      return { mistakes, would_change, waits_for_approval: [...waiting] };
    },
    async reloadNow(): Promise<ReloadReport> {
      const result = await watcher.reloadNow();
      const report = reportOf(result, watcher.running, false, holding.waiting);
      if (result.kind !== "same") return report;
      // The same bytes mean something else when a secret has another value.
      const refreshed = await applyAgain("secrets");
      return refreshed.reloaded || refreshed.failure !== null ? refreshed : report;
    },
  };
}
