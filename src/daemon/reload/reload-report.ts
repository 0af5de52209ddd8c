// The report of a reload: what it touched, by name and as a summary.
import type { NameChanges, ReloadReport } from "../../api/contract/config.ts";
import { type ConfigDiff, isEmptyDiff, type NamedDiff } from "../../config/diff.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import type { ConfigMistake } from "../../config/values/mistakes.ts";
import { pluralize } from "../../runtime/text/plain-text.ts";
import { NO_CHANGES, type ReloadResult, type Running } from "../../sync/config-steps.ts";

type Touched = Pick<ReloadReport, "settings" | "shares" | "backends" | "middleware" | "summary">;

/**
 * Reports what a reload did, or with `dryRun` what it would do. `generation` and `sha256` belong to the running
 * configuration.
 */
export function reportOf(
  result: ReloadResult,
  { generation, sha256 }: Pick<Running<ConfigSnapshot>, "generation" | "sha256">,
  dryRun = false,
  waiting: readonly string[] = [],
): ReloadReport {
  const failure = failureOf(result);
  const report: ReloadReport = {
    reloaded: result.kind === "applied" && result.changed && !dryRun,
    dry_run: dryRun,
    generation,
    sha256,
    ...(result.kind === "applied" && result.diff !== null ? describeDiff(result.diff) : untouched()),
    ...(waiting.length === 0 ? {} : { waiting: [...waiting] }),
    errors: [],
    failure,
  };
  if (failure !== null) return { ...report, summary: failure };
  if (result.kind === "applied" && result.changed) return { ...report, summary: result.details };
  if (result.kind !== "rejected") return report;
  return { ...report, summary: result.reason, errors: [...result.mistakes] };
}

function failureOf(result: ReloadResult): string | null {
  if (result.kind === "missing") return "the file is not there; the running configuration stays";
  if (result.kind === "unreadable" || result.kind === "failed") return result.reason;
  // A rejection without errors needs its reason: otherwise the report would read like success.
  return result.kind === "rejected" && result.mistakes.length === 0 ? result.reason : null;
}

function untouched(): Touched {
  const none = (): NameChanges => ({ added: [], removed: [], changed: [] });
  return { settings: [], shares: none(), backends: none(), middleware: [], summary: NO_CHANGES };
}

export function describeDiff(diff: ConfigDiff): Touched {
  const settings = [
    ...diff.settings,
    // The order of backends is not a key of the file, but matters: in a collision of names, the first backend
    // keeps its name.
    ...(diff.backends.reordered ? ["backends"] : []),
    // An alias counts as a setting, because it does not mount or start anything.
    ...touchedNames(diff.aliases).map((name) => `aliases.${name}`),
  ];
  return {
    settings,
    shares: namesOf(diff.shares),
    backends: namesOf(diff.backends),
    middleware: [...diff.middleware],
    summary: summarize(diff),
  };
}

function namesOf({ added, removed, changed }: NamedDiff): NameChanges {
  return { added: [...added], removed: [...removed], changed: [...changed] };
}

function touchedNames({ added, removed, changed }: NamedDiff): string[] {
  return [...added, ...removed, ...changed];
}

/** "1 server, 2 shares reloaded", or "settings reloaded". */
function summarize(diff: ConfigDiff): string {
  if (isEmptyDiff(diff)) return NO_CHANGES;
  const counts = [diff.backends, diff.shares].map((named) => touchedNames(named).length);
  const touched = ["server", "share"].flatMap((noun, index) => {
    const count = counts[index] ?? 0;
    return count === 0 ? [] : [pluralize(count, noun)];
  });
  return `${touched.join(", ") || "settings"} reloaded`;
}

/** The first error with its place, and the number of further ones. */
export function mistakesText(mistakes: readonly ConfigMistake[]): string {
  const [first] = mistakes;
  if (first === undefined) return "the configuration is rejected";
  const { file, line, column, path, found, expected, hint } = first;
  const what = `${file}:${line}:${column}: ${path === "" ? "" : `${path}: `}found ${found}, expected ${expected}`;
  const more = mistakes.length > 1 ? ` (and ${mistakes.length - 1} more)` : "";
  return `${what}${hint === null ? "" : `; ${hint}`}${more}`;
}
