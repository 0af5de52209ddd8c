// Parses the arguments of `monitor` without commander, which would take 13 MB of the daemon's memory.

const SHORTEST_INTERVAL_SECS = 0.05;
const LONGEST_INTERVAL_SECS = 86_400;

export const INTERVAL_RULE = `a number of seconds from ${SHORTEST_INTERVAL_SECS} to ${LONGEST_INTERVAL_SECS}`;

/** Converts a text with seconds, fractions allowed, to milliseconds; null for any other text. */
export function intervalMs(text: string): number | null {
  const seconds = /^(?:\d+|\d*\.\d+)$/.test(text) ? Number(text) : Number.NaN;
  return seconds >= SHORTEST_INTERVAL_SECS && seconds <= LONGEST_INTERVAL_SECS
    ? Math.round(seconds * 1000)
    : null;
}

export interface MonitorArguments {
  readonly config: string | null;
  readonly intervalMs: number | null;
  readonly unmountOnExit: boolean;
}

/**
 * The options of `monitor`; null for another command, or if the options have errors. program.ts then explains the
 * errors.
 */
export function readMonitorArguments(args: readonly string[]): MonitorArguments | null {
  let named = false;
  let config: string | null = null;
  let interval: number | null = null;
  let unmountOnExit = false;
  for (let index = 0; index < args.length; index++) {
    const argument = args[index];
    const valued = /^(--config|--interval)(?:=(.*))?$/s.exec(argument ?? "");
    if (argument === "monitor" && !named) named = true;
    else if (argument === "--unmount-on-exit" && named) unmountOnExit = true;
    else if (valued !== null) {
      const value = valued[2] ?? args[++index];
      if (value === undefined) return null;
      if (valued[1] === "--config") config = value;
      else if (!named) return null;
      else {
        interval = intervalMs(value);
        if (interval === null) return null;
      }
    } else return null;
  }
  return named ? { config, intervalMs: interval, unmountOnExit } : null;
}
