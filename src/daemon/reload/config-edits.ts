// Edits of the configuration file that the daemon saves and applies itself, one after the other.

import type { EditReport } from "../../api/contract/config.ts";
import type { Control } from "../../api/operations/operations.ts";
import { refusedEntries } from "../../config/approval/edited-entries.ts";
import type { SavedConfig } from "../../config/edit/save.ts";
import { refuseOtherEntry } from "../../config/history/history.ts";
import type { HomeContext } from "../../config/home-context.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { loadConfigInChild, saveConfigInChild } from "../../config/worker/load-in-child.ts";
import type { StartReader } from "../../config/worker/reader-process.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { writeDurably } from "../../runtime/files/durable-file.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { NO_CHANGES } from "../../sync/config-steps.ts";
import type { ConfigTurn } from "../../sync/config-store.ts";
import type { ConfigWatcher } from "../../sync/config-watcher.ts";
import type { WatchedFile } from "../../sync/watched-file.ts";
import type { AcceptedFile } from "./accepted-file.ts";
import type { BufferedHistory } from "./buffered-history.ts";
import { reportOf } from "./reload-report.ts";

interface ConfigEditsParts {
  readonly homeContext: HomeContext;
  readonly file: WatchedFile;
  readonly history: BufferedHistory;
  readonly clock: Clock;
  readonly startReader: StartReader;
  readonly watcher: ConfigWatcher<ConfigSnapshot>;
  readonly accepted: AcceptedFile;
}

type Turn = ConfigTurn<ConfigSnapshot>;

interface Editor {
  /** True if the editor may approve entries; otherwise an edit approves only what it removes or disables. */
  readonly runsCommands: boolean;
  /** False for a rollback: it restores text, and approves nothing. */
  readonly approves: boolean;
}

export function createConfigEdits(parts: ConfigEditsParts) {
  const { homeContext, file, watcher, history, clock, accepted, startReader } = parts;
  const { path } = file;

  const inTurn = inSequence(watcher);
  const known = () => ({ sha256: watcher.running.sha256, runs: true });

  const applySaved = async (
    saved: SavedConfig,
    source: string,
    turn: Turn,
    { approves, runsCommands }: Editor,
  ): Promise<EditReport> => {
    if (!saved.ok) {
      const errors = [...saved.mistakes];
      return { changed: false, path, sha256: watcher.running.sha256, errors, reload: null };
    }
    const { changed, bytes, snapshot, inode } = saved;
    const { sha256 } = snapshot;
    if (approves) grantEdited(accepted, saved, watcher.running.snapshot.config, runsCommands);
    const result = await turn.applySaved({ bytes, sha256, inode, snapshot, source });
    const reload = reportOf(result, watcher.running, false, accepted.waiting);
    return { changed, path, sha256, errors: [], reload };
  };

  /**
   * Records the file's content if it was not applied yet, because replacing the file would lose it. A file with errors, or
   * half of one, is kept next to it: as the newest entry it would run at the next start if the edit broke off.
   */
  const keepUnapplied = async (bytes: Uint8Array, signal: AbortSignal): Promise<void> => {
    const content = Buffer.from(bytes).toString("base64");
    const request = { path, homeContext, content, writeStarter: false, inode: null };
    const { loaded, held: suspect } = await loadConfigInChild(request, { clock, signal, startReader });
    if (!loaded.ok || suspect !== null) return writeDurably(`${path}.set-aside`, bytes, { mode: 0o600 });
    const { sha256, format } = loaded.snapshot;
    await history.record({ bytes, sha256, format, source: "file", summary: "found in the file" });
  };

  const replace = async (
    bytes: Uint8Array,
    expectedSha256: string | null,
    source: string,
    turn: Turn,
    editor: Editor,
  ): Promise<EditReport> => {
    const { signal } = turn;
    const keepsEntries = !editor.runsCommands;
    const before = (await file.read(signal))?.bytes ?? null;
    const beforeSha256 = sha256Of(before);
    const save = async (): Promise<EditReport> => {
      const content = Buffer.from(bytes).toString("base64");
      const baseSha256 = expectedSha256 ?? beforeSha256;
      const base = { baseSha256, known: known(), keepsEntries };
      const request = { kind: "replace", path, homeContext, content, ...base } as const;
      const saved = await saveConfigInChild(request, { clock, signal, startReader });
      return applySaved(saved, source, turn, editor);
    };
    const isCurrent = expectedSha256 === null || expectedSha256 === beforeSha256;
    // An empty file need not be kept in the history.
    const isEmpty = before === null || before.length === 0;
    if (isEmpty || beforeSha256 === watcher.running.sha256 || !isCurrent) return save();
    const newest = await history.entry(0).catch(() => null);
    await keepUnapplied(before, signal);
    try {
      return await save();
    } finally {
      // The running content must be the newest entry of the history, so it is added again if `keepUnapplied` has
      // added another entry. This also holds after a failed edit, and after a rollback to the running content.
      if (newest !== null && newest.sha256 === watcher.running.sha256) {
        await history.record({ ...newest, source, summary: NO_CHANGES });
      }
    }
  };

  return {
    edit({ edits, expected_sha256, source }, asker, { runsCommands }) {
      const baseSha256 = expected_sha256 ?? null;
      const keepsEntries = !runsCommands;
      return inTurn(asker, async (turn) => {
        const base = { baseSha256, known: known(), keepsEntries };
        const request = { kind: "edit", path, homeContext, edits, ...base } as const;
        const saved = await saveConfigInChild(request, { clock, signal: turn.signal, startReader });
        return applySaved(saved, source, turn, { runsCommands, approves: true });
      });
    },
    editText: ({ text, expected_sha256, source }, asker, { runsCommands }) =>
      inTurn(asker, (turn) =>
        replace(Buffer.from(text), expected_sha256, source, turn, { runsCommands, approves: true }),
      ),
    rollback: ({ n = 1, sha256 = null, expected_sha256 = null }, asker, { runsCommands }) =>
      inTurn(asker, async (turn) => {
        const entry = await history.entry(n);
        refuseOtherEntry(entry, sha256, path);
        const editor = { runsCommands, approves: false };
        return replace(entry.bytes, expected_sha256, `rollback ${n}`, turn, editor);
      }),
  } satisfies Partial<Control>;
}

/**
 * Returns a function that runs one edit after the other. Once begun, an edit is finished even if its caller
 * aborts: between write and commit, an abort would leave a file on disk that does not run.
 */
function inSequence(watcher: ConfigWatcher<ConfigSnapshot>) {
  return (asker: AbortSignal, edit: (turn: Turn) => Promise<EditReport>): Promise<EditReport> => {
    let begun = false;
    const mine = watcher.inTurn(async (turn) => {
      if (asker.aborted) throw new MountaineerError("aborted", "cancelled; nothing was written");
      begun = true;
      return edit(turn);
    });
    const why = (): string =>
      begun
        ? "cancelled while the change was being saved; the change still takes effect"
        : "cancelled; nothing was written";
    return unlessAborted(mine, asker, () => new MountaineerError("aborted", why()));
  };
}

/** Approves the entries that an edit over the API changes. */
function grantEdited(
  { approvalStore, grant }: AcceptedFile,
  { before, snapshot }: Extract<SavedConfig, { ok: true }>,
  running: ConfigSnapshot["config"],
  runsCommands: boolean,
): void {
  if (before === null) return;
  const after = snapshot.config;
  const edited = approvalStore.edited(before, after, running);
  // Only an editor who may approve entries may replace lost approvals.
  if (!runsCommands && approvalStore.lostBecause !== null) return;
  const granted = runsCommands ? edited : refusedEntries(edited, { before, after });
  if (granted.ids.size > 0) grant(snapshot.sha256, granted);
}
