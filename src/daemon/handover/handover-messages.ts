// The messages between two daemons during a handover. The daemons may be of different versions: each ignores messages that it
// does not know.
import type { StrayMessage } from "../../gateway/frontend/session/other-daemons.ts";
import type { HandedSessions, SessionChange } from "../../gateway/frontend/session/session-memory.ts";
import type { StateKey } from "../../gateway/frontend/suspended/suspended-calls.ts";
import type { HandedQuestions } from "../../gateway/middleware/owner-questions.ts";
import type { InheritedListener } from "../../gateway/serving/gateway-contract.ts";

/** The home's secret for session ids, in base64url. */
export interface HandedSecret {
  readonly text: string;
  readonly unsavedBecause: string | null;
}

/**
 * What clients have sent to one daemon and the other has to know, while the old one drains. `n`: a number that the sender
 * chose, for the answer. Requests and answers are JSON texts within JSON, so that large numbers keep all digits.
 */
export type PassedMessage =
  /** A client's message. Answered by `placed`. */
  | ({ readonly say: "words"; readonly n: number } & StrayMessage)
  | { readonly say: "placed"; readonly n: number; readonly isTaken: boolean }
  /** A client has changed its session. */
  | { readonly say: "change"; readonly hash: string; readonly change: SessionChange }
  /** A request that resumes a call in the other daemon. */
  | { readonly say: "request"; readonly n: number; readonly request: string }
  /** The client of request `n` has disconnected. */
  | { readonly say: "gone"; readonly n: number }
  /** A notification for the client of request `n`, sent to the daemon that passed the request. */
  | { readonly say: "notice"; readonly n: number; readonly json: string }
  | { readonly say: "answer"; readonly n: number; readonly reply: string };

/** The home is free. The message carries the listening socket as its handle, if there is one. */
export interface Go {
  readonly say: "go";
  /** The address on which the old daemon listens, as configured. */
  readonly door: InheritedListener["address"] | null;
  /** The key for reading the request states that the old daemon gave to clients. */
  readonly states: StateKey;
  /** Process groups of backends that cannot run twice. */
  readonly once: readonly number[];
  readonly sessions: HandedSessions;
  readonly secret: HandedSecret;
  readonly questions: HandedQuestions;
}

export type MessageFromOld =
  | Go
  /** The backends that must not run twice have ended. */
  | { readonly say: "ended" }
  | PassedMessage;

export type MessageFromNew =
  | { readonly say: "ready"; readonly version: string; readonly backends: Readonly<Record<string, string>> }
  | { readonly say: "failed"; readonly message: string; readonly hint: string | null }
  /** The successor is in charge. */
  | { readonly say: "taken" }
  /** The sender was stopped, or its own successor has ended: the whole service ends. */
  | { readonly say: "stopped" }
  /** The sender ends because its own successor is in charge. */
  | { readonly say: "moved_on" }
  | PassedMessage;

/** Environment variable that is set for a daemon whose parent hands over to it. */
export const SUCCESSOR_MARK = "MOUNTAINEER_SUCCESSOR";

/** Environment variable, set for a successor whose parent has already given up the home. */
export const NEEDED_MARK = "MOUNTAINEER_SUCCESSOR_NEEDED";

/** The message's kind; undefined if it is not a message of a daemon. */
export function messageKind(message: unknown): string | undefined {
  if (typeof message !== "object" || message === null || !("say" in message)) return undefined;
  return typeof message.say === "string" ? message.say : undefined;
}
