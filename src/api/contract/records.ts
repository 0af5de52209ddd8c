// Shapes of requests and answers about records: the audit, and the daemon's log.
import {
  anything,
  choice,
  count,
  flag,
  list,
  matching,
  nullable,
  number,
  object,
  optional,
  record,
  strictObject,
  type TypeOf,
  text,
  wellFormedText,
} from "../../runtime/shape.ts";

/** Limit of records in one answer. */
export const MOST_RECORDS = 1_000;
/** Default of `limit`. */
export const USUAL_RECORDS = 100;

/** Only records before this place are returned: the `next` of a page, or a time. */
const before = matching(
  /^(?:\d{1,20}-\d{1,20}\.\d{1,16}|\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?Z)$/,
  "a page's `next`, or a time as 2026-01-31T12:00:00Z",
);

/** Only records since this time are returned. */
const since = matching(
  /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?Z$/,
  "a time as 2026-01-31T12:00:00Z",
);

export const auditRequest = strictObject({
  /** Default 100, at most 1,000. */
  limit: optional(count),
  before: optional(before),
  since: optional(since),
  backend: optional(wellFormedText),
  /** The name that clients use. */
  tool: optional(wellFormedText),
  principal: optional(wellFormedText),
  /**
   * `ok`, `tool_error`, `denied`, `cancelled`, `error:-32602`, `refused:401`. A plain `error` matches every `error:…`,
   * and `refused` every `refused:…`.
   */
  outcome: optional(wellFormedText),
  /** Searched in all values of a record, ignoring case. */
  text: optional(wellFormedText),
});
export type AuditRequest = TypeOf<typeof auditRequest>;

export const auditRecordShape = object({
  /** ISO 8601 UTC. */
  time: text,
  /**
   * `request`: of a client; `refused`: one or several requests that were refused before a session; `notice`: a change of
   * the configuration; `lost`: records that could not be written.
   */
  kind: choice("request", "refused", "notice", "lost"),
  /** null: the principal is not known, or there are several. */
  principal: optional(nullable(text)),
  /** The name and version that the client gives itself. */
  client: optional(text),
  /** `subject` and `issuer` of a signed token. */
  subject: optional(text),
  issuer: optional(text),
  /** Distinguishes sessions; it is not the session's id. */
  session: optional(text),
  method: optional(text),
  /** `tool:NAME`, `prompt:NAME`, `resource:URI`. */
  target: optional(nullable(text)),
  backend: optional(nullable(text)),
  outcome: optional(text),
  duration_ms: optional(number),
  /** The same for a call of `run_script` and for each call that its script made. */
  script: optional(text),
  /** A person's answer to the request for consent; absent: no consent was requested. */
  consent: optional(anything),
  /** Present if `audit.include_arguments` is on, without the keys of `audit.redact`. */
  arguments: optional(anything),
  /**
   * In a refusal: the sender's address, the reason, the number of refusals, and since when they are counted.
   */
  remote: optional(nullable(text)),
  reason: optional(text),
  count: optional(number),
  since: optional(text),
  /** In a notice: the event, such as `config.entry_waits`, the entry, and a summary of the change. */
  event: optional(text),
  entry: optional(text),
  summary: optional(text),
  /** How many records were lost. */
  dropped: optional(number),
});
export type AuditEntry = TypeOf<typeof auditRecordShape>;

/** What a report says about older records. */
const page = {
  /** Older matches may exist, see `next`. Also true if a search reached its limits. */
  more: flag,
  /** The value of `before` that requests the older records; null: there are no older records. */
  next: nullable(text),
};

export const auditReportShape = object({
  /** Whether the audit is configured; if not, there are no records. */
  enabled: flag,
  path: nullable(text),
  /** Newest first, including rotated files. */
  records: list(auditRecordShape),
  ...page,
});
export type AuditReport = TypeOf<typeof auditReportShape>;

const level = choice("debug", "info", "warn", "error");

export const logRequest = strictObject({
  /** Default 100, at most 1,000. */
  limit: optional(count),
  before: optional(before),
  since: optional(since),
  /** The minimum level. */
  level: optional(level),
  /** Searched in the message and all fields, ignoring case. */
  text: optional(wellFormedText),
});
export type LogRequest = TypeOf<typeof logRequest>;

export const logLineShape = object({
  /** ISO 8601 UTC. */
  at: text,
  level,
  message: text,
  /** Values are strings, numbers, booleans, null, or lists of strings. */
  fields: optional(record(anything)),
});
export type LogLine = TypeOf<typeof logLineShape>;

export const logReportShape = object({
  path: text,
  /** Newest first, including the rotated file. */
  lines: list(logLineShape),
  ...page,
});
