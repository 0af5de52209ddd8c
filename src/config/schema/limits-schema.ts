// The keys of `[limits]`: the gateway's limits for one principal.
import { numberKey, optionalNumberKey } from "./schema-keys.ts";

export const limitsKeys = {
  calls_per_second: numberKey("guards", {
    min: 0,
    max: 1_000_000,
    absent: 5_000,
    unit: "calls a second",
    meaning: "Calls per second, on average. 0: no limit.",
  }),
  burst: optionalNumberKey(
    "guards",
    {
      min: 1,
      max: 1_000_000,
      whole: true,
      unit: "calls",
      meaning: "How many calls may arrive at once after a pause.",
    },
    "five times `calls_per_second`",
    25_000,
  ),
  calls_in_flight: numberKey("guards", {
    min: 1,
    max: 100_000,
    whole: true,
    absent: 512,
    unit: "calls",
    meaning: "How many calls may be in flight at once.",
  }),
  sessions: numberKey("guards", {
    min: 1,
    max: 1_000,
    whole: true,
    absent: 500,
    unit: "sessions",
    meaning: "How many sessions may be in memory.",
  }),
  result_mb: numberKey("guards", {
    min: 0,
    max: 64,
    absent: 16,
    unit: "MiB",
    meaning: "The largest result that is sent whole; a larger one is cut. 0: no limit.",
  }),
};
