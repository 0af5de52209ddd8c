// The shapes of what the management API asks and answers about records: the audit, and the daemon's own log.
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
} from "../runtime/shape.ts";

/** Of records in one answer. */
export const MOST_RECORDS = 1_000;
/** Where `limit` is not given. */
export const USUAL_RECORDS = 100;

/** A page's `next`, or a time: then what was written before it. */
const before = matching(
  /^(?:\d{1,20}-\d{1,20}\.\d{1,16}|\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?Z)$/,
  "a page's `next`, or a time as 2026-01-31T12:00:00Z",
);

export const auditRequest = strictObject({
  /** Default 100; more than 1,000 are never given at once. */
  limit: optional(count),
  before: optional(before),
  backend: optional(wellFormedText),
  /** As clients call it. */
  tool: optional(wellFormedText),
  principal: optional(wellFormedText),
  /** `ok`, `tool_error`, `denied`, `cancelled`, `error:-32602`, `refused:401`; `error` and `refused` mean any of theirs. */
  outcome: optional(wellFormedText),
  /** In any of a record's values; small and capital letters are the same. */
  text: optional(wellFormedText),
});
export type AuditRequest = TypeOf<typeof auditRequest>;

export const auditRecordShape = object({
  /** ISO 8601 UTC. */
  time: text,
  /**
   * `request`: a client's; `refused`: one turned away before a session served it, or several; `notice`: what happened
   * to the configuration; `lost`: records that could not be written.
   */
  kind: choice("request", "refused", "notice", "lost"),
  /** Who asked; null: not known, or several. */
  principal: optional(nullable(text)),
  /** Of a signed token. */
  subject: optional(text),
  issuer: optional(text),
  /** Tells sessions apart, and is of no use to enter one. */
  session: optional(text),
  method: optional(text),
  /** `tool:NAME`, `prompt:NAME`, `resource:URI`. */
  target: optional(nullable(text)),
  backend: optional(nullable(text)),
  outcome: optional(text),
  duration_ms: optional(number),
  /** What came of asking a person; absent: nobody was asked. */
  asked: optional(anything),
  /** Present where `audit.include_arguments` is on, without what `audit.redact` names. */
  arguments: optional(anything),
  /** Of a refusal: the sender's address, the reason, how many, and since when they were counted. */
  remote: optional(nullable(text)),
  reason: optional(text),
  count: optional(number),
  since: optional(text),
  /** Of a notice: `config.entry_waits`, the entry, and what it would do. */
  event: optional(text),
  entry: optional(text),
  summary: optional(text),
  /** How many records were lost. */
  dropped: optional(number),
});
export type AuditEntry = TypeOf<typeof auditRecordShape>;

/** Where older ones are. */
const page = {
  /** There may be older ones that fit: `next` asks for them. Also set where a search ended early to stay within bounds. */
  more: flag,
  /** To be given as `before`; null: there are none. */
  next: nullable(text),
};

export const auditReportShape = object({
  /** Whether the configuration has an audit; without, nothing is read. */
  enabled: flag,
  path: nullable(text),
  /** Newest first; rotated files are read, too. */
  records: list(auditRecordShape),
  ...page,
});
export type AuditReport = TypeOf<typeof auditReportShape>;

const level = choice("debug", "info", "warn", "error");

export const logRequest = strictObject({
  /** Default 100; more than 1,000 are never given at once. */
  limit: optional(count),
  before: optional(before),
  /** The least level that is shown. */
  level: optional(level),
  /** In the message or any field; small and capital letters are the same. */
  text: optional(wellFormedText),
});
export type LogRequest = TypeOf<typeof logRequest>;

export const logLineShape = object({
  /** ISO 8601 UTC. */
  at: text,
  level,
  message: text,
  /** By name: a text, a number, true or false, null, or a list of texts. */
  fields: optional(record(anything)),
});
export type LogLine = TypeOf<typeof logLineShape>;

export const logReportShape = object({
  path: text,
  /** Newest first; the rotated file is read, too. */
  lines: list(logLineShape),
  ...page,
});
export type LogReport = TypeOf<typeof logReportShape>;
