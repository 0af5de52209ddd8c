// Records that come in pages, newest first: the last ones, then new ones. The log's file, the log of another machine's
// daemon, and the audit.
import { recoverFrom } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";

/** Limit of records in one request. */
const PAGE = 1_000;
/** Limit of records in a request for new ones, which are usually few. */
const NEWEST = 100;
/** Limit of pages after one outage: older pages are skipped. */
const MOST_PAGES = 50;
/** Usual time between two requests, ms; no event announces new records. */
const AGAIN_MS = 1_000;

interface Page<One, Position> {
  /** Newest first. */
  readonly records: readonly One[];
  /** The position of the next older page; null: there is none. */
  readonly next: Position | null;
}

export interface PageRequest<Position> {
  readonly limit: number;
  readonly before?: Position;
}

interface PagedLogOptions<One, Position> {
  /** How many of the last matching records are wanted. */
  readonly count: number;
  readonly matches: (record: One) => boolean;
  /** True for a record that is older than wanted: no older page is read. */
  readonly isTooOld?: (record: One) => boolean;
  readonly read: (request: PageRequest<Position>) => Promise<Page<One, Position>>;
  readonly clock: Clock;
  /** Time between two requests, ms. */
  readonly againMs?: number;
}

/** Reads the last records, oldest first. Rejects as `read` does. */
export async function openPagedLog<One, Position>({
  count,
  matches,
  isTooOld = () => false,
  read,
  clock,
  againMs = AGAIN_MS,
}: PagedLogOptions<One, Position>) {
  const newest = await read({ limit: Math.max(1, Math.min(PAGE, count)) });
  const last: One[] = [];
  for (let page = newest; ; ) {
    last.push(...page.records.filter((record) => matches(record) && !isTooOld(record)));
    if (last.length >= count || page.next === null || page.records.some(isTooOld)) break;
    page = await read({ limit: PAGE, before: page.next });
  }
  let newestId = newestOf(newest.records);
  /** Newest first. Every record, up to MOST_PAGES, if the daemon no longer has the `known` record. */
  const recordsSince = async (known: string | null): Promise<readonly One[]> => {
    const since: One[] = [];
    let page = await read({ limit: NEWEST });
    for (let pages = 1; ; pages += 1) {
      const found = page.records.findIndex((record) => JSON.stringify(record) === known);
      since.push(...(found === -1 ? page.records : page.records.slice(0, found)));
      if (found !== -1 || known === null || page.next === null || pages === MOST_PAGES) return since;
      page = await read({ limit: PAGE, before: page.next });
    }
  };
  return {
    last: last.slice(0, count).reverse(),
    /**
     * Yields every later matching record, also over restarts of the daemon. Ends when the signal aborts; rejects as
     * `read` does.
     */
    async *follow(signal: AbortSignal): AsyncGenerator<One, void, undefined> {
      for (;;) {
        await clock.sleep(againMs, signal).catch(() => {});
        if (signal.aborted) return;
        const since = await recordsSince(newestId).catch(recoverFrom("daemon_unreachable", null));
        if (since === null) continue;
        newestId = newestOf(since) ?? newestId;
        yield* since.filter(matches).reverse();
      }
    },
  };
}

/** The newest record as text, to be found again in a later page; null: none. */
function newestOf<One>(records: readonly One[]): string | null {
  return records.length === 0 ? null : JSON.stringify(records[0]);
}
