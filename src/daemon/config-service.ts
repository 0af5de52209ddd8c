// Owns the configuration of a running service: watched, reloaded, edited, undone, and told about.
import { readFile } from "node:fs/promises";
import type { EditReport, ReloadReport, SyncEvent, SyncReport } from "../api/contract.ts";
import type { ConfigControl } from "../api/control.ts";
import { openHistory } from "../config/history.ts";
import { type SavedApart, saveConfigApart } from "../config/load-apart.ts";
import type { ConfigPlace } from "../config/locate.ts";
import type { ConfigMistake } from "../config/mistakes.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { type Clock, isoTime } from "../runtime/clock.ts";
import { errorText, MountaineerError, systemErrorCode } from "../runtime/errors.ts";
import type { Logger } from "../runtime/log.ts";
import { type ConfigWatcher, createConfigWatcher } from "../sync/config-watcher.ts";
import { sha256Of } from "../sync/content-hash.ts";
import type { ReloadOutcome, ReloadResult } from "../sync/reload-outcome.ts";
import { createSyncEventRing } from "../sync/sync-event.ts";
import type { WatchedFile } from "../sync/watched-file.ts";
import type { ConfigApplier } from "./config-applier.ts";
import type { EventStream } from "./event-stream.ts";
import { mistakesText } from "./reload-report.ts";
import { createReloader, type Reloader } from "./reloader.ts";
import type { ServiceTransition } from "./service-transitions.ts";

export interface ConfigServiceOptions {
  readonly home: string;
  readonly place: ConfigPlace;
  readonly snapshot: ConfigSnapshot;
  readonly file: WatchedFile;
  readonly appliers: readonly ConfigApplier[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stream: EventStream;
  readonly publish: (transition: ServiceTransition) => void;
}

export interface ConfigService extends AsyncDisposable {
  readonly control: ConfigControl;
  readonly reloader: Reloader;
  readonly watcher: ConfigWatcher;
  /** Begins to watch; resolves when no later change can be missed. */
  start(): Promise<void>;
}

type NumberedEvent = SyncEvent;

export function createConfigService(options: ConfigServiceOptions): ConfigService {
  const { home, place, snapshot, file, clock, logger, stream, publish } = options;
  const history = openHistory(home);
  const events = createSyncEventRing();
  let eventCount = 0;
  /** What the newest reload of the file did, for whoever asked for it. */
  let newest: ReloadReport | null = null;

  const keep: Parameters<typeof createReloader>[0]["keep"] = async (accepted, bytes, source, summary) => {
    const { sha256, format } = accepted;
    try {
      await history.record({ bytes, sha256, format, source, summary, time: isoTime(clock.wallMs()) });
    } catch (error) {
      logger.warn("an accepted configuration could not be kept", { reason: errorText(error) });
    }
  };

  const syncSection: ConfigApplier = {
    name: "sync",
    prepare: ({ after }) => Promise.resolve({ commit: () => watcher.setSettings(after.sync) }),
  };
  const reloader = createReloader({
    place,
    first: snapshot,
    appliers: [...options.appliers, syncSection],
    clock,
    logger,
    publish,
    keep,
  });

  const watcher: ConfigWatcher = createConfigWatcher({
    file,
    settings: snapshot.config.sync,
    clock,
    logger,
    baseline: { sha256: snapshot.sha256 },
    generation: () => reloader.generation,
    async onChange({ bytes }, signal) {
      newest = await reloader.offer({ bytes, snapshot: null, source: "file" }, signal);
      return outcomeOf(newest);
    },
    onEvent(event) {
      eventCount += 1;
      events.add(event);
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

  /** What an edit has saved applies itself; the watcher then sees bytes it knows. */
  const applySaved = async (saved: SavedApart, source: string, signal: AbortSignal): Promise<EditReport> => {
    if (!saved.ok) return rejectedEdit(saved.mistakes);
    const { changed, bytes, snapshot: accepted } = saved;
    const reload = await reloader.offer({ bytes, snapshot: accepted, source }, signal);
    if (reload.failure === null) {
      watcher.noteApplied(accepted.sha256, { changed: reload.reloaded, details: reload.summary });
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

  const replace = async (
    bytes: Uint8Array,
    seenSha256: string | null,
    source: string,
    signal: AbortSignal,
  ): Promise<EditReport> => {
    const content = Buffer.from(bytes).toString("base64");
    const request = { kind: "replace", path: snapshot.path, place, content, seenSha256 } as const;
    return applySaved(await saveConfigApart(request, { clock, signal }), source, signal);
  };

  const control: ConfigControl = {
    sync: () => ({ ...syncState(), events: numbered() }),
    async reload({ dry_run = false }, signal) {
      if (dry_run) {
        return reloader.preview({ bytes: await readNow(signal), snapshot: null, source: "file" }, signal);
      }
      newest = null;
      return reportOf(await watcher.reloadNow(), newest, reloader);
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
    async edit({ edits, expected_sha256, source }, signal) {
      const request = {
        kind: "edit",
        path: snapshot.path,
        place,
        edits,
        seenSha256: expected_sha256 ?? null,
      } as const;
      return applySaved(await saveConfigApart(request, { clock, signal }), source, signal);
    },
    editText: ({ text, expected_sha256, source }, signal) =>
      replace(Buffer.from(text), expected_sha256, source, signal),
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
    historyText: async (n) => Buffer.from(await history.content(n)).toString("utf8"),
    rollback: async ({ n = 1 }, signal) => replace(await history.content(n), null, `rollback ${n}`, signal),
    listen: (afterId, listener) => stream.listen(afterId, listener),
  };

  return {
    control,
    reloader,
    watcher,
    async start() {
      // What runs is the newest accepted content, whatever brought it.
      const bytes = await contentThatRuns(snapshot);
      if (bytes !== null) await keep(snapshot, bytes, "start", "started");
      await watcher.start();
    },
    [Symbol.asyncDispose]: async () => watcher[Symbol.asyncDispose](),
  };
}

/** null when the file has changed since it was loaded: then the watcher brings what it holds now. */
async function contentThatRuns({ path, sha256 }: ConfigSnapshot): Promise<Uint8Array | null> {
  try {
    const bytes = await readFile(path);
    return sha256Of(bytes) === sha256 ? bytes : null;
  } catch (error) {
    if (systemErrorCode(error) === null) throw error;
    return null;
  }
}

function outcomeOf(report: ReloadReport): ReloadOutcome {
  const { reloaded, summary, errors, failure } = report;
  if (failure !== null) return { kind: "failed", reason: failure };
  if (errors.length > 0) {
    // A mistake about the text and not about a key: maybe half of a file that is still being written.
    const unparsable = errors.some(({ path }) => path === "");
    return { kind: "rejected", unparsable, reason: mistakesText(errors) };
  }
  return { kind: "applied", changed: reloaded, details: summary };
}

function reportOf(result: ReloadResult, newest: ReloadReport | null, reloader: Reloader): ReloadReport {
  if (newest !== null) return newest;
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
