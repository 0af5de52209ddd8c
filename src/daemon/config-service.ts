// Owns the configuration of a running service: watched, reloaded, edited, undone, and told about.

import type { EditReport, ReloadReport, SyncEvent, SyncReport } from "../api/contract.ts";
import type { ConfigControl } from "../api/control.ts";
import { createConfigReader } from "../config/config-reader.ts";
import { type AcceptedContent, openHistory, refuseOtherEntry } from "../config/history.ts";
import type { RealPath } from "../config/history-owner.ts";
import { loadConfigApart, type SavedApart, saveConfigApart } from "../config/load-apart.ts";
import type { ConfigPlace } from "../config/locate.ts";
import type { ConfigMistake } from "../config/mistakes.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { unlessAborted } from "../runtime/abort.ts";
import { type Clock, isoTime } from "../runtime/clock.ts";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import type { Logger } from "../runtime/log.ts";
import { sha256Of } from "../runtime/sha256.ts";
import { type ConfigWatcher, createConfigWatcher } from "../sync/config-watcher.ts";
import type { ReloadOutcome, ReloadResult } from "../sync/reload-outcome.ts";
import { createSyncEventRing } from "../sync/sync-event.ts";
import type { WatchedFile } from "../sync/watched-file.ts";
import type { ConfigApplier } from "./config-applier.ts";
import type { EventStream } from "./event-stream.ts";
import { mistakesText, NO_CHANGES } from "./reload-report.ts";
import { createReloader, type Reloader, type ReloaderOptions } from "./reloader.ts";
import type { ServiceTransition } from "./service-transitions.ts";
import { createUnkeptHistory } from "./unkept-history.ts";

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
  const events = createSyncEventRing();
  let eventCount = 0;
  /** What became of each content that the watcher offered, by what it was told. */
  const reports = new WeakMap<object, ReloadReport>();
  /** Edits that are in the file. */
  let saves = 0;
  let lastEdit: Promise<unknown> = Promise.resolve();
  let editsUnderWay = 0;
  const ending = new AbortController();

  /** What was read while an edit was being saved may be older than what the edit has put there: read again. */
  const file: WatchedFile = {
    ...options.file,
    async read(signal) {
      for (;;) {
        const before = saves;
        const bytes = await options.file.read(signal);
        if (before === saves) return bytes;
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
      if (editsUnderWay === 0) reader.expect(unknownContent);
    },
    async onChange({ bytes }, signal) {
      const report = await reloader.offer({ bytes, snapshot: null, source: "file" }, signal);
      const outcome = outcomeOf(report);
      reports.set(outcome, report);
      return outcome;
    },
    onEvent(event) {
      eventCount += 1;
      events.add(event);
      // Here and not where it was offered: what was only half written, or fails again as before, is no news.
      if (event.type === "error") {
        publish({ name: "config.rejected", source: "file", reason: event.details });
      }
      stream.publish({ kind: "sync", event: { ...event, id: eventCount } });
    },
    onState: () => stream.publish({ kind: "sync_state", sync: syncState() }),
  });

  const syncState = (): Omit<SyncReport, "events"> => {
    const { state } = watcher;
    const { enabled, pollIntervalMs, debounceMs, detection, onFailure } = reloader.running.config.sync;
    return {
      config_path: snapshot.path,
      sha256: reloader.running.sha256,
      generation: reloader.generation,
      watching: state.watching,
      last_sync: state.lastSync,
      last_error: state.lastError,
      degraded: state.detector.degraded,
      file_missing: state.fileMissing,
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
    return kept.map((event, index) => ({ ...event, id: eventCount - kept.length + index + 1 }));
  };

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

  /**
   * One edit after the other: each finds what the one before has saved, and they apply in the order of the file. What
   * has begun is carried through: an asker who leaves between the write and the commit must not part file and service.
   */
  const inTurn = (
    asker: AbortSignal,
    edit: (signal: AbortSignal) => Promise<EditReport>,
  ): Promise<EditReport> => {
    let begun = false;
    const mine = lastEdit.then(() => {
      if (ending.signal.aborted)
        throw new MountaineerError("aborted", "the daemon is stopping; nothing was written");
      if (asker.aborted) throw new MountaineerError("aborted", "cancelled; nothing was written");
      begun = true;
      editsUnderWay += 1;
      return edit(ending.signal).finally(() => {
        editsUnderWay -= 1;
      });
    });
    lastEdit = mine.catch(() => {});
    const why = (): string =>
      begun ? "cancelled while it was being saved; it is carried through" : "cancelled; nothing was written";
    return unlessAborted(mine, asker, () => new MountaineerError("aborted", why()));
  };

  /** What an edit has saved applies itself; the watcher then sees bytes it knows. */
  const applySaved = async (saved: SavedApart, source: string, signal: AbortSignal): Promise<EditReport> => {
    if (!saved.ok) return rejectedEdit(saved.mistakes);
    const { changed, bytes, snapshot: accepted } = saved;
    saves += 1;
    // Before the commit, which may start a new detector: that one must know these bytes already.
    watcher.noteLoaded(accepted.sha256);
    let reload = await reloader.offer({ bytes, snapshot: accepted, source }, signal);
    if (reload.failure === null) {
      watcher.noteApplied(accepted.sha256, { changed: reload.reloaded, details: reload.summary });
    } else {
      // The file holds what does not run: the watcher tries once more, tells it and, if it watches, goes on trying.
      watcher.noteLoaded(reloader.running.sha256);
      reload = await reloadNow();
    }
    return { changed, path: snapshot.path, sha256: accepted.sha256, errors: [], reload };
  };

  const rejectedEdit = (errors: readonly ConfigMistake[]): EditReport => ({
    changed: false,
    path: snapshot.path,
    sha256: reloader.running.sha256,
    errors: [...errors],
    reload: null,
  });

  const known = () => ({ sha256: reloader.running.sha256, runs: true });

  const tryToKeep = async (content: AcceptedContent): Promise<void> => {
    try {
      await history.record(content);
    } catch (error) {
      logger.warn("a configuration could not be kept", { reason: errorText(error) });
    }
  };

  /** What a person saved and nobody has run yet would be lost with the file's content. */
  const keepUnapplied = async (bytes: Uint8Array, signal: AbortSignal): Promise<void> => {
    const content = Buffer.from(bytes).toString("base64");
    const { path } = snapshot;
    const { loaded } = await loadConfigApart(
      { path, place, content, writeStarter: false },
      { clock, signal },
    );
    if (!loaded.ok) return;
    const { sha256, format } = loaded.snapshot;
    const time = isoTime(clock.wallMs());
    await tryToKeep({ bytes, sha256, format, source: "file", summary: "found in the file", time });
  };

  const replace = async (
    bytes: Uint8Array,
    expectedSha256: string | null,
    source: string,
    signal: AbortSignal,
  ): Promise<EditReport> => {
    const before = await file.read(signal);
    const beforeSha256 = sha256Of(before);
    const save = async (): Promise<EditReport> => {
      const request = {
        kind: "replace",
        path: snapshot.path,
        place,
        content: Buffer.from(bytes).toString("base64"),
        seenSha256: expectedSha256 ?? beforeSha256,
        known: known(),
      } as const;
      return applySaved(await saveConfigApart(request, { clock, signal }), source, signal);
    };
    const isSeen = expectedSha256 === null || expectedSha256 === beforeSha256;
    // Of an emptied file there is nothing to keep, and nobody means to go back to it.
    const isEmpty = before === null || before.length === 0;
    if (isEmpty || beforeSha256 === reloader.running.sha256 || !isSeen) return save();
    const newest = await history.entry(0).catch(() => null);
    await keepUnapplied(before, signal);
    try {
      return await save();
    } finally {
      // The newest entry is what runs, also when that came back, or goes on.
      if (newest !== null && newest.sha256 === reloader.running.sha256) {
        await tryToKeep({ ...newest, source, summary: NO_CHANGES, time: isoTime(clock.wallMs()) });
      }
    }
  };

  const control: ConfigControl = {
    sync: () => ({ ...syncState(), events: numbered() }),
    async reload({ dry_run = false }, signal) {
      if (dry_run) {
        return reloader.preview({ bytes: await readNow(signal), snapshot: null, source: "file" }, signal);
      }
      return reloadNow();
    },
    async config(signal) {
      const bytes = await readNow(signal);
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
      return inTurn(asker, async (signal) => {
        const request = {
          kind: "edit",
          path: snapshot.path,
          place,
          edits,
          seenSha256,
          known: known(),
        } as const;
        return applySaved(await saveConfigApart(request, { clock, signal }), source, signal);
      });
    },
    editText: ({ text, expected_sha256, source }, asker) =>
      inTurn(asker, (signal) => replace(Buffer.from(text), expected_sha256, source, signal)),
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
      inTurn(asker, async (signal) => {
        const entry = await history.entry(n);
        refuseOtherEntry(entry, sha256, snapshot.path);
        return replace(entry.bytes, expected_sha256, `rollback ${n}`, signal);
      }),
    listen: (afterId, listener) => stream.listen(afterId, listener),
  };

  return {
    control,
    reloader,
    watcher,
    refreshSecrets,
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
      await lastEdit;
    },
  };
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
