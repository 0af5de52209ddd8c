// The shape of the timeline in the management API: how shares and backends were over the last day.
import { choice, list, nullable, number, object, type TypeOf, text } from "../runtime/shape.ts";

/** ISO 8601 UTC; a span that goes on ends now. */
const span = { from: text, to: text };

export const shareStateShape = object({
  state: choice("mounted", "unmounted", "error"),
  /** The route it is mounted over. */
  route: choice("tb", "fallback", "none"),
});

export const backendStateShape = object({
  phase: choice("Pending", "Initializing", "Ready", "Degraded", "Failed", "ShuttingDown"),
});

const shareSpanShape = object({ ...span, ...shareStateShape.fields });

const backendSpanShape = object({ ...span, ...backendStateShape.fields });

const callMinuteShape = object({
  /** When the minute began, or the first of several. */
  at: text,
  calls: number,
  /** Of the protocol, and of tools. */
  errors: number,
  /** null: none was answered. */
  p50_ms: nullable(number),
  p99_ms: nullable(number),
});
export type TimelineMinute = TypeOf<typeof callMinuteShape>;

export const timelineReportShape = object({
  /** A day ago. */
  from: text,
  to: text,
  /** Since when anything is known, by this daemon or those before it. Before that nothing is told. */
  known_since: text,
  /** Oldest first: no daemon ran then, the machine slept, or what was known was lost. Nothing is told of it. */
  gaps: list(object(span)),
  /** Of each entry of `minutes`; more than 1 where there are many: then p50 is their mean by calls, p99 the highest. */
  minute_step: number,
  /** Also those that were removed within the day. */
  shares: list(
    object({
      name: text,
      /**
       * Oldest first; while it is configured without a break but for `gaps`, and a moment at a daemon's start. Of one that
       * changes thousands of times a day the newest alone.
       */
      spans: list(shareSpanShape),
    }),
  ),
  backends: list(
    object({
      name: text,
      spans: list(backendSpanShape),
      /** Oldest first; minutes without a call are left out. */
      minutes: list(callMinuteShape),
    }),
  ),
});
export type TimelineReport = TypeOf<typeof timelineReportShape>;
