// The conditions that do not belong to a single share.
import type { GlobalStatus } from "../../api/contract/contract.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import type { StateStore } from "../../reconcile/state-store.ts";
import type { UnconfiguredShare } from "../../shares/engine/unconfigured-shares.ts";
import type { SyncState } from "../../sync/sync-settings.ts";
import { DAEMON_CONDITIONS, type DaemonCondition } from "../conditions/condition-rows.ts";

export interface ConditionSources {
  readonly memory: Pick<StateStore, "saveError">;
  readonly networkEvents: () => GlobalStatus["network_events"];
  readonly running: () => ConfigSnapshot;
  readonly sync: () => SyncState;
  /** The reason if the running configuration is missing in the history; null otherwise. */
  readonly historyUnsavedBecause: () => string | null;
  /** The remaining mounts of these shares. */
  readonly left: () => readonly UnconfiguredShare[];
  /** Copies of the running program that are not what the daemon started with. */
  readonly changedCopies: () => readonly string[];
  /** Why the running program has no copy in the home; null if it has one. */
  readonly uncopiedBecause: () => string | null;
  /** Why secrets in files cannot be read; their last values serve. */
  readonly unreadSecretFiles: () => readonly string[];
  /** Where the home was copied from by hand, if this start is the first one since; null otherwise. */
  readonly copiedFrom: string | null;
  /** Other configuration files in the home. */
  readonly secondConfigs: () => readonly string[];
}

/** Settings in the file that are allowed, but probably an error. */
export function configWarningConditions({ warnings }: ConfigSnapshot): DaemonCondition[] {
  return warnings.map(({ path, text, hint }) => DAEMON_CONDITIONS.config(path, text, hint));
}

/** Mounts of shares that are no longer configured. */
export function unconfiguredConditions(left: readonly UnconfiguredShare[]): DaemonCondition[] {
  return left.map(({ spec: { name, mountPath } }) => DAEMON_CONDITIONS.left_mounted(name, mountPath));
}

export function globalConditions(sources: ConditionSources): DaemonCondition[] {
  const { memory, networkEvents, running, sync, historyUnsavedBecause } = sources;
  const conditions: DaemonCondition[] = [];
  const { saveError } = memory;
  if (saveError !== null) conditions.push(DAEMON_CONDITIONS.state_not_saved(saveError.message));
  if (sources.copiedFrom !== null) conditions.push(DAEMON_CONDITIONS.home_copied(sources.copiedFrom));
  const unsavedBecause = historyUnsavedBecause();
  if (unsavedBecause !== null) conditions.push(DAEMON_CONDITIONS.history_not_saved(unsavedBecause));
  conditions.push(...unconfiguredConditions(sources.left()));
  const [changed, ...others] = sources.changedCopies();
  if (changed !== undefined) conditions.push(DAEMON_CONDITIONS.program_changed(changed, others.length));
  const uncopied = sources.uncopiedBecause();
  if (uncopied !== null) conditions.push(DAEMON_CONDITIONS.program_not_kept(uncopied));
  conditions.push(...sources.unreadSecretFiles().map((why) => DAEMON_CONDITIONS.secret_file_unread(why)));
  const { lastError, watching, detector, fileMissing } = sync();
  if (lastError !== null) {
    const { kind, reason, since } = lastError;
    conditions.push({ ...DAEMON_CONDITIONS[`config_${kind}`](reason, watching === "live"), since });
  }
  if (watching === "stopped") conditions.push(DAEMON_CONDITIONS.sync_stopped());
  if (detector.degraded !== null) conditions.push(DAEMON_CONDITIONS.sync_degraded(detector.degraded));
  if (fileMissing) conditions.push(DAEMON_CONDITIONS.config_missing(running().path));
  for (const other of sources.secondConfigs())
    conditions.push(DAEMON_CONDITIONS.config_second(running().path, other));
  // Only shares need network events.
  if (networkEvents() === "polling" && running().config.shares.length > 0)
    conditions.push(DAEMON_CONDITIONS.network_polling());
  return [...conditions, ...configWarningConditions(running())];
}
