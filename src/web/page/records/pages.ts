// Records that come by pages: the first for a filter, and older ones behind it.
import { useEffect, useState } from "preact/hooks";
import { MountaineerError } from "../../../runtime/errors.ts";

interface PageOf<Item> {
  readonly items: readonly Item[];
  /** Where older ones are; null: there are none. */
  readonly next: string | null;
}

/** What a browser can show and search in. */
const MOST_ITEMS = 2000;

/**
 * Loads anew whenever `filter` says something else; `load` gives the page before `before`. `items` are null until the first
 * page has come; `next` is as the newest page gave it.
 */
export function usePages<Item>(
  filter: string,
  load: (before: string | null, signal: AbortSignal) => Promise<PageOf<Item>>,
) {
  const [items, setItems] = useState<readonly Item[] | null>(null);
  const [next, setNext] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const take = async (before: string | null, signal: AbortSignal, known: readonly Item[]): Promise<void> => {
    try {
      const page = await load(before, signal);
      setItems([...known, ...page.items].slice(0, MOST_ITEMS));
      setNext(page.next);
      setProblem(null);
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      if (error.code !== "aborted") setProblem(error.message);
    }
  };
  useEffect(() => {
    const end = new AbortController();
    void take(null, end.signal, []);
    return () => end.abort();
  }, [filter]);
  return {
    items,
    next,
    problem,
    hasMore: next !== null && (items?.length ?? 0) < MOST_ITEMS,
    more: () => take(next, new AbortController().signal, items ?? []),
  };
}
