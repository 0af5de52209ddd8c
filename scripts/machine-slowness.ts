// How much slower than a quiet machine this one is now.

/** Long enough that the scheduler shares a core fairly, short enough to be asked before each suite. */
const LOOP_CPU_MS = 250;
/** Beyond it, a longer wait would only hide a program that hangs. */
export const MOST_SLOWNESS = 8;

/**
 * The wall time of a fixed piece of work divided by its CPU time: 1 on a quiet machine, 3 where three programs want each
 * core. Deadlines that stand for work are multiplied by it.
 */
export function machineSlowness(): number {
  const startedAt = performance.now();
  const before = process.cpuUsage();
  let usedMs = 0;
  while (usedMs < LOOP_CPU_MS) {
    const used = process.cpuUsage(before);
    usedMs = (used.user + used.system) / 1000;
  }
  return Math.min(MOST_SLOWNESS, Math.max(1, (performance.now() - startedAt) / usedMs));
}
