// What two daemons say to each other while one hands over to the other. They may be of different versions: what is not
// understood is not heard.
import type { StateKey } from "../../gateway/front/suspended/suspended-calls.ts";
import type { BegunSession } from "./handed-sessions.ts";

/** The address at which the one in charge listens, as configured; the socket itself comes beside the message. */
export interface DoorAddress {
  readonly host: string;
  readonly port: number;
}

/** A session that a client has begun with the old one meanwhile. */
export interface LateSession extends BegunSession {
  readonly n: number;
}

/**
 * A client's request whose call waits in the other one, under a number of who passes it. What a client said, or gets, is
 * JSON in JSON, so that no number loses its digits.
 */
export type SaidOfPassed =
  | { readonly say: "request"; readonly n: number; readonly request: string }
  /** The client has closed request `n`. */
  | { readonly say: "gone"; readonly n: number }
  /** Within request `n` of the other one. */
  | { readonly say: "notice"; readonly n: number; readonly json: string }
  | { readonly say: "answer"; readonly n: number; readonly reply: string };

/** What a client said to the new one about something that is in flight in the old one: JSON-RPC. */
export interface ClientWords {
  /** Of its session. */
  readonly hash: string;
  readonly text: string;
}

export type SaidByOld =
  /** The home is free; with it comes the door, unless there is none. An older version has no `states`. */
  | {
      readonly say: "go";
      readonly door: DoorAddress | null;
      readonly states?: StateKey;
      /** Process groups of what cannot run twice; an earlier version says nothing of them. */
      readonly once?: readonly number[];
    }
  | ({ readonly say: "session" } & LateSession)
  /** Its client has ended the session, over a connection from before. */
  | { readonly say: "session_ended"; readonly hash: string }
  /** With it comes a connection that waits between requests, to be answered by `kept`. */
  | { readonly say: "connection"; readonly n: number }
  /** Backends that cannot run twice have ended. */
  | { readonly say: "ended" }
  | SaidOfPassed;

export type SaidByNew =
  | { readonly say: "ready"; readonly version: string; readonly backends: Readonly<Record<string, string>> }
  | { readonly say: "failed"; readonly message: string; readonly hint: string | null }
  /** An earlier version does not say that it takes `connections`, nor does one that listens nowhere. */
  | { readonly say: "taken"; readonly connections?: boolean }
  /** It was told to end, or the one after it has ended: the whole service ends. */
  | { readonly say: "stopped" }
  /** It goes because yet another one is in charge. */
  | { readonly say: "moved_on" }
  | ({ readonly say: "words" } & ClientWords)
  | { readonly say: "kept"; readonly n: number }
  | SaidOfPassed;

/** Tells a daemon that its parent is the one it follows. */
export const SUCCESSOR_MARK = "MOUNTAINEER_SUCCESSOR";

/** Beside it: the daemon before has given up the home already. An earlier version does not say so. */
export const NEEDED_MARK = "MOUNTAINEER_SUCCESSOR_NEEDED";

/** Undefined for what no daemon says. */
export function saidIn(message: unknown): string | undefined {
  if (typeof message !== "object" || message === null || !("say" in message)) return undefined;
  return typeof message.say === "string" ? message.say : undefined;
}
