// Owns the configuration of a running service: watched, reloaded, edited, undone, and told about.
import type { EditReport, ReloadReport, SyncEvent, SyncReport } from "../../api/contract.ts";
import type { ConfigControl } from "../../api/control.ts";
import type { SavedConfig } from "../../config/edit/save.ts";
import { openHistory, refuseOtherEntry } from "../../config/history/history.ts";
import type { RealPath } from "../../config/history/history-owner.ts";
import type { ConfigPlace } from "../../config/locate.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { createConfigReader } from "../../config/worker/config-reader.ts";
import { saveConfigApart } from "../../config/worker/load-apart.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { type Clock, isoTime } from "../../runtime/time/clock.ts";
import { type ConfigWatcher, createConfigWatcher } from "../../sync/config-watcher.ts";
import type { ReloadOutcome, ReloadResult } from "../../sync/reload-outcome.ts";
import { createSyncEventRing } from "../../sync/sync-event.ts";
import type { WatchedFile } from "../../sync/watched-file.ts";
import type { EventStream } from "../events/event-stream.ts";
import type { ServiceTransition } from "../events/service-transitions.ts";
import type { ConfigApplier } from "./config-applier.ts";
import { createConfigEdits } from "./config-edits.ts";
import { mistakesText } from "./reload-report.ts";
import { createReloader, type Reloader, type ReloaderOptions } from "./reloader.ts";
import { createUnkeptHistory, type UnkeptHistory } from "./unkept-history.ts";

interface ConfigServiceOptions {
  readonly home: string;
  readonly place: ConfigPlace;
  readonly snapshot: ConfigSnapshot;
  readonly file: WatchedFile;
  /** As `openHistory` needs it. */
  readonly realPath: RealPath;
  readonly appliers: readonly ConfigApplier[];
  readonly bindSecrets?: NonNullable<ReloaderOptions["bindSecrets"]>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stream: EventStream;
  readonly publish: (transition: ServiceTransition) => void;
}

/** Disposing stops watching, refuses further edits and waits for what is under way; then nothing is applied any more. */
export interface ConfigService extends AsyncDisposable {
  readonly control: ConfigControl;
  readonly reloader: Reloader;
  readonly watcher: ConfigWatcher;
  /** Why the history lacks what runs; null: it does not. */
  readonly historyUnsavedBecause: string | null;
  /** Applies what runs once more if one of its secrets has another value now. */
  refreshSecrets(): Promise<ReloadReport>;
  /** Begins to watch; resolves when no later change can be missed. */
  start(): Promise<void>;
}

type NumberedEvent = SyncEvent;

export function createConfigService(options: ConfigServiceOptions): ConfigService {
  const { home, place, snapshot, clock, logger, stream, publish } = options;
  const history = createUnkeptHistory(openHistory(home, snapshot.path, options.realPath));
  const ending = new AbortController();

  /** What was read while an edit was being saved may be older than what the edit has put there: read again. */
  const file: WatchedFile = {
    ...options.file,
    async read(signal) {
      for (;;) {
        const before = saving.saves;
        const bytes = await options.file.read(signal);
        if (before === saving.saves) return bytes;
      }
    },
  };

  const keep: ReloaderOptions["keep"] = async ({ sha256, format }, bytes, source, summary) => {
    await history.record({ bytes, sha256, format, source, summary, time: isoTime(clock.wallMs()) });
  };

  const syncSection: ConfigApplier = {
    name: "sync",
    prepare: ({ after }) => Promise.resolve({ commit: () => watcher.setSettings(after.sync) }),
  };
  const reader = createConfigReader({ path: snapshot.path, place, clock });
  const reloader = createReloader({
    read: (bytes, signal) => reader.load(bytes, signal),
    first: snapshot,
    appliers: [...options.appliers, syncSection],
    ...(options.bindSecrets === undefined ? {} : { bindSecrets: options.bindSecrets }),
    logger,
    publish,
    keep,
  });

  const unknownContent = async (): Promise<Uint8Array | null> => {
    const bytes = await file.read(ending.signal);
    return bytes === null || sha256Of(bytes) === reloader.running.sha256 ? null : bytes;
  };

  const watcher: ConfigWatcher = createConfigWatcher({
    file,
    settings: snapshot.config.sync,
    clock,
    logger,
    baseline: { sha256: snapshot.sha256 },
    generation: () => reloader.generation,
    onSign() {
      // What an edit saves is known already.
      if (saving.editsUnderWay === 0) reader.expect(unknownContent);
    },
    async onChange({ bytes }, signal) {
      const report = await reloader.offer({ bytes, snapshot: null, source: "file" }, signal);
      const outcome = outcomeOf(report);
      reloads.reports.set(outcome, report);
      return outcome;
    },
    onEvent(event) {
      const id = sync.add(event);
      // Here and not where it was offered: what was only half written, or fails again as before, is no news.
      if (event.type === "error") {
        publish({ name: "config.rejected", source: "file", reason: event.details });
      }
      stream.publish({ kind: "sync", event: { ...event, id } });
    },
    onState: () => stream.publish({ kind: "sync_state", sync: sync.state() }),
  });
  const sync = createSyncReports({ snapshot, reloader, watcher });
  const reloads = createReloads({ snapshot, ending, file, reloader, watcher });
  const saving = createConfigEdits({
    place,
    snapshot,
    clock,
    logger,
    history,
    ending,
    file,
    reloader,
    watcher,
    reloadNow: reloads.reloadNow,
  });
  const control = createConfigControl({
    place,
    snapshot,
    clock,
    stream,
    history,
    reloader,
    sync,
    reloads,
    saving,
  });

  return {
    control,
    reloader,
    watcher,
    refreshSecrets: reloads.refreshSecrets,
    get historyUnsavedBecause() {
      return history.unsavedBecause;
    },
    async start() {
      // What runs is the newest accepted content, whatever brought it.
      try {
        const bytes = await file.read(ending.signal);
        // A file that changed since it was loaded is brought by the watcher.
        if (bytes !== null && sha256Of(bytes) === snapshot.sha256) {
          await keep(snapshot, bytes, "start", "started");
        }
      } catch (error) {
        logger.warn("the running configuration could not be kept", { reason: errorText(error) });
      }
      await watcher.start();
    },
    async [Symbol.asyncDispose]() {
      ending.abort();
      reader[Symbol.dispose]();
      await watcher[Symbol.asyncDispose]();
      await saving.lastEdit;
    },
  };
}

interface ConfigControlParts {
  readonly place: ConfigPlace;
  readonly snapshot: ConfigSnapshot;
  readonly clock: Clock;
  readonly stream: EventStream;
  readonly history: UnkeptHistory;
  readonly reloader: Reloader;
  readonly sync: ReturnType<typeof createSyncReports>;
  readonly reloads: ReturnType<typeof createReloads>;
  readonly saving: {
    readonly saves: number;
    readonly editsUnderWay: number;
    inTurn: (asker: AbortSignal, edit: (signal: AbortSignal) => Promise<EditReport>) => Promise<EditReport>;
    known: () => { sha256: string; runs: boolean };
    applySaved: (saved: SavedConfig, source: string, signal: AbortSignal) => Promise<EditReport>;
    replace: (
      bytes: Uint8Array,
      expectedSha256: string | null,
      source: string,
      signal: AbortSignal,
    ) => Promise<EditReport>;
    readonly lastEdit: Promise<unknown>;
  };
}

/** What the API asks of the configuration. */
function createConfigControl({
  place,
  snapshot,
  clock,
  stream,
  history,
  reloader,
  sync,
  reloads,
  saving,
}: ConfigControlParts) {
  const control: ConfigControl = {
    sync: () => ({ ...sync.state(), events: sync.numbered() }),
    async reload({ dry_run = false }, signal) {
      if (dry_run) {
        return reloader.preview(
          { bytes: await reloads.readNow(signal), snapshot: null, source: "file" },
          signal,
        );
      }
      return reloads.reloadNow();
    },
    async config(signal) {
      const bytes = await reloads.readNow(signal);
      return {
        path: snapshot.path,
        format: snapshot.format,
        sha256: sha256Of(bytes),
        text: Buffer.from(bytes).toString("utf8"),
        running_sha256: reloader.running.sha256,
      };
    },
    edit({ edits, expected_sha256, source }, asker) {
      const seenSha256 = expected_sha256 ?? null;
      return saving.inTurn(asker, async (signal) => {
        const request = {
          kind: "edit",
          path: snapshot.path,
          place,
          edits,
          seenSha256,
          known: saving.known(),
        } as const;
        return saving.applySaved(await saveConfigApart(request, { clock, signal }), source, signal);
      });
    },
    editText: ({ text, expected_sha256, source }, asker) =>
      saving.inTurn(asker, (signal) => saving.replace(Buffer.from(text), expected_sha256, source, signal)),
    async history() {
      const entries = await history.list();
      return {
        entries: entries.map(({ n, time, sha256, source, summary }) => ({
          n,
          time,
          sha256,
          source,
          summary,
        })),
      };
    },
    historyText: async (n) => Buffer.from((await history.entry(n)).bytes).toString("utf8"),
    rollback: ({ n = 1, sha256 = null, expected_sha256 = null }, asker) =>
      saving.inTurn(asker, async (signal) => {
        const entry = await history.entry(n);
        refuseOtherEntry(entry, sha256, snapshot.path);
        return saving.replace(entry.bytes, expected_sha256, `rollback ${n}`, signal);
      }),
    listen: (afterId, listener) => stream.listen(afterId, listener),
  };

  return control;
}

interface SyncReportsParts {
  readonly snapshot: ConfigSnapshot;
  readonly reloader: Reloader;
  readonly watcher: ConfigWatcher;
}

/** What the API tells of the watched file. */
function createSyncReports({ snapshot, reloader, watcher }: SyncReportsParts) {
  const events = createSyncEventRing();
  let count = 0;

  /** Keeps the event and gives its number. */
  const add = (event: Omit<SyncEvent, "id">): number => {
    events.add(event);
    count += 1;
    return count;
  };
  const state = (): Omit<SyncReport, "events"> => {
    const { watching, lastSync, lastError, detector, fileMissing } = watcher.state;
    const { enabled, pollIntervalMs, debounceMs, detection, onFailure } = reloader.running.config.sync;
    return {
      config_path: snapshot.path,
      sha256: reloader.running.sha256,
      generation: reloader.generation,
      watching,
      last_sync: lastSync,
      last_error: lastError,
      degraded: detector.degraded,
      file_missing: fileMissing,
      settings: {
        enabled,
        poll_interval: pollIntervalMs / 1000,
        debounce: debounceMs / 1000,
        detection,
        on_failure: onFailure,
      },
    };
  };

  const numbered = (): NumberedEvent[] => {
    const kept = events.newest();
    return kept.map((event, index) => ({ ...event, id: count - kept.length + index + 1 }));
  };

  return { add, state, numbered };
}

interface ReloadsParts {
  readonly snapshot: ConfigSnapshot;
  readonly ending: AbortController;
  readonly file: WatchedFile;
  readonly reloader: Reloader;
  readonly watcher: ConfigWatcher;
}

/** Reading the file again because somebody asks, and what became of each content. */
function createReloads({ snapshot, ending, file, reloader, watcher }: ReloadsParts) {
  /** What became of each content that the watcher offered, by what it was told. */
  const reports = new WeakMap<object, ReloadReport>();

  const readNow = async (signal: AbortSignal): Promise<Uint8Array> => {
    const bytes = await file.read(signal);
    if (bytes !== null) return bytes;
    throw new MountaineerError("config_unreadable", `${snapshot.path} is not there`, {
      hint: "`mountaineer config rollback 0` writes what runs",
    });
  };

  const reloadNow = async (): Promise<ReloadReport> => {
    const result = await watcher.reloadNow();
    const offered = reports.get(result);
    if (offered !== undefined) return offered;
    // The same bytes mean something else when a secret has another value.
    const report = result.kind === "same" ? await refreshSecrets() : null;
    return report?.reloaded === true || (report !== null && report.failure !== null)
      ? report
      : unofferedReport(result, reloader);
  };

  const refreshSecrets = async (): Promise<ReloadReport> => {
    const report = await reloader.refreshSecrets("secrets", ending.signal);
    if (report.reloaded) {
      watcher.noteApplied(reloader.running.sha256, { changed: true, details: report.summary });
    }
    return report;
  };

  return { reports, reloadNow, readNow, refreshSecrets };
}

function outcomeOf(report: ReloadReport): ReloadOutcome {
  const { reloaded, summary, errors, failure } = report;
  if (failure !== null) return { kind: "failed", reason: failure };
  if (errors.length > 0) {
    // Whatever is wrong with it: half of a file that is still being written may well parse.
    return { kind: "rejected", unparsable: true, reason: mistakesText(errors) };
  }
  return { kind: "applied", changed: reloaded, details: summary };
}

/** Of a look at the file after which nothing was offered. */
function unofferedReport(result: ReloadResult, reloader: Reloader): ReloadReport {
  const failure =
    result.kind === "missing"
      ? "the file is not there; what runs goes on"
      : result.kind === "unreadable" || result.kind === "failed" || result.kind === "rejected"
        ? result.reason
        : null;
  return {
    reloaded: false,
    dry_run: false,
    generation: reloader.generation,
    sha256: reloader.running.sha256,
    settings: [],
    shares: { added: [], removed: [], changed: [] },
    backends: { added: [], removed: [], changed: [] },
    middleware: [],
    errors: [],
    failure,
    summary: failure ?? "no changes",
  };
}
