// The messages between two daemons during a handover. The daemons may be of different versions: each ignores messages that it
// does not know.
import type { HandedOffStream } from "../../gateway/frontend/http/passed-connections.ts";
import type { ClientMessage } from "../../gateway/frontend/session/handover-peers.ts";
import type { StateKey } from "../../gateway/frontend/suspended/suspended-calls.ts";
import type { InheritedListener } from "../../gateway/serving/gateway-contract.ts";
import type { BegunSession } from "./transferred-sessions.ts";

/** A session that a client began with the old daemon during the handover. */
export interface LateSession extends BegunSession {
  readonly n: number;
}

/**
 * What a client has sent to one daemon about a call in flight in another. `n`: the number of a request whose call waits in
 * the other daemon, chosen by the daemon that passes it. Requests and answers are JSON texts within JSON, so that large numbers keep
 * all digits.
 */
export type PassedMessage =
  | ({ readonly say: "words" } & ClientMessage)
  | { readonly say: "request"; readonly n: number; readonly request: string }
  /** The client of request `n` has disconnected. */
  | { readonly say: "gone"; readonly n: number }
  /** A notification for the client of request `n`, sent to the daemon that passed the request. */
  | { readonly say: "notice"; readonly n: number; readonly json: string }
  | { readonly say: "answer"; readonly n: number; readonly reply: string };

export type MessageFromOld =
  /**
   * The home is free. The message carries the listening socket as its handle, if there is one.
   */
  | {
      readonly say: "go";
      /** The address on which the old daemon listens, as configured. */
      readonly door: InheritedListener["address"] | null;
      readonly states: StateKey;
      /** Process groups of backends that cannot run twice. */
      readonly once: readonly number[];
    }
  | ({ readonly say: "session" } & LateSession)
  /** A client that is connected to the old daemon has ended its session. */
  | { readonly say: "session_ended"; readonly hash: string }
  /** The message's handle is an idle connection. The new daemon acknowledges it with `kept`. */
  | { readonly say: "connection"; readonly n: number }
  /** The message's handle is the connection of an event stream, acknowledged likewise. */
  | { readonly say: "stream"; readonly n: number; readonly stream: HandedOffStream }
  /** The backends that must not run twice have ended. */
  | { readonly say: "ended" }
  | PassedMessage;

export type MessageFromNew =
  | { readonly say: "ready"; readonly version: string; readonly backends: Readonly<Record<string, string>> }
  | { readonly say: "failed"; readonly message: string; readonly hint: string | null }
  /**
   * The successor is in charge. `connections`: false if it does not listen, and so accepts no
   * idle connections.
   */
  | { readonly say: "taken"; readonly connections: boolean }
  /** The sender was stopped, or its own successor has ended: the whole service ends. */
  | { readonly say: "stopped" }
  /** The sender ends because its own successor is in charge. */
  | { readonly say: "moved_on" }
  | { readonly say: "kept"; readonly n: number }
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
