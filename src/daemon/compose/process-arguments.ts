// Recognizes a monitor by its arguments. Pure.

export interface MonitorProcess {
  readonly pid: number;
  /** The parent's process id; null if unknown. */
  readonly parent: number | null;
  /** Absolute path of the process's home; null if unknown. */
  readonly home: string | null;
}

/**
 * True for the arguments of a monitor: `node …/dist/<build>/main.js [options] monitor`; from a checkout,
 * `…/src/cli/main.ts`.
 */
export function isMonitor(args: readonly string[]): boolean {
  const main = args.findIndex((arg) => /\/(?:dist\/[^/]+\/main\.js|src\/cli\/main\.ts)$/.test(arg));
  if (main === -1) return false;
  const own = args.slice(main + 1);
  const named = own.findIndex((arg, index) => !arg.startsWith("-") && own[index - 1] !== "--config");
  return named !== -1 && own[named] === "monitor";
}
