// What is said of a reload: what it touched, in names and in a few words.
import type { NameChanges, ReloadReport } from "../../api/contract.ts";
import { type ConfigDiff, isEmptyDiff, type NamedDiff } from "../../config/diff.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import type { ConfigMistake } from "../../config/values/mistakes.ts";
import { NO_CHANGES, type ReloadResult, type Running } from "../../sync/config-steps.ts";

type Told = Pick<ReloadReport, "settings" | "shares" | "backends" | "middleware" | "summary">;

/** What became of a reload, or would become of it (`dryRun`), while this runs. */
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
  if (result.kind === "missing") return "the file is not there; what runs goes on";
  if (result.kind === "unreadable" || result.kind === "failed") return result.reason;
  // Without a mistake to show, it would read like success.
  return result.kind === "rejected" && result.mistakes.length === 0 ? result.reason : null;
}

function untouched(): Told {
  const none = (): NameChanges => ({ added: [], removed: [], changed: [] });
  return { settings: [], shares: none(), backends: none(), middleware: [], summary: NO_CHANGES };
}

export function describeDiff(diff: ConfigDiff): Told {
  const settings = [
    ...diff.settings,
    // Their order is no key, but who comes first wins.
    ...(diff.backends.reordered ? ["backends"] : []),
    // An alias is a setting of the share that it leads to: nothing is mounted or started for it.
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

/** Details count what was touched: "1 backend, 2 shares reloaded", else "settings reloaded". */
function summarize(diff: ConfigDiff): string {
  if (isEmptyDiff(diff)) return NO_CHANGES;
  const counts = [counted(diff.backends, "backend"), counted(diff.shares, "share")];
  const touched = counts.filter((count) => count !== null);
  return `${touched.length === 0 ? "settings" : touched.join(", ")} reloaded`;
}

function counted({ added, removed, changed }: NamedDiff, noun: string): string | null {
  const touched = added.length + removed.length + changed.length;
  if (touched === 0) return null;
  return `${touched} ${touched === 1 ? noun : `${noun}s`}`;
}

/** The first mistake with its place, and how many more there are. */
export function mistakesText(mistakes: readonly ConfigMistake[]): string {
  const [first] = mistakes;
  if (first === undefined) return "the configuration is rejected";
  const { file, line, column, path, found, expected, hint } = first;
  const what = `${file}:${line}:${column}: ${path === "" ? "" : `${path}: `}found ${found}, expected ${expected}`;
  const more = mistakes.length > 1 ? ` (and ${mistakes.length - 1} more)` : "";
  return `${what}${hint === null ? "" : `; ${hint}`}${more}`;
}
