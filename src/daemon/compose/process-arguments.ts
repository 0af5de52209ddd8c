// Tells from a process's arguments whether it is a monitor. Pure.

export interface MonitorProcess {
  readonly pid: number;
  /** The process that started it, if that still runs; null: not to be found out. */
  readonly parent: number | null;
  /** null: not to be found out. */
  readonly home: string | null;
}

/** `node …/dist/<build>/main.js [options] monitor`, from a checkout `…/src/cli/main.ts`. */
export function isMonitor(args: readonly string[]): boolean {
  const main = args.findIndex((arg) => /\/(?:dist\/[^/]+\/main\.js|src\/cli\/main\.ts)$/.test(arg));
  if (main === -1) return false;
  const own = args.slice(main + 1);
  const named = own.findIndex((arg, index) => !arg.startsWith("-") && own[index - 1] !== "--config");
  return named !== -1 && own[named] === "monitor";
}
