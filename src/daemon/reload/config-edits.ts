// Edits of the configuration file that the daemon saves and applies itself, one after the other.
import type { EditReport, ReloadReport } from "../../api/contract.ts";
import type { SavedConfig } from "../../config/edit/save.ts";
import type { AcceptedContent } from "../../config/history/history.ts";
import type { ConfigPlace } from "../../config/locate.ts";
import type { ConfigMistake } from "../../config/mistakes.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { loadConfigApart, saveConfigApart } from "../../config/worker/load-apart.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { type Clock, isoTime } from "../../runtime/time/clock.ts";
import type { ConfigWatcher } from "../../sync/config-watcher.ts";
import type { WatchedFile } from "../../sync/watched-file.ts";
import { NO_CHANGES } from "./reload-report.ts";
import type { Reloader } from "./reloader.ts";
import type { UnkeptHistory } from "./unkept-history.ts";

interface ConfigEditsParts {
  readonly place: ConfigPlace;
  readonly snapshot: ConfigSnapshot;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly history: UnkeptHistory;
  readonly ending: AbortController;
  readonly file: WatchedFile;
  readonly reloader: Reloader;
  readonly watcher: ConfigWatcher;
  readonly reloadNow: () => Promise<ReloadReport>;
}

export function createConfigEdits({
  place,
  snapshot,
  clock,
  logger,
  history,
  ending,
  file,
  reloader,
  watcher,
  reloadNow,
}: ConfigEditsParts) {
  /** Edits that are in the file. */
  let saves = 0;
  let lastEdit: Promise<unknown> = Promise.resolve();
  let editsUnderWay = 0;

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
  const applySaved = async (saved: SavedConfig, source: string, signal: AbortSignal): Promise<EditReport> => {
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

  return {
    get saves() {
      return saves;
    },
    get editsUnderWay() {
      return editsUnderWay;
    },
    inTurn,
    known,
    applySaved,
    replace,
    get lastEdit() {
      return lastEdit;
    },
  };
}
