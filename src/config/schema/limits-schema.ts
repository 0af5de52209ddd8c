// The keys of `[limits]`: the gateway's limits for one principal.
import { numberKey, optional, optionalNumberKey } from "./schema-keys.ts";
import { listOf, table } from "./tables.ts";
import { globs } from "./value-types.ts";

const CALLS_PER_SECOND = {
  min: 0,
  max: 1_000_000,
  unit: "calls a second",
  meaning:
    "How many calls one principal may make in a second, on average, in all its sessions. 0: any number.",
};
const BURST = {
  min: 1,
  max: 1_000_000,
  whole: true,
  unit: "calls",
  meaning: "How many calls may come at once after a quiet time.",
};
const CALLS_IN_FLIGHT = {
  min: 1,
  max: 100_000,
  whole: true,
  unit: "calls",
  meaning: "How many calls of one principal may wait for their answers at once.",
};
const SESSIONS = {
  min: 1,
  max: 1_000,
  whole: true,
  unit: "sessions",
  meaning:
    "How many sessions one principal may have. One more ends the one of its own that was idle for longest.",
};
const RESULT_MB = {
  min: 0,
  max: 64,
  unit: "MiB",
  meaning:
    "The largest result of a call that is sent as it is. A larger one is kept, to be read in pieces as a resource; a structured one is refused. 0: no limit.",
} as const;

const AS_ALL = "as in `[limits]`";
const BURST_ABSENT = "five times `calls_per_second`";

const limitsOverrideKeys = {
  users: optional("guards", globs, {
    absent: "everybody",
    meaning:
      "Patterns over names of users; of signed tokens, over their `sub`. Who comes without a token is `anonymous`, and who comes over the home's own socket `owner`.",
    example: '["ci-*"]',
  }),
  roles: optional("guards", globs, {
    absent: "whatever",
    meaning: "Patterns over roles; it fits who has one of them.",
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
    table("Other limits for some; the first block that fits counts.", limitsOverrideKeys),
  ),
};
