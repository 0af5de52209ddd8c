// What a backend needs from the daemon and the pool.
import type { RuntimeTools } from "../../../runtime/log/runtime-tools.ts";
import type { ClientHandle } from "../../client-handle.ts";
import type { GatewayTransition } from "../../gateway-transitions.ts";
import type { JsonObject } from "../../json-rpc.ts";
import type { McpLogLevel } from "../../protocol.ts";
import type { InstanceOptions } from "../instance/backend-instance.ts";
import type { StartInstance } from "../instance/start-backend-instance.ts";
import type { ListCache } from "../list-cache/list-cache.ts";
import type { SignInNotice } from "../policy/condition-rows.ts";
import type { DataSource } from "../policy/required-data.ts";
import type { FailbackPolicy } from "../policy/route-memory.ts";
import type { OpenTransport } from "../transports/backend-transport.ts";
import type { SignInAccount } from "../transports/transport-authorization.ts";
import type { ResolvedConnection } from "./connection-key.ts";

/** The routes to which people have fixed backends ("holds"), kept over restarts. */
export interface RouteOverrides {
  get(backend: string): string | null;
  /** `route` null: removes the hold. */
  keep(backend: string, route: string | null): void;
  /** Resolves when the last change is on disk, or after a limit. Never rejects. */
  whenWritten(): Promise<unknown>;
}

export interface BackendTools extends RuntimeTools {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** From now on the secret appears in no log line. */
  readonly redact: (secret: string) => void;
  readonly announce: (transition: GatewayTransition) => void;
  /** Absent: required shares count as present. */
  readonly data?: DataSource;
  /** Absent: holds do not outlive the process. */
  readonly routeOverrides?: RouteOverrides;
  /** Absent: nothing was listed before. */
  readonly remembered?: Pick<ListCache, "find" | "record">;
  /** True while another process may run `stop-first` backends; `lookAgain` reports a change. Absent: never. */
  readonly runsInPrevious?: () => boolean;
}

export interface Settings {
  readonly drainTimeoutMs: number;
  readonly failback: FailbackPolicy;
}

export interface PoolTools extends BackendTools {
  readonly clientInfo: InstanceOptions["clientInfo"];
  readonly startInstance: StartInstance;
  readonly answers?: InstanceOptions["answers"];
  readonly extensions?: InstanceOptions["extensions"];
  /** `secrets` must not appear in messages. */
  readonly openTransport: (
    connection: ResolvedConnection,
    backend: string,
    secrets: readonly string[],
    /** Null: the backend's first route. */
    route: string | null,
    /** The `ConnectionOutcome.key`. */
    key: string,
    /** Absent: the owner's sign-in, if the backend has one. */
    account?: SignInAccount,
  ) => OpenTransport;
  /** The problem with a backend's sign-in. Absent: there are no sign-ins. */
  readonly signIn?: (backend: string, account?: SignInAccount) => SignInNotice | null;
  /** Where the account's user signs in, or why there is no such page. Absent: nowhere. */
  readonly connectAt?: (
    account: { readonly backend: string; readonly user: string; readonly entry: string },
    client: ClientHandle,
  ) => Promise<{ readonly url: string } | { readonly closedBecause: string }>;
  /** The backend is one user's account, which starts with a call. Absent: false. */
  readonly isOfAccount?: true;
  /** From 0 to 1. */
  readonly random: () => number;
  /** The URI that clients use for one of the backend's. */
  readonly publishedUri: (backend: string, uri: string) => string;
  /** A log message that belongs to no call. */
  readonly onLog: (params: JsonObject, backend: string) => void;
  readonly logLevel: () => McpLogLevel | null;
  readonly settings: () => Settings;
  /** Programs start one by one: calls `start` when it is this backend's turn. */
  readonly takeTurn: (start: () => void) => void;
  /** The phase or the published lists may have changed, or calls have ended. */
  readonly onChanged: (backend: string) => void;
}
