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
    text: "a server of 2025-11-25 has tasks of another kind",
  },
  {
    holds: (situation) =>
      bridgedUp(situation) && situation.scenario === "input-required-result-basic-elicitation",
    text: "it wants the key `user_name`; a server of 2025-11-25 asks without one",
  },
  {
    holds: (situation) =>
      bridgedUp(situation) && situation.scenario === "input-required-result-capability-check",
    text: "a server of 2025-11-25 learns capabilities once; the gateway answers -32021",
  },
  {
    holds: (situation) =>
      bridgedUp(situation) && situation.scenario === "input-required-result-ignore-extra-params",
    text: "answers without a state belong to no call of a server of 2025-11-25",
  },
  {
    // What is left of an earlier scenario's call makes the suite's next request fail before it is looked at.
    holds: (situation) =>
      bridgedUp(situation) &&
      situation.shared &&
      ASKED_FOR_INPUT.test(situation.scenario) &&
      UNCLEAR_WHOSE.test(situation.message),
    text: "while an unanswered call waits, a shared process cannot say for whom it asks: `per-client`",
  },
  {
    holds: (situation) =>
      bridgedUp(situation) && !situation.shared && /Mutated the /u.test(situation.message),
    text: "each call has a process, and lists change only in that one",
  },
  {
    holds: (situation) =>
      bridgedUp(situation) && !situation.shared && /failed to yield frame/u.test(situation.message),
    text: "the suite waits half a second, while the process still starts",
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
  "a server of 2026-07-28 is asked once by `initialize` whether it also speaks 2025-11-25, as servers of today's SDKs do";

/** Why the gateway fails checks of a scenario in which it is the client. */
export const CLIENT_REASONS: Readonly<Record<string, string>> = {
  "request-metadata": ASKED_TWICE,
  "http-standard-headers": ASKED_TWICE,
};
