// The keys of `[limits]`: the gateway's limits for one principal.
import { numberKey, optional, optionalNumberKey } from "./schema-keys.ts";
import { listOf, table } from "./tables.ts";
import { globs } from "./value-types.ts";

const CALLS_PER_SECOND = {
  min: 0,
  max: 1_000_000,
  unit: "calls a second",
  meaning: "Calls per second for one principal, on average, over all its sessions. 0: no limit.",
};
const BURST = {
  min: 1,
  max: 1_000_000,
  whole: true,
  unit: "calls",
  meaning: "How many calls may arrive at once after a pause.",
};
const CALLS_IN_FLIGHT = {
  min: 1,
  max: 100_000,
  whole: true,
  unit: "calls",
  meaning: "How many calls of one principal may be in flight at once.",
};
const SESSIONS = {
  min: 1,
  max: 1_000,
  whole: true,
  unit: "sessions",
  meaning: "How many sessions one principal may have. One more ends its session that was idle longest.",
};
const RESULT_MB = {
  min: 0,
  max: 64,
  unit: "MiB",
  meaning:
    "The largest call result that is sent whole. A larger one is stored and readable in parts as a resource; a " +
    "larger structured one is refused. 0: no limit.",
} as const;

const AS_ALL = "as in `[limits]`";
const BURST_ABSENT = "five times `calls_per_second`";

const limitsOverrideKeys = {
  users: optional("guards", globs, {
    absent: "everybody",
    meaning:
      "Patterns over user names; for signed tokens, over their `sub`. Users without a token are `anonymous`; " +
      "connections over the home's own socket are `owner`.",
    example: '["ci-*"]',
  }),
  roles: optional("guards", globs, {
    absent: "whatever",
    meaning: "Patterns over roles; matches users with one of them.",
    example: '["batch"]',
  }),
  calls_per_second: optionalNumberKey("guards", CALLS_PER_SECOND, AS_ALL, 50),
  burst: optionalNumberKey("guards", BURST, BURST_ABSENT, 100),
  calls_in_flight: optionalNumberKey("guards", CALLS_IN_FLIGHT, AS_ALL, 32),
  sessions: optionalNumberKey("guards", SESSIONS, AS_ALL, 20),
  result_mb: optionalNumberKey("guards", RESULT_MB, AS_ALL, 1),
};

export const limitsKeys = {
  calls_per_second: numberKey("guards", { ...CALLS_PER_SECOND, absent: 5_000 }),
  burst: optionalNumberKey("guards", BURST, BURST_ABSENT, 25_000),
  calls_in_flight: numberKey("guards", { ...CALLS_IN_FLIGHT, absent: 512 }),
  sessions: numberKey("guards", { ...SESSIONS, absent: 500 }),
  result_mb: numberKey("guards", { ...RESULT_MB, absent: 16 }),
  overrides: listOf(
    "overrides",
    table("Other limits for some users; the first match counts.", limitsOverrideKeys),
  ),
};
