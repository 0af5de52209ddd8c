// The types of one backend instance: an initialized connection with its lists and its calls.
import type { CallSignal } from "../../call-signal.ts";
import type { CallPort, ClientPort } from "../../client-port.ts";
import type { GatewayTools } from "../../gateway-tools.ts";
import type { JsonObject } from "../../json-rpc.ts";
import type { McpLogLevel, SpokenVersion } from "../../protocol.ts";
import type { LinkFailure, OpenLink } from "../links/backend-link.ts";

export interface InitializeResult {
  /**
   * The version that the server speaks. It may be MODERN_VERSION: the link then presents the server as one
   * with a session.
   */
  readonly protocolVersion: SpokenVersion;
  readonly capabilities: JsonObject;
  readonly serverInfo: { readonly name: string; readonly version: string };
  /** The server's instructions for using its tools; null: it gives none. */
  readonly instructions: string | null;
}

export type InstanceState =
  /** Connecting, initializing, or reading its lists for the first time. */
  | { readonly kind: "starting" }
  /** Initialized, all lists read. */
  | { readonly kind: "ready" }
  /** The start failed, or the instance ended after it was ready. */
  | { readonly kind: "ended"; readonly wasReady: boolean; readonly failure: LinkFailure }
  | { readonly kind: "closing" };

/** A snapshot of an instance; immutable. */
export interface InstanceSeen {
  readonly id: number;
  /** The `connectionKey` of its configuration. Configurations with equal keys can share the connection. */
  readonly key: string;
  readonly state: InstanceState;
  /** Monotonic ms. */
  readonly startedAtMs: number;
  readonly readyAtMs: number | null;
  /** Number of client requests without an answer. */
  readonly inFlight: number;
  /** Failed health checks since the last sign of life. */
  readonly missedChecks: number;
  readonly checkedAtMs: number | null;
  /** The last request did not reach the server at all. */
  readonly outOfReach?: boolean;
  /** Why the served lists may be out of date; null: they are current. */
  readonly listsStaleBecause: string | null;
  /** One text for each list entry that strict clients would refuse. A new array after each change. */
  readonly withheldEntries: readonly string[];
  /** The server has asked for a client's roots. */
  readonly asksForRoots: boolean;
}

/** One request to a server. */
export interface BackendCall {
  readonly method: string;
  /**
   * Uses the server's own names for tools and the like. The instance replaces the client's
   * `_meta.progressToken`.
   */
  readonly params: JsonObject | undefined;
  /** The client's call, which gets progress, logs and the server's questions; null: the gateway's own call. */
  readonly port: CallPort | null;
  /** Time until the answer, ms; restarted by each progress notification. */
  readonly timeoutMs: number;
  /**
   * Cancels the call: the server gets notifications/cancelled with the signal's reason, and the reply is an
   * error.
   */
  readonly signal: CallSignal;
  /** Called before an error reply that comes from the link, not from the server. */
  readonly onLoss?: (loss: CallLoss) => void;
}

/** Why the link lost a call. */
export interface CallLoss {
  readonly failure: LinkFailure;
  /** False: the server never received the call. */
  readonly wasSent: boolean;
}

export interface InstanceOptions extends GatewayTools {
  readonly id: number;
  readonly key: string;
  /** The backend's name. */
  readonly backend: string;
  readonly open: OpenLink;
  /** Secrets of the connection, redacted everywhere but in answers to clients. Default none. */
  readonly secrets?: readonly string[];
  /** Timeout of `initialize`, from the server's first output. */
  readonly initMs: number;
  /** Time to wait for the server's first output: `npx` may have to download the server. Default 0. */
  readonly downloadMs?: number;
  /** Timeout of reading one list with all its pages. */
  readonly listMs: number;
  /** The gateway's name and version, sent at `initialize`. */
  readonly clientInfo: { readonly name: string; readonly version: string };
  /** The only client of the instance; null: all clients share it. */
  readonly owner: ClientPort | null;
  readonly logLevel: McpLogLevel | null;
  /** `seen` has changed. */
  readonly onSeen: () => void;
  /** `listings` or `freshness` have changed. */
  readonly onListings: () => void;
  /** The params of a notifications/message that belongs to no client's call. */
  readonly onLog: (params: JsonObject) => void;
}
