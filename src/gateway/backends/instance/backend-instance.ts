// The types of a backend instance: one connection to a server, with its lists and calls.

import type { RuntimeTools } from "../../../runtime/log/runtime-tools.ts";
import type { AnswerBudget } from "../../answers-in-flight.ts";
import type { CallSignal } from "../../call-signal.ts";
import type { Listings } from "../../catalog/catalog.ts";
import type { CallHandle, ClientHandle } from "../../client-handle.ts";
import type { JsonObject } from "../../json-rpc.ts";
import type { McpLogLevel, SpokenVersion } from "../../protocol.ts";
import type { OpenTransport, ServerQuirk, TransportFailure } from "../transports/backend-transport.ts";

export interface InitializeResult {
  /** MODERN_VERSION for a server of that version, although the link presents the server as one with a session. */
  readonly protocolVersion: SpokenVersion;
  readonly capabilities: JsonObject;
  readonly serverInfo: { readonly name: string; readonly version: string };
  readonly instructions: string | null;
}

export type InstanceState =
  | { readonly kind: "starting" }
  | { readonly kind: "ready" }
  | {
      readonly kind: "ended";
      readonly wasReady: boolean;
      readonly failure: TransportFailure;
      /** The program exited without an error while no client used it. */
      readonly wasIdle?: boolean;
    }
  | { readonly kind: "closing" };

/** Immutable. */
export interface InstanceObservation {
  readonly id: number;
  /** The `connectionKey` of the configuration. Configurations with equal keys can share the connection. */
  readonly key: string;
  readonly state: InstanceState;
  /** Monotonic ms. */
  readonly startedAtMs: number;
  readonly readyAtMs: number | null;
  /** Client requests without an answer. */
  readonly inFlight: number;
  /** Since the last sign of life. */
  readonly missedChecks: number;
  readonly checkedAtMs: number | null;
  /** The last request could not be sent to the server. */
  readonly isUnreachable?: boolean;
  /** Why the served lists may be out of date; null: they are current. */
  readonly listsStaleBecause: string | null;
  /** One text for each entry that strict clients would refuse. A new array after each change. */
  readonly withheldEntries: readonly string[];
  readonly requestsRoots: boolean;
  /** A new array after each change. */
  readonly oddities: readonly ServerQuirk[];
}

export interface BackendCall {
  readonly method: string;
  /** The params with the server's own names. The instance replaces their progress token. */
  readonly params: JsonObject | undefined;
  /** Gets progress, logs and the server's questions; null: the gateway's own call. */
  readonly handle: CallHandle | null;
  /** Begins again with each progress notification. */
  readonly timeoutMs: number;
  /**
   * When this signal aborts, the server gets notifications/cancelled with the signal's reason, and the reply is an
   * error.
   */
  readonly signal: CallSignal;
  /** Called before an error reply that comes from the link. */
  readonly onLoss?: (loss: CallLoss) => void;
}

export interface CallLoss {
  readonly failure: TransportFailure;
  /** False: the server never received the call. */
  readonly wasSent: boolean;
}

export interface InstanceOptions extends RuntimeTools {
  readonly id: number;
  readonly key: string;
  readonly backend: string;
  readonly open: OpenTransport;
  /** Redacted everywhere except in answers to clients. Default none. */
  readonly secrets?: readonly string[];
  /** For `initialize`, counted from the server's first output. */
  readonly initMs: number;
  /** How much longer it may take if it has written nothing. Default 0. */
  readonly silentMs?: number;
  /** Longest start if it has written to stderr, but not to stdout; 0 (the default): each of its lines is its first output. */
  readonly fetchMs?: number;
  /** The lists that the server had before; null or absent: not known. Equal entries stay the same objects. */
  readonly listings?: Listings | null;
  /** Time-out for reading one list with all its pages. */
  readonly listMs: number;
  readonly clientInfo: { readonly name: string; readonly version: string };
  /** The only client of the instance; null: all clients share it. */
  readonly owner: ClientHandle | null;
  readonly logLevel: McpLogLevel | null;
  /** The extensions that all clients have when a shared instance is initialized. Absent: none. */
  readonly extensions?: () => JsonObject;
  /** Absent: answers are read at once. */
  readonly answers?: AnswerBudget;
  /** The URI that clients use for one of the server's. */
  readonly publishedUri: (uri: string) => string;
  /** `seen` has changed. */
  readonly onObserved: () => void;
  /** `listings` or `freshness` has changed. */
  readonly onListings: () => void;
  /** A notifications/message that belongs to no client's call. */
  readonly onLog: (params: JsonObject) => void;
}
