// The settings form of the Sync view: what was typed, what is wrong with it, and the edits it stands for. Pure. The
// limits repeat the schema's; a test compares them.
import type { SyncEvent, SyncSettingsWire } from "../../../api/contract.ts";
import type { ConfigEditWire } from "../../../api/requests.ts";

/** Seconds, both ends allowed. */
export const SYNC_LIMITS = {
  poll_interval: { min: 0.05, max: 3600 },
  debounce: { min: 0.01, max: 60 },
} as const;
export const DETECTIONS: readonly SyncSettingsWire["detection"][] = ["mtime", "hash", "inotify"];
export const FAILURE_MODES: readonly SyncSettingsWire["on_failure"][] = ["backoff", "fixed", "stop"];

export type SyncField = keyof SyncSettingsWire;

/** As typed. */
export type SyncDraft = Readonly<Record<SyncField, string>>;

/** What a form was drawn from: a save is meant for exactly this content. */
export interface SyncBase {
  readonly settings: SyncSettingsWire;
  /** Of the file, which may be ahead of what runs. Null: it was not read yet. */
  readonly sha256: string | null;
}

export function draftOf(settings: SyncSettingsWire): SyncDraft {
  return {
    enabled: String(settings.enabled),
    poll_interval: String(settings.poll_interval),
    debounce: String(settings.debounce),
    detection: settings.detection,
    on_failure: settings.on_failure,
  };
}

/** In a few words; absent: nothing is wrong. */
export function draftMistakes(draft: SyncDraft): Readonly<Partial<Record<SyncField, string>>> {
  const mistakes: Partial<Record<SyncField, string>> = {};
  for (const field of ["poll_interval", "debounce"] as const) {
    const typed = draft[field].trim();
    const { min, max } = SYNC_LIMITS[field];
    if (!/^(\d+\.?\d*|\.\d+)$/.test(typed))
      mistakes[field] = typed.includes(",") ? "write it with a point" : "needs a number of seconds";
    else if (Number(typed) < min || Number(typed) > max) mistakes[field] = `must be ${min} to ${max} seconds`;
  }
  return mistakes;
}

/** One edit for each field that is not as it was; for a draft without mistakes. */
export function draftEdits(draft: SyncDraft, { settings }: SyncBase): readonly ConfigEditWire[] {
  const edits: ConfigEditWire[] = [];
  for (const field of Object.keys(settings) as SyncField[]) {
    const isNumber = field === "poll_interval" || field === "debounce";
    const typed = isNumber ? String(Number(draft[field])) : draft[field];
    if (typed === String(settings[field])) continue;
    const isWord = field === "detection" || field === "on_failure";
    edits.push({ key: `sync.${field}`, value: isWord ? JSON.stringify(typed) : typed });
  }
  return edits;
}

export interface SyncRow extends Pick<SyncEvent, "id" | "time" | "type" | "details"> {
  /** How many events in a row said that nothing changed. */
  readonly count: number;
}

const ROWS_KEPT = 20;

/** Newest first; runs of `no-change` are one row. */
export function syncRows(events: readonly SyncEvent[]): readonly SyncRow[] {
  const rows: SyncRow[] = [];
  for (const { id, time, type, details } of events) {
    const last = rows.at(-1);
    if (last?.type === "no-change" && type === "no-change")
      rows[rows.length - 1] = { ...last, id, time, details, count: last.count + 1 };
    else rows.push({ id, time, type, details, count: 1 });
  }
  return rows.slice(-ROWS_KEPT).reverse();
}
