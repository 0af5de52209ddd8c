// Owns what the pool asks of one backend's lane, and what a lane needs of the pool.
import type { BackendConfig } from "../../../config/snapshot.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { CatalogSource } from "../../catalog/catalog.ts";
import type { ClientPort } from "../../client-port.ts";
import type { GatewayTransition } from "../../gateway-transitions.ts";
import type { JsonObject, Reply } from "../../json-rpc.ts";
import type { McpLogLevel } from "../../protocol.ts";
import type { InstanceOptions, StartInstance } from "../instance/backend-instance.ts";
import type { OpenLink } from "../links/backend-link.ts";
import type { BackendView, PoolCall, ServerGreeting } from "../policy/backend-pool-contract.ts";
import type { ResolvedConnection } from "./connection-key.ts";

export interface LaneTools {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly redact: (secret: string) => void;
  readonly announce: (transition: GatewayTransition) => void;
  readonly clientInfo: InstanceOptions["clientInfo"];
  readonly startInstance: StartInstance;
  /** `secrets`: what of the connection's values must appear in no message. */
  readonly openLink: (
    connection: ResolvedConnection,
    backend: string,
    secrets: readonly string[],
  ) => OpenLink;
  /** 0 to 1. */
  readonly random: () => number;
  /** A log message that belongs to no call. */
  readonly onLog: (params: JsonObject, backend: string) => void;
  readonly logLevel: () => McpLogLevel | null;
  readonly drainTimeoutMs: () => number;
  /** Calls back when it is this one's turn to start a program: never at once, and one after the other. */
  readonly takeTurn: (start: () => void) => void;
  /** What is published of it, or the phase, may be another, or calls have ended. */
  readonly onChanged: (lane: BackendLane) => void;
}

export interface BackendLane {
  readonly name: string;
  /** What is published of it; null: nothing. The same object until it changes. */
  readonly source: CatalogSource | null;
  /** No first attempt is under way or due. */
  readonly isSettled: boolean;
  /** It is not configured, and nothing is left of it. */
  readonly isGone: boolean;
  readonly inFlight: number;
  /** What the server said of itself; null: nothing of it is published. */
  readonly greeting: ServerGreeting | null;
  /** Null: it is not configured any more. What needs no connection takes effect in this call. */
  configure(config: BackendConfig | null): void;
  /** What holds for all backends has changed. */
  lookAgain(): void;
  /** Never rejects. */
  call(call: PoolCall): Promise<Reply>;
  subscribe(uri: string, client: ClientPort): Promise<Reply>;
  unsubscribe(uri: string, client: ClientPort): Promise<Reply>;
  notifyOwn(client: ClientPort, method: string, params: JsonObject | undefined): void;
  setLogLevel(level: McpLogLevel | null): void;
  forget(client: ClientPort): void;
  view(): BackendView;
  restart(): void;
  logLines(): readonly string[];
  /** Takes no more calls and no more steps; those in flight go on. */
  stop(message: string): void;
  /** Ends every instance: calls in flight get the error. */
  close(message: string): Promise<void>;
}
