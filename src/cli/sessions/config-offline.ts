// Changes the configuration while no daemon runs; the caller holds the home's lock. Records the contents before and
// after in the history, as a daemon does.
import type { EditReport } from "../../api/contract/config.ts";
import { type CallOperation, callerOf } from "../../api/operations/operations.ts";
import { changesText, diffConfigs } from "../../config/diff.ts";
import { requestedEdit } from "../../config/edit/key-path.ts";
import { type KnownContent, type SavedConfig, saveContent, saveEdit } from "../../config/edit/save.ts";
import { openHistory, refuseOtherEntry } from "../../config/history/history.ts";
import { inodeAt } from "../../config/history/suspect-file.ts";
import type { HomeContext } from "../../config/home-context.ts";
import { parseConfig } from "../../config/read/load.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { errorText } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { isoTime, systemClock } from "../../runtime/time/clock.ts";
import { approveEdit } from "../in-process/open.ts";
import type { CommandContext } from "../input/command.ts";

/**
 * The operations that change the file. Each makes its whole change or none; errors in the result are part
 * of the report.
 */
export type EditOperation = "edit" | "editText" | "rollback";

export interface ConfigFile {
  readonly homeContext: HomeContext;
  /** The file's absolute path. */
  readonly path: string;
  /** The file's current content; null if the file is missing. Rejects with `config_unreadable`. */
  read(): Promise<Uint8Array | null>;
}

/**
 * Makes an editor of the file for this process, which holds the home's lock. The editor approves its own
 * edits, but not a rollback.
 */
export function createOwnEditor(
  { home, signal, notify }: CommandContext,
  { path, homeContext, read }: ConfigFile,
): CallOperation<EditOperation> {
  const history = openHistory(home, path);

  /** The newest known content of the file; null if the history is empty or unreadable. */
  const newest = async (): Promise<KnownContent | null> => {
    const [entry] = await history.list().catch(() => []);
    return entry === undefined ? null : { sha256: entry.sha256, runs: false };
  };

  const keep = async (
    snapshot: ConfigSnapshot,
    bytes: Uint8Array,
    source: string,
    summary: string,
  ): Promise<void> => {
    const { sha256, format } = snapshot;
    try {
      const time = isoTime(systemClock.wallMs());
      await history.record({ bytes, sha256, format, source, summary, time, inode: await inodeAt(path) });
    } catch (error) {
      notify(
        `this cannot be undone by \`config rollback\`: the history cannot be written: ${errorText(error)}`,
      );
    }
  };

  const tryToApprove = async ({ snapshot, before }: Extract<SavedConfig, { ok: true }>): Promise<void> => {
    if (before === null) return;
    try {
      const waiting = await approveEdit(home, before, snapshot, signal);
      if (waiting > 0) notify(`${waiting} of the file's entries wait for approval: mountaineer approve`);
    } catch (error) {
      notify(`the change may wait for \`mountaineer approve\`: ${errorText(error)}`);
    }
  };

  const save = async (
    source: string,
    make: () => Promise<SavedConfig>,
    approves: boolean,
  ): Promise<EditReport> => {
    const before = await read();
    const saved = await make();
    if (!saved.ok) {
      const errors = saved.mistakes.map((mistake) => ({ ...mistake }));
      return { changed: false, path, sha256: sha256Of(before), errors, reload: null };
    }
    const { changed, snapshot, bytes } = saved;
    if (changed) {
      const was = before === null ? null : await parseConfig(before, path, homeContext);
      // Records the former content even if it never ran, because a person may want it back.
      const isEmpty = before === null || before.length === 0;
      if (!isEmpty && was?.ok === true) await keep(was.snapshot, before, "file", "found in the file");
      await keep(
        snapshot,
        bytes,
        source,
        was?.ok === true
          ? changesText(diffConfigs(was.snapshot.config, snapshot.config)) || "no changes"
          : "a new configuration",
      );
      if (approves) await tryToApprove(saved);
    }
    return { changed, path, sha256: snapshot.sha256, errors: [], reload: null };
  };

  const replace = async (bytes: Uint8Array, baseSha256: string | null): Promise<SavedConfig> =>
    saveContent({ path, homeContext, baseSha256, known: await newest(), bytes });

  return callerOf<EditOperation>({
    edit({ edits, expected_sha256: baseSha256 = null, source }) {
      const put = async () =>
        saveEdit({ path, homeContext, baseSha256, known: await newest(), edits: edits.map(requestedEdit) });
      return save(source, put, true);
    },
    editText: ({ text, expected_sha256, source }) =>
      save(source, () => replace(new TextEncoder().encode(text), expected_sha256), true),
    async rollback({ n = 1, sha256 = null, expected_sha256: baseSha256 = null }) {
      const entry = await history.entry(n);
      refuseOtherEntry(entry, sha256, path);
      return save(`rollback ${n}`, () => replace(entry.bytes, baseSha256), false);
    },
  });
}
