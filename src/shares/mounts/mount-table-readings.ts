// Readings that concurrent callers share, and the recognition of mounts: a mount keeps its id as long as it lasts.
import { createSingleFlight } from "../../network/probe/single-flight.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { MountEntry } from "./mount-entry.ts";

/**
 * All callers share the newest reading, unless it failed or is too old for the caller. `readOnce` may run several
 * times at once.
 */
export function shareReadings<Value>(
  clock: Clock,
  readOnce: () => Promise<Value>,
): { read(notBeforeMs: number): Promise<Value> } {
  const readings = createSingleFlight<Value>(clock);
  return {
    read: (notBeforeMs) =>
      readings.run("", notBeforeMs, (goesOut) => {
        goesOut();
        return readOnce();
      }),
  };
}

interface MountRecognition<Line> {
  /** The parts that do not change as long as the mount lasts. */
  readonly keyOf: (line: Line) => readonly (string | number)[];
  /**
   * Makes the entry of a mount that is seen for the first time. The pair of `generation` and `index` is
   * unique, so an id can be made of it.
   */
  readonly entryOf: (line: Line, generation: number, index: number) => MountEntry;
}

/**
 * Returns a function that turns the lines of each reading into entries. A line is a new mount if the previous
 * reading had no line with the same `keyOf`, because systems reuse ids of mounts.
 */
export function createMountRecognition<Line extends { readonly path: string }>({
  keyOf,
  entryOf,
}: MountRecognition<Line>): (lines: readonly Line[]) => readonly MountEntry[] {
  let known = new Map<string, MountEntry>();
  let generation = 0;
  return (lines) => {
    generation++;
    const next = new Map<string, MountEntry>();
    for (const line of topMost(lines)) {
      const key = keyOf(line).join("\0");
      next.set(key, known.get(key) ?? entryOf(line, generation, next.size));
    }
    known = next;
    return [...next.values()];
  };
}

/** Of several mounts on one path only the last is visible. */
function topMost<Line extends { readonly path: string }>(lines: readonly Line[]): readonly Line[] {
  const byPath = new Map<string, Line>();
  for (const line of lines) {
    byPath.delete(line.path);
    byPath.set(line.path, line);
  }
  return [...byPath.values()];
}
