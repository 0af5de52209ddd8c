// The configuration's history, including entries that could not be written, for example because the disk was
// full. Those are kept in memory, and each request first tries to write them again.

import {
  type AcceptedContent,
  type ConfigHistory,
  type HistoryEntry,
  RETAINED_ENTRIES,
} from "../../config/history/history.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { type Clock, isoTime } from "../../runtime/time/clock.ts";
import { oneByOne } from "../../runtime/time/one-by-one.ts";

export type BufferedHistory = ReturnType<typeof createBufferedHistory>;

export function createBufferedHistory(
  history: ConfigHistory,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
) {
  /** The contents that are not on disk, oldest first. */
  let unsaved: AcceptedContent[] = [];
  let unsavedBecause: string | null = null;
  const inTurn = oneByOne();

  const flush = async (): Promise<void> => {
    try {
      for (let next = unsaved[0]; next !== undefined; next = unsaved[0]) {
        await history.record(next);
        unsaved = unsaved.filter((content) => content !== next);
      }
      unsavedBecause = null;
    } catch (error) {
      unsavedBecause = errorText(error);
    }
  };

  /** The contents that are still not on disk after another try, newest first. */
  const stillUnsaved = async (): Promise<readonly AcceptedContent[]> => {
    await flush();
    return unsaved.toReversed();
  };

  const entryOf = ({ bytes: _, inode: _inode, ...entry }: AcceptedContent, n: number): HistoryEntry => ({
    ...entry,
    n,
  });

  return {
    /** Why the newest contents could not be written to disk at the last try; null if they are on disk. */
    get unsavedBecause(): string | null {
      return unsavedBecause;
    },
    /**
     * Resolves when the content is on disk, or when it is kept in memory and the failure is logged. Never
     * rejects.
     */
    record: (content: Omit<AcceptedContent, "time">): Promise<void> =>
      inTurn(async () => {
        const accepted = { ...content, time: isoTime(clock.wallMs()) };
        if (unsaved.at(-1)?.sha256 !== content.sha256)
          unsaved = [...unsaved, accepted].slice(-RETAINED_ENTRIES);
        await flush();
        if (unsavedBecause === null) return;
        const { source } = content;
        logger.warn("an accepted configuration could not be saved", { source, reason: unsavedBecause });
      }),
    list: (): Promise<HistoryEntry[]> =>
      inTurn(async () => {
        const unkept = await stillUnsaved();
        const stored = await history.list();
        const later = stored.map((entry) => ({ ...entry, n: entry.n + unkept.length }));
        return [...unkept.map(entryOf), ...later].slice(0, RETAINED_ENTRIES);
      }),
    entry: (n: number): ReturnType<ConfigHistory["entry"]> =>
      inTurn(async () => {
        const unkept = await stillUnsaved();
        const content = unkept[n];
        if (content !== undefined) return { ...content, n };
        return { ...(await history.entry(n - unkept.length)), n };
      }),
  };
}
