// A ConfigWatcher with a file in memory and a clock that the test moves; records all outputs.
import { createHash } from "node:crypto";
import type { TestContext } from "node:test";
import type { SyncSettings } from "../../src/config/snapshot.ts";
import type { Logger } from "../../src/runtime/log/log.ts";
import type { ReloadOutcome } from "../../src/sync/config-steps.ts";
import { createConfigWatcher } from "../../src/sync/config-watcher.ts";
import type { SyncEvent } from "../../src/sync/sync-event.ts";
import type { SyncState } from "../../src/sync/sync-settings.ts";
import { createManualClock, type ManualClock } from "../support/manual-clock.ts";
import { createMemoryFile } from "./memory-file.ts";

/** The defaults of the settings. */
export const DEFAULT_SYNC_SETTINGS: SyncSettings = {
  enabled: true,
  pollIntervalMs: 2_000,
  debounceMs: 1_000,
  detection: "mtime",
  onFailure: "backoff",
};

export type WatcherBench = Awaited<ReturnType<typeof watcherBench>>;

export interface WatcherBenchOptions {
  readonly settings?: Partial<SyncSettings>;
  readonly text?: string | null;
  /** The loaded content. Default: the file's text. */
  readonly loaded?: string | null;
  /** The content that was rejected before the start; `loaded` runs in its place. */
  readonly rejected?: string;
  readonly onChange?: (text: string, signal: AbortSignal) => Promise<ReloadOutcome>;
  readonly start?: boolean;
}

export const APPLIED: ReloadOutcome = {
  kind: "applied",
  changed: true,
  details: "1 share reloaded",
  diff: null,
};

/** A started watcher, disposed after the test. */
export async function watcherBench(t: TestContext | null, options: WatcherBenchOptions = {}) {
  const { text = "a", loaded = text, rejected, onChange = async () => APPLIED, start = true } = options;
  const clock = createManualClock();
  const file = createMemoryFile(text);
  /** Texts that the service was asked to apply, in order. */
  const offered: string[] = [];
  const events: SyncEvent[] = [];
  const states: SyncState[] = [];
  /** Level and message of each log line. */
  const logged: string[] = [];
  let atOnce = 0;
  let mostAtOnce = 0;
  const watcher = createConfigWatcher<ReloadOutcome>({
    file,
    clock,
    settings: { ...DEFAULT_SYNC_SETTINGS, ...options.settings },
    logger: recordingLogger(logged),
    first: { sha256: sha256(loaded ?? ""), snapshot: APPLIED },
    ...(rejected === undefined
      ? {}
      : { rejected: { kind: "rejected", sha256: sha256(rejected), reason: `wrong: ${rejected}` } }),
    folderEvents: file.events,
    async load(bytes, signal) {
      atOnce += 1;
      mostAtOnce = Math.max(mostAtOnce, atOnce);
      const content = new TextDecoder().decode(bytes);
      offered.push(content);
      try {
        const outcome = await onChange(content, signal);
        return outcome.kind === "rejected" ? { ok: false, ...outcome } : { ok: true, snapshot: outcome };
      } finally {
        atOnce -= 1;
      }
    },
    async apply({ snapshot }) {
      if (snapshot.kind !== "applied") throw new Error(snapshot.kind === "failed" ? snapshot.reason : "");
      return { ...snapshot, snapshot };
    },
    onEvent: (event) => events.push(event),
    onState: (state) => states.push(state),
  });
  t?.after(() => watcher[Symbol.asyncDispose]());
  if (start) {
    await watcher.start();
    await clock.advance(0);
  }
  return {
    clock,
    file,
    watcher,
    offered,
    events,
    states,
    logged,
    /** `type details` of each event. */
    told: () => events.map(({ type, details }) => `${type} ${details}`),
    /** The highest number of concurrent onChange calls. */
    get mostAtOnce() {
      return mostAtOnce;
    },
  };
}

/** The service itself saves and applies a text, as an edit does; an edit that changes nothing writes nothing. */
export async function saveThroughService(
  { file, watcher }: Pick<WatcherBench, "file" | "watcher">,
  text: string,
  writes = true,
  snapshot = APPLIED,
): Promise<void> {
  await watcher.inTurn(async ({ applySaved }) => {
    if (writes) file.save(text);
    const bytes = new TextEncoder().encode(text);
    await applySaved({ bytes, sha256: sha256(text), snapshot, source: "edit" });
  });
}

/** Moves the clock until the promise settles. */
export async function advanceUntil<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  let done = false;
  void promise.finally(() => (done = true));
  for (let step = 0; !done && step < 1_000; step += 1) await clock.advance(10);
  return promise;
}

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function recordingLogger(logged: string[]): Logger {
  const write = (level: string) => (message: string) => void logged.push(`${level} ${message}`);
  return { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
}
