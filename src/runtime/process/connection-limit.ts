// How many connections a listener may have open. A process has few descriptors on some systems (256), and needs most of them for
// commands, servers and files: all listeners together may use half.
import { existsSync, readFileSync } from "node:fs";

/** Linux has it. */
const LIMITS = "/proc/self/limits";

let descriptors: number | null = null;

/** At most `most`, and at most this share of the descriptors that the process may have. The shares add up to a half. */
export function connectionLimit(most: number, share: number): number {
  descriptors ??= descriptorLimit();
  return Math.max(1, Math.min(most, Math.floor(descriptors * share)));
}

/** Infinite: the system has no limit. */
function descriptorLimit(): number {
  const soft = Number(softLimit());
  return Number.isNaN(soft) ? Number.POSITIVE_INFINITY : soft;
}

function softLimit(): number | string | undefined {
  // Takes a tenth of the time of a report.
  if (existsSync(LIMITS)) return /^Max open files +(\d+)/m.exec(readFileSync(LIMITS, "utf8"))?.[1];
  // Else it looks up the names of connected hosts. Node's types lack it.
  Object.assign(process.report, { excludeNetwork: true });
  const { userLimits } = process.report.getReport() as { readonly userLimits?: UserLimits };
  return userLimits?.open_files?.soft;
}

interface UserLimits {
  readonly open_files?: { readonly soft?: number | "unlimited" };
}
