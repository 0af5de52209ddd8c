// A history that keeps what could not be written (a full disk, for example) and tries again, so that no entry is
// missing.
import {
  type AcceptedContent,
  type ConfigHistory,
  type HistoryEntry,
  KEPT_ENTRIES,
} from "../../config/history/history.ts";
import { errorText } from "../../runtime/errors.ts";

export interface UnkeptHistory extends Pick<ConfigHistory, "list" | "entry"> {
  /** Keeps a content, after those that could not be kept before; it is an entry here also when it rejects. */
  record(content: AcceptedContent): Promise<void>;
  /** Why the newest contents are not on disk, as of the last try; null: they are. */
  readonly unsavedBecause: string | null;
}

/** Before each answer it tries again. */
export function createUnkeptHistory(history: ConfigHistory): UnkeptHistory {
  let held: AcceptedContent[] = [];
  let unsavedBecause: string | null = null;
  let last: Promise<unknown> = Promise.resolve();

  const flush = async (): Promise<void> => {
    try {
      for (let next = held[0]; next !== undefined; next = held[0]) {
        await history.record(next);
        held = held.filter((content) => content !== next);
      }
      unsavedBecause = null;
    } catch (error) {
      unsavedBecause = errorText(error);
      throw error;
    }
  };

  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(work);
    last = mine.catch(() => {});
    return mine;
  };

  /** The newest first; what is held comes before what is on disk. */
  const heldNow = async (): Promise<readonly AcceptedContent[]> => {
    await flush().catch(() => {});
    return held.toReversed();
  };

  const entryOf = (content: AcceptedContent, n: number): HistoryEntry => {
    const { time, sha256, format, source, summary } = content;
    return { n, time, sha256, format, source, summary };
  };

  return {
    get unsavedBecause() {
      return unsavedBecause;
    },
    record: (content) =>
      inTurn(async () => {
        if (held.at(-1)?.sha256 !== content.sha256) held = [...held, content].slice(-KEPT_ENTRIES);
        await flush();
      }),
    list: () =>
      inTurn(async () => {
        const unkept = await heldNow();
        const kept = await history.list();
        return [
          ...unkept.map(entryOf),
          ...kept.map((entry) => ({ ...entry, n: entry.n + unkept.length })),
        ].slice(0, KEPT_ENTRIES);
      }),
    entry: (n) =>
      inTurn(async () => {
        const unkept = await heldNow();
        const content = unkept[n];
        if (content !== undefined) return { ...entryOf(content, n), bytes: content.bytes };
        return { ...(await history.entry(n - unkept.length)), n };
      }),
  };
}
