// The shape of the timeline: states of shares and backends over the last day.
import { choice, list, object, optional, type TypeOf, text } from "../../runtime/shape.ts";

/** ISO 8601 UTC. If a span has not ended, its `to` is the present time. */
const span = { from: text, to: text };

/**
 * What programs noticed: their work continued, waited, or failed; `unused`: no program used it. Absent in spans that an
 * older version recorded.
 */
const impact = { impact: optional(choice("fine", "waited", "failed", "unused")) };

export const shareStateShape = object({
  state: choice("mounted", "unmounted", "error"),
  route: choice("tb", "fallback", "none"),
  ...impact,
});

export const backendStateShape = object({
  phase: choice("Pending", "Initializing", "Ready", "Asleep", "Degraded", "Failed", "ShuttingDown"),
  ...impact,
});

const shareSpanShape = object({ ...span, ...shareStateShape.fields });

const backendSpanShape = object({ ...span, ...backendStateShape.fields });

export const timelineReportShape = object({
  /** 24 h before `to`. */
  from: text,
  to: text,
  /** The start of the record, which this daemon or an earlier one began. */
  known_since: text,
  /** Times without a record, oldest first: no daemon ran, the machine slept, or the record was lost. */
  gaps: list(object(span)),
  /** Includes shares that were removed within the day. */
  shares: list(
    object({
      name: text,
      /**
       * Oldest first. While the share is configured, the spans have no breaks except `gaps` and the moment of
       * a daemon's start. If a share changes thousands of times a day, only its newest spans are sent.
       */
      spans: list(shareSpanShape),
    }),
  ),
  backends: list(object({ name: text, spans: list(backendSpanShape) })),
});
export type TimelineReport = TypeOf<typeof timelineReportShape>;
