// The gateway's contract with the daemon: its configuration, options and view.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { GuardedPlaces } from "../../config/reach.ts";
import type { GatewaySections, ServedBackend, ServerConfig } from "../../config/snapshot.ts";
import type { BackendCondition, BackendView } from "../backends/policy/backend-pool-contract.ts";
import type { FailbackPolicy } from "../backends/policy/route-memory.ts";
import type { BackendTools } from "../backends/pool/backend-lane-contract.ts";
import type { SignInHome } from "../backends/sign-in/sign-ins.ts";
import type { LookAtPlaces } from "../folders/folder-gate.ts";
import type { SessionPeers } from "../front/http/forwarding.ts";
import type { SessionFile } from "../front/session/session-file.ts";
import type { PassBack } from "../front/session/session-store.ts";
import type { SuspendedCalls } from "../front/suspended/suspended-calls.ts";
import type { PinStore } from "../pins/pin-store.ts";
import type { Measured } from "../telemetry/metric-families.ts";
import type { TogetherConfig } from "../together/together.ts";
import type { OpenMachine } from "./borrowed-backends.ts";

/** The address in the configuration. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** The listening socket that a daemon hands to the next one. */
export interface HandedListener {
  readonly address: ListenAddress;
  /** The socket's handle, in the form in which Node passes sockets between processes. */
  readonly handle: object;
}

/**
 * `[server]` without the settings of the management API: the gateway does not serve that, although it has the
 * same address.
 */
export type ListenConfig = Omit<ServerConfig, "management">;

/** The part of a configuration that the gateway reads. */
export interface GatewayConfig extends Omit<GatewaySections, "server" | "backends"> {
  /** null: the file has no such section, and `DEFAULT_SERVER` holds. */
  readonly server: ListenConfig | null;
  readonly backends: readonly ServedBackend[];
  /** When backends go back to better routes; absent: the configuration's defaults. */
  readonly failback?: FailbackPolicy;
  /** Names of this machine's backends that other machines may use; absent: none. */
  readonly exports?: readonly string[];
  /** Whether other machines' backends may join; absent: no. */
  readonly borrows?: boolean;
  /** Which tools of several machines are published as one; absent: none. */
  readonly together?: TogetherConfig;
}

/** Returns true if it takes over the request and answers it. Never throws. */
export type Beside = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface GatewayOptions extends BackendTools {
  /** Environment variables for every backend's program. */
  readonly programEnvironment?: Readonly<Record<string, string>>;
  /** Stores sign-ins to backends; absent: backends are reached with their headers alone. */
  readonly signIn?: SignInHome;
  /**
   * Places that are hidden from programs in a sandbox. Default: only the hidden places of the user's home
   * folder.
   */
  readonly guarded?: GuardedPlaces;
  readonly version: string;
  /** Metrics of the daemon outside the gateway; absent: none. */
  readonly measured?: () => readonly Measured[];
  /** Resolves symbolic links of paths. Absent: for backends with `folders`, calls with a path are refused. */
  readonly places?: LookAtPlaces;
  /** Stores the pins of tools; absent: they are lost with the process. */
  readonly pinStore?: PinStore;
  /** Stores names in use and switched-off tools; absent: they are lost with the process. */
  readonly nameStore?: PinStore;
  /** Stores sessions across restarts; absent: they end with the process. Read before listening, closed at the end. */
  readonly sessions?: SessionFile;
  /**
   * Keeps the calls of 2026-07-28 clients that wait for input, so that they can continue in the other daemon
   * of a handover; absent: they can continue only here.
   */
  readonly suspended?: SuspendedCalls;
  /**
   * Called with a client's message about a call that is unknown here: the previous daemon may still run that
   * call.
   */
  readonly passBack?: PassBack;
  /** False while another process rotates the audit's file. Default: true. */
  readonly rotates?: () => boolean;
  /** False: no TCP listener, as for a single-shot command. */
  readonly listens: boolean;
  /** Opens a stream to another machine's gateway; absent: other machines are not reachable. */
  readonly openMachine?: OpenMachine;
  /** Machines that share their clients' sessions with this one; absent: none. */
  readonly peers?: () => SessionPeers;
  /** Serves requests other than MCP at the same address; absent: nothing. */
  readonly beside?: Beside | undefined;
}

export interface GatewayView {
  /** `http://127.0.0.1:9000/mcp`; null while it does not listen. */
  readonly url: string | null;
  readonly sessions: number;
  readonly inFlight: number;
  readonly backends: readonly BackendView[];
  readonly counts: {
    readonly tools: number;
    readonly resources: number;
    readonly resourceTemplates: number;
    readonly prompts: number;
  };
  /** Number of tools withheld by filters, by backend. */
  readonly withheldTools: ReadonlyMap<string, number>;
  readonly conditions: readonly BackendCondition[];
}

/** A configuration that is ready beside the current one. `commit` swaps them, and cannot fail. */
export interface PreparedGateway {
  commit(): void;
  /** Ends the replaced parts. */
  retire(): Promise<void>;
  rollback(): Promise<void>;
}

/**
 * Closes a handed-over listening socket that this process does not use. While it is open, the kernel accepts
 * connections on it, which nobody would serve.
 */
export function closeHandedListener(handed: HandedListener | null): void {
  if (handed !== null) closeHandle(handed.handle);
}

export function closeHandle(given: object): void {
  const handle: { readonly close?: unknown } = given;
  if (typeof handle.close === "function") handle.close();
}
