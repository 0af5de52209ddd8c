// The state behind the Sync screen: reads the sync report when it has changed, and sends the panel's requests.

import type { DaemonConnection } from "../../api/client/daemon-connection.ts";
import { requireSameConfig } from "../../api/client/same-config.ts";
import type { SyncEvent, SyncReport } from "../../api/contract/config.ts";
import { sectionEdits } from "../../api/forms/section-form.ts";
import { mistakesText, reloadOutcome } from "../../api/labels/outcome-labels.ts";
import { type EventRow, withEvent } from "../../api/labels/sync-labels.ts";
import { coalesce } from "../../runtime/coalesce.ts";
import { errorText, isOwnError, type MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { createStore } from "../../runtime/store.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { type PanelAction, pressKey } from "../panel/panel-keys.ts";
import { changedLines } from "../panel/panel-lines.ts";
import {
  createPanel,
  type PanelState,
  withConflict,
  withFailure,
  withFile,
  withMistakes,
  withNotice,
  withRunning,
  withSaved,
} from "../panel/panel-state.ts";
import type { SyncStatus } from "../status/status-lines.ts";
import { attempt } from "../terminal/attempt.ts";
import type { Key } from "../terminal/key.ts";

/** Least time between two reads of the report, ms. */
const BETWEEN_READS_MS = 100;

export type SyncSession = ReturnType<typeof startSyncSession>;

interface SyncOptions {
  readonly link: Pick<DaemonConnection, "call" | "connection" | "listen">;
  /** The file that `--config` names, absolute; null: any. */
  readonly configPath: string | null;
  readonly signal: AbortSignal;
}

/** Starts the session, which follows the daemon until `signal` aborts. */
export function startSyncSession({ link, configPath, signal }: SyncOptions) {
  const status = createStore<SyncStatus | null>(null);
  const panel = createStore<PanelState>(createPanel("sync"));
  /** The newest events, oldest first, at most ROWS_RETAINED. */
  const rows = createStore<readonly EventRow[]>([]);
  let lastShown: EventMark | null = null;
  const ended = Promise.withResolvers<void>();
  // Prevents an unhandled rejection while no caller awaits `ended`.
  ended.promise.catch(() => {});

  const show = ({ events, ...fresh }: SyncReport): void => {
    const unseen = unseenEvents(events, lastShown);
    lastShown = unseen.at(-1) ?? lastShown;
    rows.set(unseen.reduce(withEvent, rows.get()));
    status.set(fresh);
    panel.set(withRunning(panel.get(), fresh.settings, fresh.sha256));
  };
  const refresh = coalesce(async () => {
    try {
      const report = await link.call("sync", null, signal).catch(recoverFrom(isOwnError, null));
      if (report !== null) {
        if (configPath !== null) await requireSameConfig(report.config_path, configPath);
        show(report);
        // Ignores a failed read of the file, because the report says why.
        const file = await link.call("config", null, signal).catch(recoverFrom(isOwnError, null));
        if (file !== null) panel.set(withFile(panel.get(), file));
      } else if (link.connection.get().kind === "connected") refresh();
    } catch (error) {
      ended.reject(error);
    }
    await systemClock.sleep(BETWEEN_READS_MS, signal).catch(() => {});
  }, signal);
  const unregister = link.listen((notice) => {
    const isNews = notice.kind === "event" && notice.event.kind !== "transition";
    if (isNews || notice.kind === "connected") refresh();
  });
  const end = (): void => {
    unregister();
    ended.resolve();
  };
  if (signal.aborted) end();
  else signal.addEventListener("abort", end, { once: true });

  let saving: Promise<void> | null = null;
  const send = (request: (panel: PanelState) => Promise<PanelState>): Promise<void> =>
    attempt(
      async () => panel.set(await request(panel.get())),
      (error) =>
        panel.set(
          error.code === "config_changed"
            ? withConflict(panel.get())
            : withFailure(panel.get(), failureText(error)),
        ),
      signal,
    );
  const save = async ({ section, form, settings, file, baseSha256 }: PanelState): Promise<PanelState> => {
    if (settings === null) return panel.get();
    const before = file ?? (await link.call("config", null, signal));
    const edits = sectionEdits(section, form.root, settings);
    const expected = file?.sha256 ?? baseSha256 ?? before.sha256;
    const request = { edits, expected_sha256: expected, source: "tui" } as const;
    const report = await link.call("edit", request, signal);
    if (report.errors.length > 0) return withMistakes(panel.get(), report.errors);
    const now = await link.call("config", null, signal);
    // If the file has changed again, the difference would contain both changes.
    const lines = now.sha256 === report.sha256 ? changedLines(before.text, now.text) : [];
    const { reload } = report;
    const failure = reload === null ? null : (reload.failure ?? mistakesText(reload.errors));
    return withSaved(panel.get(), now, lines, failure);
  };
  const reload = async (): Promise<PanelState> => {
    const { tone, text } = reloadOutcome(await link.call("reload", {}, signal));
    return tone === "good"
      ? withNotice(panel.get(), { kind: "reloaded", summary: text })
      : withFailure(panel.get(), text);
  };
  const perform: Readonly<Record<PanelAction, () => void>> = {
    reread: refresh,
    save: () => {
      saving = send(save);
    },
    reload: () => {
      saving = send(reload);
    },
  };

  return {
    connection: link.connection,
    /** The newest status; null before the first report. */
    status,
    panel,
    rows,
    /** Resolves when `signal` aborts; rejects with `usage` if the daemon uses another configuration than `configPath`. */
    ended: ended.promise,
    /** Passes a key to the panel; false if the key has no meaning for it. */
    onKey(key: Key): boolean {
      const step = pressKey(panel.get(), key, needsReload(status.get()));
      panel.set(step.state);
      if (step.action !== null) perform[step.action]();
      return step.used;
    },
    /** Waits for the save in progress. Resolves with the reason if the save failed, else with null. */
    async saved(): Promise<string | null> {
      if (!panel.get().saving || saving === null) return null;
      await saving;
      const { notice, refused } = panel.get();
      if (notice?.kind === "failed") return notice.reason;
      const [refusal] = Object.values(refused);
      return refusal ?? (panel.get().fileChanged ? "the file has changed since it was read" : null);
    },
    warnUnsaved(): void {
      panel.put({ notice: { kind: "unsaved" } });
    },
  };
}

/** True if the file's content is not in effect because of an error, or the file is not watched. */
function needsReload(status: SyncStatus | null): boolean {
  return status !== null && (status.watching === "stopped" || status.last_error !== null);
}

function failureText(error: MountaineerError): string {
  const first = errorText(error).split("\n", 1)[0] ?? "";
  return error.code === "daemon_unreachable" ? `nothing saved: ${first}` : first;
}

type EventMark = Pick<SyncEvent, "id" | "iso">;

/**
 * Returns the events that are newer than `lastShown`. Returns all of them if `lastShown` is of an earlier daemon, because the
 * ids of two daemons cannot be compared.
 */
export function unseenEvents(
  events: readonly SyncEvent[],
  lastShown: EventMark | null,
): readonly SyncEvent[] {
  if (lastShown === null) return events;
  const isSameDaemon = events.some(({ id, iso }) => id === lastShown.id && iso === lastShown.iso);
  return isSameDaemon ? events.filter(({ id }) => id > lastShown.id) : events;
}
