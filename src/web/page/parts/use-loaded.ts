// A report that a view requests when it opens, and again when its subject changes.
import { useEffect, useRef, useState } from "preact/hooks";
import { MountaineerError } from "../../../runtime/errors.ts";
import { useStore } from "../daemon/store.ts";
import type { App } from "./app.ts";

/**
 * Minimum pause after a repeated request, as a multiple of its duration, so that requests take at most a
 * quarter of the time.
 */
const REST_FACTOR = 3;

export interface Loaded<Report> {
  /** null before the first report. */
  readonly report: Report | null;
  /** Why the newest request failed; null: it succeeded, or the banner says that the daemon does not answer. */
  readonly problem: string | null;
  /** Requests the report now. Resolves with null if that fails; `problem` or the banner then says why. */
  readonly reload: () => Promise<Report | null>;
}

/** False: no gateway runs, which refuses each request for its clients, users and tools. */
export function useHasGateway(app: App): boolean {
  return useStore(app.store, ({ status }) => status?.gateway !== undefined);
}

/**
 * Loads a report at first, whenever `version` changes, and every `everyMs` while the tab is visible;
 * `everyMs` null: not periodically.
 */
export function useLoaded<Report>(
  load: (signal: AbortSignal) => Promise<Report>,
  version: unknown,
  everyMs: number | null = null,
): Loaded<Report> {
  const [report, setReport] = useState<Report | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  // An answer that arrives after the answer to a later request is ignored.
  const latest = useRef(0);
  const answered = useRef(0);
  const reload = async (signal: AbortSignal = new AbortController().signal): Promise<Report | null> => {
    latest.current += 1;
    const mine = latest.current;
    const isNewest = (): boolean => {
      if (mine < answered.current) return false;
      answered.current = mine;
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
      const isUnreachable = error.code === "aborted" || error.code === "daemon_unreachable";
      if (!isUnreachable && isNewest()) setProblem(error.message);
      return null;
    }
  };
  useEffect(() => {
    const end = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const next = async (): Promise<void> => {
      const startedMs = performance.now();
      if (everyMs === null || document.visibilityState === "visible") await reload(end.signal);
      if (everyMs === null || end.signal.aborted) return;
      const restMs = Math.max(everyMs, (performance.now() - startedMs) * REST_FACTOR);
      timer = setTimeout(() => void next(), restMs);
    };
    void next();
    return () => {
      end.abort();
      clearTimeout(timer);
    };
  }, [version]);
  return { report, problem, reload: () => reload() };
}
