// The fields of the `[sync]` panels: order, limits, and the edits of a draft. Pure. The limits repeat the configuration
// schema, of which `api` may import types only; a test compares them.
import type { SyncSettingsWire } from "../contract.ts";

export type FieldName = keyof SyncSettingsWire;
export type NumberField = "poll_interval" | "debounce";

export const FIELDS: readonly FieldName[] = [
  "enabled",
  "poll_interval",
  "debounce",
  "detection",
  "on_failure",
];

/** Seconds, inclusive. */
export const NUMBER_LIMITS: Readonly<Record<NumberField, { readonly min: number; readonly max: number }>> = {
  poll_interval: { min: 0.05, max: 3600 },
  debounce: { min: 0.01, max: 60 },
};

export const DETECTIONS = ["mtime", "hash", "inotify"] as const;
export const FAILURE_MODES = ["backoff", "fixed", "stop"] as const;

/** Unsaved settings; numbers as typed. */
export interface SyncDraft {
  readonly enabled: boolean;
  readonly poll_interval: string;
  readonly debounce: string;
  readonly detection: SyncSettingsWire["detection"];
  readonly on_failure: SyncSettingsWire["on_failure"];
}

export const TEXT_LIMIT = 12;

export function isNumberField(field: FieldName): field is NumberField {
  return field === "poll_interval" || field === "debounce";
}

/** Seconds as the panel shows them: `2.0`, `0.25`. */
function secondsText(seconds: number): string {
  return Number.isInteger(seconds) ? seconds.toFixed(1) : String(seconds);
}

export function draftOf(settings: SyncSettingsWire): SyncDraft {
  return {
    ...settings,
    poll_interval: secondsText(settings.poll_interval),
    debounce: secondsText(settings.debounce),
  };
}

/** null: not a number. */
function parseSeconds(text: string): number | null {
  return /^\s*[+-]?(\d+\.?\d*|\.\d+)\s*$/.test(text) ? Number(text) : null;
}

/** The mistake in a typed number; null: none. */
export function numberMistake(field: NumberField, text: string): string | null {
  const { min, max } = NUMBER_LIMITS[field];
  if (text.trim() === "") return "needs a number";
  const seconds = parseSeconds(text);
  if (seconds === null) return text.includes(",") ? "write it with a point" : "is not a number";
  if (seconds < min || seconds > max) return `must be ${min} to ${max} seconds`;
  return null;
}

export type FieldMistakes = Readonly<Partial<Record<FieldName, string>>>;

export function draftMistakes(draft: SyncDraft): FieldMistakes {
  const mistakes: Partial<Record<FieldName, string>> = {};
  for (const field of FIELDS) {
    if (!isNumberField(field)) continue;
    const mistake = numberMistake(field, draft[field]);
    if (mistake !== null) mistakes[field] = mistake;
  }
  return mistakes;
}

/** The fields whose value differs from `settings`. Numbers are compared by value. */
export function changedFields(draft: SyncDraft, settings: SyncSettingsWire): readonly FieldName[] {
  return FIELDS.filter((field) =>
    isNumberField(field) ? parseSeconds(draft[field]) !== settings[field] : draft[field] !== settings[field],
  );
}

/** The number as typed if that is valid TOML, else normalized. */
function tomlNumber(text: string): string {
  const typed = text.trim();
  return /^(0|[1-9]\d*)(\.\d+)?$/.test(typed) ? typed : String(Number(typed));
}

/** One edit for each changed field, its value as TOML. The draft must have no mistakes. */
export function draftEdits(draft: SyncDraft, settings: SyncSettingsWire): { key: string; value: string }[] {
  return changedFields(draft, settings).map((field) => ({
    key: `sync.${field}`,
    value: tomlValue(field, draft),
  }));
}

function tomlValue(field: FieldName, draft: SyncDraft): string {
  if (isNumberField(field)) return tomlNumber(draft[field]);
  return field === "enabled" ? String(draft.enabled) : JSON.stringify(draft[field]);
}

/** The draft as settings. The draft must have no mistakes. */
export function settingsOf(draft: SyncDraft): SyncSettingsWire {
  return { ...draft, poll_interval: Number(draft.poll_interval), debounce: Number(draft.debounce) };
}
