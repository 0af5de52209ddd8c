// Why a check is not passed, where that is known. A failed check without a reason here fails the run.

/** `alone`: no gateway between the suite and the fixture. */
export interface Situation {
  /** The revision that the suite, or the client in front, speaks. */
  readonly front: "2025-11-25" | "2026-07-28";
  readonly back: "2025-11-25" | "2026-07-28";
  readonly alone: boolean;
  /** One process over stdio for all clients. */
  readonly shared: boolean;
  readonly scenario: string;
  readonly message: string;
}

interface Reason {
  readonly holds: (situation: Situation) => boolean;
  readonly text: string;
}

const bridgedUp = ({ front, back }: Situation): boolean => front === "2026-07-28" && back === "2025-11-25";

/** Scenarios in which the suite's tools ask. */
const ASKED_FOR_INPUT = /^(input-required-result-|server-stateless$)/u;
/** The gateway's refusal, or what a check says that got it instead of the input that is required. */
const UNCLEAR_WHOSE = new RegExp(
  [
    'set instances = "per-client"',
    "^Prerequisite failed: could not get initial InputRequiredResult",
    "^Expected InputRequiredResult\\b",
    "^Not testable: server returned no inputRequests",
    "^Not testable: server does not list the diagnostic tool 'test_missing_capability'",
    "^Not testable: the 'test_streaming_elicitation' call was rejected \\(code -32600\\)",
    "^Server returned JSON-RPC error instead of re-requesting via InputRequiredResult",
  ].join("|"),
  "u",
);

const REASONS: readonly Reason[] = [
  {
    holds: (situation) => bridgedUp(situation) && situation.scenario.startsWith("tasks-"),
    text: "the extension `io.modelcontextprotocol/tasks`: a server of 2025-11-25 has tasks of another kind, and none of these tools",
  },
  {
    holds: (situation) =>
      bridgedUp(situation) && situation.scenario === "input-required-result-basic-elicitation",
    text: "the check wants the key `user_name`: a server of 2025-11-25 asks without a key, so the gateway makes one up",
  },
  {
    holds: (situation) =>
      bridgedUp(situation) && situation.scenario === "input-required-result-capability-check",
    text: "a server of 2025-11-25 learns capabilities once, at `initialize`, so it asks; the gateway then answers -32021",
  },
  {
    holds: (situation) =>
      bridgedUp(situation) && situation.scenario === "input-required-result-ignore-extra-params",
    text: "answers without a state belong to no call that a server of 2025-11-25 made: it asks, and is asked for",
  },
  {
    // What is left of an earlier scenario's call makes the suite's next request fail before it is looked at.
    holds: (situation) =>
      bridgedUp(situation) &&
      situation.shared &&
      ASKED_FOR_INPUT.test(situation.scenario) &&
      UNCLEAR_WHOSE.test(situation.message),
    text: 'the suite leaves calls unanswered; while one waits, a shared process that asks again cannot say for whom, and is refused: `instances = "per-client"` is for that',
  },
  {
    holds: (situation) =>
      bridgedUp(situation) && !situation.shared && /Mutated the /u.test(situation.message),
    text: "a process for each call in flight: the fixture changes its lists only in that process",
  },
  {
    holds: (situation) =>
      bridgedUp(situation) && !situation.shared && /failed to yield frame/u.test(situation.message),
    text: "the suite waits half a second, and the process for this call still starts",
  },
  {
    holds: ({ scenario }) => scenario === "server-sse-polling",
    text: "resumable streams, which the specification leaves open",
  },
];

/** Null: nobody knows yet. */
export function reasonFor(situation: Situation): string | null {
  return REASONS.find(({ holds }) => holds(situation))?.text ?? null;
}

const ASKED_TWICE =
  "a server of 2026-07-28 is asked once by `initialize` whether it also speaks 2025-11-25: servers of today's SDKs do, and their `server/discover` does not say so";

/** Why the gateway fails checks of a scenario in which it is the client. */
export const CLIENT_REASONS: Readonly<Record<string, string>> = {
  "request-metadata": ASKED_TWICE,
  "http-standard-headers": ASKED_TWICE,
};
