// Owns the shapes of the contract's part about the configuration for zod, as contract-schemas.ts does for the rest.
import * as z from "zod/mini";
import type {
  ConfigMistakeWire,
  ConfigReport,
  EditReport,
  EditRequest,
  EditTextRequest,
  HistoryEntry,
  HistoryReport,
  NameChanges,
  ReloadReport,
  ReloadRequest,
  RollbackRequest,
  StreamEvent,
  SyncEvent,
  SyncReport,
  SyncSettingsWire,
} from "../contract.ts";
import { MOST_EDITS, SHA256_FORM, SOURCE_FORM } from "../requests/config-request-body.ts";
import type { Agreed, Agrees } from "./contract-schemas.ts";

const text = z.string();
const textOrNull = z.nullable(z.string());
const names = z.array(text);

export const syncEventSchema = z.object({
  id: z.number(),
  time: text,
  iso: text,
  generation: z.number(),
  type: z.enum(["changed", "no-change", "error"]),
  details: text,
});

export const syncSettingsSchema = z.object({
  enabled: z.boolean(),
  poll_interval: z.number(),
  debounce: z.number(),
  detection: z.enum(["mtime", "hash", "inotify"]),
  on_failure: z.enum(["backoff", "fixed", "stop"]),
});

const syncStateFields = {
  config_path: text,
  sha256: text,
  generation: z.number(),
  watching: z.enum(["live", "idle", "stopped", "off"]),
  last_sync: textOrNull,
  last_error: z.nullable(z.object({ kind: text, reason: text, since: text })),
  degraded: textOrNull,
  file_missing: z.boolean(),
  settings: syncSettingsSchema,
};

export const syncStateSchema = z.object(syncStateFields);
export const syncReportSchema = z.object({ ...syncStateFields, events: z.array(syncEventSchema) });

export const configMistakeSchema = z.object({
  file: text,
  line: z.number(),
  column: z.number(),
  path: text,
  found: text,
  expected: text,
  hint: textOrNull,
});

export const nameChangesSchema = z.object({ added: names, removed: names, changed: names });

export const reloadReportSchema = z.object({
  reloaded: z.boolean(),
  dry_run: z.boolean(),
  generation: z.number(),
  sha256: text,
  settings: names,
  shares: nameChangesSchema,
  backends: nameChangesSchema,
  middleware: names,
  errors: z.array(configMistakeSchema),
  failure: textOrNull,
  summary: text,
});

export const configReportSchema = z.object({
  path: text,
  format: z.enum(["toml", "yaml"]),
  sha256: text,
  text,
  running_sha256: text,
});

export const editReportSchema = z.object({
  changed: z.boolean(),
  path: text,
  sha256: text,
  errors: z.array(configMistakeSchema),
  reload: z.nullable(reloadReportSchema),
});

export const historyEntrySchema = z.object({
  n: z.number(),
  time: text,
  sha256: text,
  source: text,
  summary: text,
});

export const historyReportSchema = z.object({ entries: z.array(historyEntrySchema) });

export const streamEventSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("sync"), event: syncEventSchema }),
  z.object({ kind: z.literal("sync_state"), sync: syncStateSchema }),
  z.object({ kind: z.literal("transition"), transition: z.looseObject({ name: text }) }),
  z.object({ kind: z.literal("gap") }),
]);

// Requests are strict: an option that the daemon does not know must not be ignored.
const wellFormed = z.string().check(z.refine((value) => value.isWellFormed()));
const sha256 = z.string().check(z.regex(SHA256_FORM));
const source = z.string().check(z.regex(SOURCE_FORM));

const editedList = z.enum(["shares", "aliases"]);

export const reloadRequestSchema = z.strictObject({ dry_run: z.exactOptional(z.boolean()) });
export const editRequestSchema = z.strictObject({
  edits: z
    .array(
      z.union([
        z.strictObject({ key: wellFormed, value: z.nullable(wellFormed) }),
        z.strictObject({ add: editedList, entry: z.record(wellFormed, wellFormed) }),
        z.strictObject({ remove: editedList, name: wellFormed }),
      ]),
    )
    .check(z.maxLength(MOST_EDITS)),
  expected_sha256: z.exactOptional(sha256),
  source,
});
export const editTextRequestSchema = z.strictObject({ text: wellFormed, expected_sha256: sha256, source });
export const rollbackRequestSchema = z.strictObject({
  n: z.exactOptional(z.int().check(z.nonnegative())),
  sha256: z.exactOptional(sha256),
  expected_sha256: z.exactOptional(sha256),
});

/** Fails to compile when a schema and its interface in contract.ts say different things. */
export type ConfigContractAgreement = [
  Agreed<Agrees<typeof syncEventSchema, SyncEvent>>,
  Agreed<Agrees<typeof syncSettingsSchema, SyncSettingsWire>>,
  Agreed<Agrees<typeof syncStateSchema, Omit<SyncReport, "events">>>,
  Agreed<Agrees<typeof syncReportSchema, SyncReport>>,
  Agreed<Agrees<typeof configMistakeSchema, ConfigMistakeWire>>,
  Agreed<Agrees<typeof nameChangesSchema, NameChanges>>,
  Agreed<Agrees<typeof reloadReportSchema, ReloadReport>>,
  Agreed<Agrees<typeof configReportSchema, ConfigReport>>,
  Agreed<Agrees<typeof editReportSchema, EditReport>>,
  Agreed<Agrees<typeof historyEntrySchema, HistoryEntry>>,
  Agreed<Agrees<typeof historyReportSchema, HistoryReport>>,
  Agreed<Agrees<typeof streamEventSchema, StreamEvent>>,
  Agreed<Agrees<typeof reloadRequestSchema, ReloadRequest>>,
  Agreed<Agrees<typeof editRequestSchema, EditRequest>>,
  Agreed<Agrees<typeof editTextRequestSchema, EditTextRequest>>,
  Agreed<Agrees<typeof rollbackRequestSchema, RollbackRequest>>,
];
