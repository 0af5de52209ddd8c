// The conditions that do not belong to a single share.
import type { Condition, GlobalStatus } from "../../api/contract/contract.ts";
import { CUT_SHORT_HINT } from "../../config/history/suspect-file.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import type { StateStore } from "../../reconcile/state-store.ts";
import { pluralize, shellCommand } from "../../runtime/text/plain-text.ts";
import { type Clock, isoTime } from "../../runtime/time/clock.ts";
import type { MissingRequirement } from "../../shares/drivers/mount-driver.ts";
import type { FormerUnsent } from "../../shares/drivers/rclone/caches.ts";
import type { UnconfiguredShare } from "../../shares/engine/unconfigured-shares.ts";
import type { SyncState } from "../../sync/sync-settings.ts";

export interface ConditionSources {
  readonly clock: Clock;
  readonly memory: Pick<StateStore, "saveError">;
  readonly networkEvents: () => GlobalStatus["network_events"];
  readonly running: () => ConfigSnapshot;
  readonly sync: () => SyncState;
  /** The reason if the running configuration is missing in the history; null otherwise. */
  readonly historyUnsavedBecause: () => string | null;
  /** What the rclone that mounts costs and the engine does not; null: nothing. */
  readonly rcloneAdvice: () => MissingRequirement | null;
  /** Unsent files of shares that are no longer configured. */
  readonly formerUnsent: () => readonly FormerUnsent[];
  /** The remaining mounts of these shares. */
  readonly left: () => readonly UnconfiguredShare[];
  /** Copies of the running program that are not what the daemon started with. */
  readonly changedCopies: () => readonly string[];
}

/** If a source does not tell when its condition began, the condition counts from the time when it was first listed. */
export function createGlobalConditions(sources: ConditionSources): () => Condition[] {
  let since = new Map<string, string>();
  return () => {
    const now = isoTime(sources.clock.wallMs());
    const conditions = standing(sources).map((condition) => ({
      ...condition,
      since: condition.since ?? since.get(condition.code) ?? now,
    }));
    since = new Map(conditions.map((condition) => [condition.code, condition.since]));
    return conditions;
  };
}

type Standing = Omit<Condition, "since" | "holders"> & { readonly since?: string };

/** Settings in the file that are allowed, but probably an error. */
export function configWarningConditions({ warnings }: ConfigSnapshot, since: string): Condition[] {
  return warnings.map(({ path, text, hint }) => ({
    code: `config:${path}`,
    severity: "warning",
    title: `${path}: ${text}`,
    hint,
    since,
  }));
}

/** Mounts of shares that are no longer configured. */
export function unconfiguredConditions(left: readonly UnconfiguredShare[]): Standing[] {
  return left.map(({ spec: { name, mountPath } }) => ({
    code: `left_mounted:${name}`,
    severity: "info",
    title: `${name} is no longer configured; still mounted at ${mountPath}`,
    hint: shellCommand`mountaineer unmount --share ${name}`,
  }));
}

/** What the rclone that mounts the shares costs. */
export function rcloneConditions({ config }: ConfigSnapshot, costs: MissingRequirement | null): Standing[] {
  if (costs === null || !config.shares.some(({ driver }) => driver === "rclone")) return [];
  return [{ code: "stock_rclone", severity: "info", title: costs.text, hint: costs.hint }];
}

function standing(sources: ConditionSources): Standing[] {
  const { memory, networkEvents, running, sync, historyUnsavedBecause, rcloneAdvice, formerUnsent } = sources;
  const conditions: Standing[] = [];
  const warn = (code: string, title: string, hint: string | null): void => {
    conditions.push({ code, severity: "warning", title, hint });
  };
  if (memory.saveError !== null) {
    warn(
      "state_not_saved",
      `state.json cannot be written: ${memory.saveError.message}`,
      "Mounts keep working; Mountaineer writes the file as soon as it can.",
    );
  }
  const unsavedBecause = historyUnsavedBecause();
  if (unsavedBecause !== null) {
    warn(
      "history_not_saved",
      `The running configuration cannot be written to its history: ${unsavedBecause}`,
      "Mountaineer keeps it in memory; `mountaineer config history` tries to write it again.",
    );
  }
  const former = formerUnsent();
  if (former.length > 0) {
    const each = former.map(
      ({ share, waiting: { files, source } }) =>
        `${pluralize(files.length, "file")} of ${share} for ${source ?? "its server"}`,
    );
    warn(
      "unsent_unconfigured",
      `Files of shares that are no longer configured wait here to be sent: ${each.join("; ")}`,
      "Configure the share again under its old `name` and `share_name` to send them; `mountaineer unsent` shows where they are.",
    );
  }
  conditions.push(...unconfiguredConditions(sources.left()));
  const [changed, ...others] = sources.changedCopies();
  if (changed !== undefined) {
    const more = others.length === 0 ? "" : ` (and ${pluralize(others.length, "more file")})`;
    warn(
      "program_changed",
      `${changed}${more} is not the file that this daemon started with, so it is not run`,
      "A program that can write the home has changed it. Find out which, and then: mountaineer restart",
    );
  }
  const { lastError, watching, detector, fileMissing } = sync();
  if (lastError !== null) {
    conditions.push({
      code: `config_${lastError.kind}`,
      severity: "error",
      title: `The configuration file is not in use: ${lastError.reason}`,
      hint:
        lastError.kind === "cut_short"
          ? CUT_SHORT_HINT
          : `The last accepted configuration keeps running. ${watching === "live" ? "Correct the file, and it applies." : "Correct the file, then: mountaineer reload"}`,
      since: lastError.since,
    });
  }
  if (watching === "stopped") {
    warn(
      "sync_stopped",
      "The configuration file is no longer watched, because a reload failed",
      "Correct the file, then: mountaineer reload",
    );
  }
  if (detector.degraded !== null) {
    warn("sync_degraded", `The configuration file is polled: ${detector.degraded}`, null);
  }
  if (fileMissing) {
    warn(
      "config_missing",
      `${running().path} is not there; the configuration that was loaded from it keeps running`,
      "mountaineer config rollback 0",
    );
  }
  // Only shares need network events.
  if (networkEvents() === "polling" && running().config.shares.length > 0) {
    warn(
      "network_polling",
      "Network changes are detected by polling every 2 s",
      "The system's own events are not available; see the log.",
    );
  }
  conditions.push(...rcloneConditions(running(), rcloneAdvice()));
  for (const { since: _, ...condition } of configWarningConditions(running(), "")) conditions.push(condition);
  return conditions;
}
