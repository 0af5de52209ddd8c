// What a view asks the daemon for when it is opened, and again when something about it has changed.
import { useEffect, useRef, useState } from "preact/hooks";
import { MountaineerError } from "../../../runtime/errors.ts";

export interface Loaded<Report> {
  /** The newest that came; null: none yet. */
  readonly report: Report | null;
  /** Why the newest try failed; null: it did not. */
  readonly problem: string | null;
  readonly setProblem: (text: string | null) => void;
  /** Loads again, now. Null: it failed, which `problem` tells. */
  readonly look: () => Promise<Report | null>;
}

/** Loads at first, whenever `version` is another, and each `everyMs` where that is given and the tab is seen. */
export function useLoaded<Report>(
  load: (signal: AbortSignal) => Promise<Report>,
  version: unknown,
  everyMs: number | null = null,
): Loaded<Report> {
  const [report, setReport] = useState<Report | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  // An answer that comes after a newer one says what was.
  const asked = useRef(0);
  const shown = useRef(0);
  const look = async (signal: AbortSignal = new AbortController().signal): Promise<Report | null> => {
    asked.current += 1;
    const mine = asked.current;
    const isNewest = (): boolean => {
      if (mine < shown.current) return false;
      shown.current = mine;
      return true;
    };
    try {
      const found = await load(signal);
      if (isNewest()) {
        setReport(found);
        setProblem(null);
      }
      return found;
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      if (error.code !== "aborted" && isNewest()) setProblem(error.message);
      return null;
    }
  };
  useEffect(() => {
    const end = new AbortController();
    void look(end.signal);
    const again = (): void => {
      if (document.visibilityState === "visible") void look(end.signal);
    };
    const timer = everyMs === null ? undefined : setInterval(again, everyMs);
    return () => {
      end.abort();
      clearInterval(timer);
    };
  }, [version]);
  return { report, problem, setProblem, look: () => look() };
}
