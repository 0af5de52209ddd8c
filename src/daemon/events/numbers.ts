// Numbers over time of each share and server. Nothing is counted yet: all is unknown.
import type { StatusReport } from "../../api/contract/contract.ts";
import type { NumbersReport, Series } from "../../api/contract/numbers.ts";
import type { InputOf } from "../../api/operations/operations.ts";
import { type Clock, isoTime } from "../../runtime/time/clock.ts";

const SECOND_MS = 1_000;
const DAY_MS = 24 * 3_600 * SECOND_MS;
/** The slots of each span: their width in seconds, and their number. */
const SPANS = {
  hour: { stepS: 10, slots: 360 },
  day: { stepS: 300, slots: 288 },
  week: { stepS: 3_600, slots: 168 },
  month: { stepS: 3_600, slots: 840 },
} as const;

export function createNumbers(clock: Clock, status: () => Pick<StatusReport, "shares" | "backends">) {
  return {
    numbers(): NumbersReport {
      const nowMs = clock.wallMs();
      const to = isoTime(nowMs);
      const { shares, backends = [] } = status();
      const day = () => [{ from: isoTime(nowMs - DAY_MS), to, impact: "unknown" as const }];
      return {
        to,
        servers_omitted: 0,
        shares: shares.map(({ name }) => {
          const none = { moves_hour: 0, waits_hour: 0, read_mb_s: 0, written_mb_s: 0 };
          return { name, day: day(), ...none };
        }),
        servers: backends.map(({ name }) => {
          const none = { calls_hour: 0, errors_hour: 0, p99_ms: null, last_used: null };
          return { name, day: day(), ...none, spark: Array.from({ length: 12 }, () => 0) };
        }),
      };
    },
    series({ of, span }: InputOf<"series">): Series {
      const { stepS, slots } = SPANS[span];
      const stepMs = stepS * SECOND_MS;
      const toMs = Math.ceil(clock.wallMs() / stepMs) * stepMs;
      const unknown = Array.from({ length: slots }, () => null);
      const [ofShare, ofServer] = of === "share" ? [unknown, []] : [[], unknown];
      return {
        from: isoTime(toMs - slots * stepMs),
        to: isoTime(toMs),
        step_s: stepS,
        impact: unknown,
        ...{ route: ofShare, read_mb_s: ofShare, written_mb_s: ofShare },
        ...{ calls: ofServer, errors: ofServer, p50_ms: ofServer, p99_ms: ofServer },
        marks: [],
      };
    },
  };
}
