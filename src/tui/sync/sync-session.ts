// The state behind the Sync screen: follows the daemon, updates status and panel, and sends the panel's requests.
import type { SyncEvent } from "../../api/contract.ts";
import { draftEdits } from "../../api/forms/sync-fields.ts";
import { mistakesText, reloadOutcome } from "../../api/words/outcome-words.ts";
import { type EventRow, type RowEvent, withEvent } from "../../api/words/sync-words.ts";
import { errorText, expecting, isOwnError, MountaineerError } from "../../runtime/errors.ts";
import { onceMore } from "../../runtime/once-more.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { changedLines } from "../panel/changed-lines.ts";
import { type PanelAction, pressKey } from "../panel/panel-keys.ts";
import {
  EMPTY_PANEL,
  type FileSeen,
  type PanelState,
  withConflict,
  withFailure,
  withFile,
  withMistakes,
  withNote,
  withRunning,
  withSaved,
} from "../panel/panel-state.ts";
import type { SyncSource, SyncStatus } from "../status/sync-source.ts";
import type { Connection } from "../terminal/connection.ts";
import type { Key } from "../terminal/key.ts";
import { createStore, type Readable } from "../terminal/store.ts";

export type SyncSession = ReturnType<typeof startSyncSession>;

/** Starts following; ends when `signal` aborts. */
export function startSyncSession(source: SyncSource, signal: AbortSignal) {
  const connection = createStore<Connection>({ kind: "connecting" });
  const status = createStore<SyncStatus | null>(null);
  const panel = createStore<PanelState>(EMPTY_PANEL);
  const widget = createSyncStatusWidget();
  let seen: EventMark | null = null;
  /** The newest event of the daemon that is there now; each daemon counts from the beginning. */
  let newestId = 0;

  const see = (event: SyncEvent): void => {
    seen = event;
    newestId = event.id;
    widget.addSyncEvent(event);
  };
  const learn = (fresh: SyncStatus): void => {
    status.set(fresh);
    panel.set(withRunning(panel.get(), fresh.settings, fresh.sha256));
  };
  const readAgain = createFileReader(source, signal, (file) => panel.set(withFile(panel.get(), file)));

  const ended = source.follow(
    {
      present({ events, ...fresh }) {
        for (const event of unseenEvents(events, seen)) see(event);
        newestId = events.at(-1)?.id ?? 0;
        connection.set({ kind: "connected" });
        learn(fresh);
        readAgain();
      },
      state(fresh) {
        const isOther = status.get()?.sha256 !== fresh.sha256;
        learn(fresh);
        if (isOther) readAgain();
      },
      event(event) {
        if (event.id <= newestId) return;
        see(event);
        readAgain();
      },
      absent(reason) {
        connection.set({ kind: "waiting", reason, sinceMs: systemClock.wallMs() });
      },
    },
    signal,
  );
  // Whoever waits for it is told; the session itself has nothing to add.
  ended.catch(() => {});

  let granting: Promise<void> | null = null;
  const grant = async (action: PanelAction): Promise<void> => {
    try {
      if (action === "save") panel.set(await save(source, panel, signal));
      else if (action === "reload") panel.set(await reload(source, panel, signal));
      else readAgain();
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof MountaineerError)) throw error;
      panel.set(isConflict(error) ? withConflict(panel.get()) : withFailure(panel.get(), failureText(error)));
    }
  };

  return {
    connection,
    /** null until a daemon told. */
    status,
    panel,
    widget,
    /** Settles as the source's `follow` does. */
    ended,
    /** False: the key means nothing to the panel. */
    onKey(key: Key): boolean {
      const step = pressKey(panel.get(), key, needsReload(status.get()));
      panel.set(step.state);
      if (step.action === "reread") void grant(step.action);
      else if (step.action !== null) granting = grant(step.action);
      return step.used;
    },
    /** Resolves when what the daemon was asked to save is answered, with what kept it from being saved, or null. */
    async saved(): Promise<string | null> {
      if (!panel.get().saving || granting === null) return null;
      await granting;
      const { note, refused } = panel.get();
      if (note?.kind === "failed") return note.reason;
      const [refusal] = Object.values(refused);
      return refusal ?? (panel.get().fileChanged ? "the file was changed meanwhile" : null);
    },
    /** Says in the panel that there is something to save. */
    warnUnsaved: (): void => panel.set({ ...panel.get(), note: { kind: "unsaved" } }),
  };
}

function needsReload(status: SyncStatus | null): boolean {
  return status !== null && (status.watching === "stopped" || status.last_error !== null);
}

function isConflict({ code }: MountaineerError): boolean {
  return code === "config_changed";
}

function failureText(error: MountaineerError): string {
  const first = errorText(error).split("\n", 1)[0] ?? "";
  return error.code === "daemon_unreachable" ? `nothing saved: ${first}` : first;
}

/** Gives what asks for the file to be read again. */
function createFileReader(
  source: SyncSource,
  signal: AbortSignal,
  tell: (file: FileSeen) => void,
): () => void {
  return onceMore(async () => {
    // The daemon's own reports say what is wrong with the file, or that it is gone.
    const file = await source.config(signal).catch(expecting(isOwnError, null));
    if (file !== null) tell({ sha256: file.sha256, text: file.text });
  }, signal);
}

async function save(
  source: SyncSource,
  panel: Readable<PanelState>,
  signal: AbortSignal,
): Promise<PanelState> {
  const { draft, settings, file, seenSha256 } = panel.get();
  if (draft === null || settings === null) return panel.get();
  const before = file ?? (await source.config(signal));
  const edits = draftEdits(draft, settings);
  const expected = file?.sha256 ?? seenSha256 ?? before.sha256;
  const report = await source.edit({ edits, expected_sha256: expected, source: "tui" }, signal);
  if (report.errors.length > 0) return withMistakes(panel.get(), report.errors);
  const { sha256, text } = await source.config(signal);
  // Changed again already: what this edit did cannot be told apart any more.
  const lines = sha256 === report.sha256 ? changedLines(before.text, text) : [];
  const { reload } = report;
  const applied = reload === null ? null : (reload.failure ?? mistakesText(reload.errors));
  return withSaved(panel.get(), { sha256, text }, lines, applied);
}

async function reload(
  source: SyncSource,
  panel: Readable<PanelState>,
  signal: AbortSignal,
): Promise<PanelState> {
  const { tone, text } = reloadOutcome(await source.reload(signal));
  return tone === "good"
    ? withNote(panel.get(), { kind: "reloaded", summary: text })
    : withFailure(panel.get(), text);
}

function createSyncStatusWidget() {
  const rows = createStore<readonly EventRow[]>([]);
  return {
    /** One call for each event, oldest first; what is shown follows. */
    addSyncEvent: (event: RowEvent): void => rows.set(withEvent(rows.get(), event)),
    /** Oldest first, at most ROWS_KEPT. */
    rows,
  };
}

/** Tells one event of one daemon from all others. */
type EventMark = Pick<SyncEvent, "id" | "iso">;

/**
 * Those of a daemon's events that were not seen yet. `seen` is the newest event seen, of this daemon or of one before
 * it, whose numbers began anew.
 */
export function unseenEvents(events: readonly SyncEvent[], seen: EventMark | null): readonly SyncEvent[] {
  if (seen === null) return events;
  const isSameDaemon = events.some(({ id, iso }) => id === seen.id && iso === seen.iso);
  return isSameDaemon ? events.filter(({ id }) => id > seen.id) : events;
}
