// What the lane of one backend needs of the pool.

import type { GatewayTools } from "../../gateway-tools.ts";
import type { GatewayTransition } from "../../gateway-transitions.ts";
import type { JsonObject } from "../../json-rpc.ts";
import type { McpLogLevel } from "../../protocol.ts";
import type { InstanceOptions } from "../instance/backend-instance.ts";
import type { StartInstance } from "../instance/start-backend-instance.ts";
import type { OpenLink } from "../links/backend-link.ts";
import type { SignInNotice } from "../links/link-authorization.ts";
import type { DataSource } from "../policy/required-data.ts";
import type { FailbackPolicy } from "../policy/route-memory.ts";
import type { ResolvedConnection } from "./connection-key.ts";

/** What is kept over restarts. */
export interface HeldRoutes {
  get(backend: string): string | null;
  /** null: it is held no more. */
  keep(backend: string, route: string | null): void;
  /** Resolves when what was kept outlives a kill, or when that was waited for long enough. Never rejects. */
  settled(): Promise<unknown>;
}

/** What whoever runs a gateway gives its backends. */
export interface BackendTools extends GatewayTools {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** A secret's value, so that no log line ever shows it. */
  readonly redact: (secret: string) => void;
  readonly announce: (transition: GatewayTransition) => void;
  /** Absent: nothing is known of shares, and what requires one is served as if it were there. */
  readonly data?: DataSource;
  /** On which routes people hold backends; absent: that is not kept. */
  readonly heldRoutes?: HeldRoutes;
  /** What cannot run twice may still run elsewhere; absent: nowhere. To be asked again after `lookAgain`. */
  readonly runsElsewhere?: () => boolean;
}

export interface LaneTools extends BackendTools {
  readonly clientInfo: InstanceOptions["clientInfo"];
  readonly startInstance: StartInstance;
  /** `secrets`: what of the connection's values must appear in no message. */
  readonly openLink: (
    connection: ResolvedConnection,
    backend: string,
    secrets: readonly string[],
    /** Another one than the backend's first. */
    route: string | null,
    /** Equal for connections that need no new instance. */
    key: string,
  ) => OpenLink;
  /** What is wrong with a backend's sign-in; null: nothing. Absent: nobody signs in. */
  readonly signIn?: (backend: string) => SignInNotice | null;
  /** 0 to 1. */
  readonly random: () => number;
  /** A log message that belongs to no call. */
  readonly onLog: (params: JsonObject, backend: string) => void;
  readonly logLevel: () => McpLogLevel | null;
  readonly drainTimeoutMs: () => number;
  readonly failback: () => FailbackPolicy;
  /** Calls back when it is this one's turn to start a program: never at once, and one after the other. */
  readonly takeTurn: (start: () => void) => void;
  /** What is published of it, or the phase, may be another, or calls have ended. */
  readonly onChanged: (backend: string) => void;
}
