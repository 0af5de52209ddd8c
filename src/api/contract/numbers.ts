// The shapes of numbers over time: of each share and server, and of one of them over a span.
import { choice, count, list, nullable, number, object, type TypeOf, text } from "../../runtime/shape.ts";

/** What programs noticed: their work continued, waited, or failed; `unused`: no program used it. */
const impact = choice("fine", "waited", "failed", "unused");
const route = choice("tb", "fallback", "none");

/**
 * The last 24 h without breaks, oldest first: in each five minutes the worst that programs noticed. `unknown`: no daemon ran,
 * the machine slept, or it was not configured. Times are ISO 8601 UTC.
 */
const day = list(
  object({ from: text, to: text, impact: choice("fine", "waited", "failed", "unused", "unknown") }),
);

export const numbersReportShape = object({
  /** The present time; the last five minutes of `day` and `spark` may be incomplete. */
  to: text,
  /** The number of configured servers without numbers: servers with trouble and the busiest ones have them. */
  servers_omitted: count,
  /** The configured shares. */
  shares: list(
    object({
      name: text,
      day,
      /** In the last hour: changes of the route, and waits of 1 s or more. */
      moves_hour: count,
      waits_hour: count,
      /** The bytes of the last hour, divided by its time. */
      read_mb_s: number,
      written_mb_s: number,
    }),
  ),
  /** The configured servers that have numbers. */
  servers: list(
    object({
      name: text,
      day,
      calls_hour: count,
      errors_hour: count,
      /** Of the last hour, ms, at most an eighth wrong; null: no call was answered. */
      p99_ms: nullable(number),
      /** Calls in each five minutes of the last hour, the oldest first: 12. */
      spark: list(count),
      /** When the last call ended, within 10 s, ISO; null: none is known. */
      last_used: nullable(text),
    }),
  ),
});
export type NumbersReport = TypeOf<typeof numbersReportShape>;

/** `hour`: 360 slots of 10 s; `day`: 288 of 5 min; `week`: 168 of an hour; `month`: 840 of an hour (35 days). */
export const numbersSpan = choice("hour", "day", "week", "month");
export const numbersSubject = choice("share", "server");

export const seriesShape = object({
  /** The start of the first slot and the end of the last one, ISO. Slots begin at multiples of `step_s`. */
  from: text,
  to: text,
  step_s: count,
  // Each list has an item for each slot. null: unknown, or nothing to show.
  impact: list(nullable(impact)),
  /** Of a share: the route that was in use longest. Empty for a server. */
  route: list(nullable(route)),
  /** Of a share; empty for a server. */
  read_mb_s: list(nullable(number)),
  written_mb_s: list(nullable(number)),
  /** Of a server; empty for a share. */
  calls: list(nullable(count)),
  errors: list(nullable(count)),
  /** null also if no call was answered. */
  p50_ms: list(nullable(number)),
  p99_ms: list(nullable(number)),
  /**
   * Oldest first; `at`: the start of the slot, ISO. A share moved to a route, or programs waited for 1 s or more; a server was
   * ready after a start, or ended by a failure.
   */
  marks: list(
    object({
      at: text,
      kind: choice("moved_to_tb", "moved_to_fallback", "waited", "started", "failed"),
      count,
    }),
  ),
});
export type Series = TypeOf<typeof seriesShape>;
