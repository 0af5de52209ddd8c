// The contract of one instance of a backend: a connection that is initialized, its lists, and calls through it.
import type { CallSignal } from "../../call-signal.ts";
import type { CallPort, ClientPort } from "../../client-port.ts";
import type { GatewayTools } from "../../gateway-tools.ts";
import type { JsonObject } from "../../json-rpc.ts";
import type { McpLogLevel, SpokenVersion } from "../../protocol.ts";
import type { LinkFailure, OpenLink } from "../links/backend-link.ts";

export interface InitializeResult {
  /** MODERN_VERSION: the link makes a server of that version look as if it had a session. */
  readonly protocolVersion: SpokenVersion;
  readonly capabilities: JsonObject;
  readonly serverInfo: { readonly name: string; readonly version: string };
  /** How the server wants its tools to be used; null: it does not say. */
  readonly instructions: string | null;
}

/** What is known of an instance at one moment; immutable. */
export type InstanceState =
  /** Connecting, initializing, or reading its lists for the first time. */
  | { readonly kind: "starting" }
  /** Initialized, all lists read. */
  | { readonly kind: "ready" }
  /** It never became ready, or was and ended. */
  | { readonly kind: "ended"; readonly wasReady: boolean; readonly failure: LinkFailure }
  | { readonly kind: "closing" };

export interface InstanceSeen {
  readonly id: number;
  /** Equal for configurations that need no new connection (`connectionKey`). */
  readonly key: string;
  readonly state: InstanceState;
  /** Monotonic ms. */
  readonly startedAtMs: number;
  readonly readyAtMs: number | null;
  /** Client requests that have no answer yet. */
  readonly inFlight: number;
  /** Health checks that failed since the last sign of life. */
  readonly missedChecks: number;
  readonly checkedAtMs: number | null;
  /** The last request did not reach the server at all. */
  readonly outOfReach?: boolean;
  /** Why the lists that are served may be old; null: they are not. */
  readonly listsStaleBecause: string | null;
  /** Entries of its lists that strict clients would refuse, in words; another list when it changed. */
  readonly withheldEntries: readonly string[];
  /** It has asked for a client's roots. */
  readonly asksForRoots: boolean;
}

/** One request to a server. */
export interface BackendCall {
  readonly method: string;
  /** With the server's own names; `_meta.progressToken` as the client gave it (the instance puts its own). */
  readonly params: JsonObject | undefined;
  /** Whose call it is; null: the gateway's own. Progress, logs and the server's questions go there. */
  readonly port: CallPort | null;
  /** From handing it over until the answer, ms; each progress notification starts it anew. */
  readonly timeoutMs: number;
  /** Cancels: the server gets notifications/cancelled with the signal's reason, the reply is an error. */
  readonly signal: CallSignal;
  /** Called before the reply when the link, and not the server, is why it is an error. */
  readonly onLoss?: (loss: CallLoss) => void;
}

/** A call that came to nothing on the way. */
export interface CallLoss {
  readonly failure: LinkFailure;
  /** False: the server never got it. */
  readonly wasSent: boolean;
}

/** How an instance is started; `startBackendInstance` in its own file does. */
export interface InstanceOptions extends GatewayTools {
  readonly id: number;
  readonly key: string;
  /** For messages: the backend's name. */
  readonly backend: string;
  readonly open: OpenLink;
  /** Of its connection; they appear in nothing that is kept or told of it beside answers to clients. Default none. */
  readonly secrets?: readonly string[];
  /** From the server's first output until it has answered `initialize`. */
  readonly initMs: number;
  /** How long that first output is waited for: `npx` may have to download the server first. Default 0. */
  readonly downloadMs?: number;
  /** Of reading one list, all its pages. */
  readonly listMs: number;
  /** What the gateway says it is at initialize. */
  readonly clientInfo: { readonly name: string; readonly version: string };
  /** Whose instance it is; null: shared by all clients. */
  readonly owner: ClientPort | null;
  readonly logLevel: McpLogLevel | null;
  /** `seen` is another one. */
  readonly onSeen: () => void;
  /** `listings` or `freshness` are others. */
  readonly onListings: () => void;
  /** A log message (the params of notifications/message) that belongs to no client's call. */
  readonly onLog: (params: JsonObject) => void;
}
