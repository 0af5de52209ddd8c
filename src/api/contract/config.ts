// Shapes of answers about the configuration file: its content, errors, edits, checks and history.

import type { syncKeys } from "../../config/schema/schema.ts";
import type { SectionSettings } from "../../config/section-settings.ts";
import {
  choice,
  flag,
  list,
  nullable,
  number,
  object,
  optional,
  type Shape,
  type TypeOf,
  text,
} from "../../runtime/shape.ts";

/** The result of one change of the configuration file. */
export const syncEventShape = object({
  /** Increases by one with each event of this daemon. */
  id: number,
  /** Local wall time, `14:32:05`. */
  time: text,
  iso: text,
  /** The configuration generation that runs after the change. */
  generation: number,
  type: choice("changed", "no-change", "error"),
  details: text,
});
export type SyncEvent = TypeOf<typeof syncEventShape>;

/**
 * The keys of a section. The shape checks none of them, so that a client accepts the answer of a daemon that has other
 * keys.
 */
export function sectionShape<Keys>(section: string): Shape<SectionSettings<Keys>> {
  return { expected: `every key of [${section}]`, faultIn: () => null };
}

export const syncStateShape = object({
  config_path: text,
  /** SHA-256 of the file content that runs. */
  sha256: text,
  generation: number,
  /**
   * The state of file watching: `stopped` after a failure under `on_failure = "stop"`, `off` if `enabled` is
   * false.
   */
  watching: choice("live", "idle", "stopped", "off"),
  /** When the file last changed, or was reloaded by hand. */
  last_sync: nullable(text),
  last_error: nullable(object({ kind: text, reason: text, since: text })),
  /** Why the configured detector does not work and polling replaces it. */
  degraded: nullable(text),
  /** The watched file does not exist; the loaded configuration stays in use. */
  file_missing: flag,
  /** Summaries of the entries that wait for approval; absent: none. */
  waiting: optional(list(text)),
  settings: sectionShape<typeof syncKeys>("sync"),
});

export const syncReportShape = object({
  ...syncStateShape.fields,
  /** The newest 1,000 at most, oldest first. */
  events: list(syncEventShape),
});
export type SyncReport = TypeOf<typeof syncReportShape>;

export const configMistakeWireShape = object({
  file: text,
  line: number,
  column: number,
  path: text,
  found: text,
  expected: text,
  hint: nullable(text),
});
export type ConfigMistakeWire = TypeOf<typeof configMistakeWireShape>;

const nameChangesShape = object({
  added: list(text),
  removed: list(text),
  changed: list(text),
});
export type NameChanges = TypeOf<typeof nameChangesShape>;

/** The result of a reload, or the expected result for `dry_run`. */
export const reloadReportShape = object({
  /** False: the daemon runs this content already, or the file was rejected. */
  reloaded: flag,
  dry_run: flag,
  generation: number,
  sha256: text,
  /** Changed keys of `[global]`, `[sync]` and `[server]`, and aliases: `global.check_interval_secs`, `aliases.docs`. */
  settings: list(text),
  shares: nameChangesShape,
  backends: nameChangesShape,
  middleware: list(text),
  /** Ids of the entries that wait for approval after the reload; absent: none. */
  waiting: optional(list(text)),
  /** Why the file was rejected; the previous configuration stays in use. */
  errors: list(configMistakeWireShape),
  /**
   * A failure that is not in `errors`: the file is unreadable, or could not be applied. null without such a failure.
   */
  failure: nullable(text),
  /** One line for people: "1 share reloaded". */
  summary: text,
});
export type ReloadReport = TypeOf<typeof reloadReportShape>;

/** The present configuration file. */
export const configReportShape = object({
  path: text,
  format: choice("toml", "yaml"),
  /** SHA-256 of `text`, which may differ from the running content. */
  sha256: text,
  text,
  running_sha256: text,
});
export type ConfigReport = TypeOf<typeof configReportShape>;

export const editReportShape = object({
  /** False: the file had this content already. */
  changed: flag,
  path: text,
  sha256: text,
  /** If not empty, nothing was written. */
  errors: list(configMistakeWireShape),
  reload: nullable(reloadReportShape),
});
export type EditReport = TypeOf<typeof editReportShape>;

export const configCheckReportShape = object({
  /** Empty: the text is valid. Lines and columns count from 1. */
  mistakes: list(configMistakeWireShape),
  /** The report of a reload with `dry_run`; null: the text has errors. */
  would_change: nullable(reloadReportShape),
  /**
   * Ids of the entries that would wait for approval if another program wrote the text. Saving the text by `config/text`
   * approves them.
   */
  waits_for_approval: list(text),
});

export const historyEntryShape = object({
  /** The entry's number for `rollback`; 0 is the running content. */
  n: number,
  time: text,
  sha256: text,
  source: text,
  summary: text,
});
export type HistoryEntry = TypeOf<typeof historyEntryShape>;
