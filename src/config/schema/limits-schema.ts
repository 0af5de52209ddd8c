// The keys of `[limits]`: what one principal may use of the gateway.
import * as z from "zod";
import { parseGlob } from "../backend-values.ts";
import { document, listDoc, numberKey, readText } from "./schema-keys.ts";

const globs = z.array(readText(parseGlob));

interface LimitDoc {
  readonly min: number;
  readonly max: number;
  readonly whole: boolean;
  readonly unit: string | null;
  readonly meaning: string;
}

const CALLS_PER_SECOND: LimitDoc = {
  min: 0,
  max: 1_000_000,
  whole: false,
  unit: "calls a second",
  meaning:
    "How many calls one principal may make in a second, on average, in all its sessions. 0: any number.",
};
const BURST: LimitDoc = {
  min: 1,
  max: 1_000_000,
  whole: true,
  unit: "calls",
  meaning: "How many calls may come at once after a quiet time.",
};
const CALLS_IN_FLIGHT: LimitDoc = {
  min: 1,
  max: 100_000,
  whole: true,
  unit: "calls",
  meaning: "How many calls of one principal may wait for their answers at once.",
};
const SESSIONS: LimitDoc = {
  min: 1,
  max: 1_000,
  whole: true,
  unit: "sessions",
  meaning:
    "How many sessions one principal may have. One more ends the one of its own that was idle for longest.",
};
const RESULT_MB: LimitDoc = {
  min: 0,
  max: 64,
  whole: false,
  unit: "MiB",
  meaning:
    "The largest result of a call that is sent as it is. A larger one is kept, to be read in pieces as a resource; a structured one is refused. 0: no limit.",
};

/** A number that may be absent; `absent` says in words what holds then. */
function optionalNumber({ min, max, whole, unit, meaning }: LimitDoc, absent: string, example: number) {
  const bare = whole ? z.int() : z.number();
  const kind = whole ? "whole number" : "number";
  return document(bare.min(min).max(max).optional(), {
    type: kind,
    unit,
    absent,
    meaning,
    expected: `a ${kind}${unit === null ? "" : ` of ${unit}`} from ${min} to ${max}`,
    example: String(example),
    choices: null,
    isSecret: false,
  });
}

const AS_ALL = "as in `[limits]`";
const BURST_ABSENT = "five times `calls_per_second`";

export const limitsOverrideSchema = z.strictObject({
  users: document(
    globs.optional(),
    listDoc({
      type: "list of patterns",
      absent: "whoever",
      meaning:
        "Patterns over names of users; of signed tokens, over their `sub`. Who comes without a token is `anonymous`, and who comes over the home's own socket `owner`.",
      example: '["ci-*"]',
    }),
  ),
  roles: document(
    globs.optional(),
    listDoc({
      type: "list of patterns",
      absent: "whatever",
      meaning: "Patterns over roles; it fits who has one of them.",
      example: '["batch"]',
    }),
  ),
  calls_per_second: optionalNumber(CALLS_PER_SECOND, AS_ALL, 50),
  burst: optionalNumber(BURST, BURST_ABSENT, 100),
  calls_in_flight: optionalNumber(CALLS_IN_FLIGHT, AS_ALL, 32),
  sessions: optionalNumber(SESSIONS, AS_ALL, 20),
  result_mb: optionalNumber(RESULT_MB, AS_ALL, 1),
});

export const limitsSchema = z.strictObject({
  calls_per_second: numberKey({ ...CALLS_PER_SECOND, absent: 5_000 }),
  burst: optionalNumber(BURST, BURST_ABSENT, 25_000),
  calls_in_flight: numberKey({ ...CALLS_IN_FLIGHT, absent: 512 }),
  sessions: numberKey({ ...SESSIONS, absent: 500 }),
  result_mb: numberKey({ ...RESULT_MB, absent: 16 }),
  overrides: z.array(limitsOverrideSchema).default([]),
});
