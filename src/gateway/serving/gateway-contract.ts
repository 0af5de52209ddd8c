// The types of what the daemon passes to the gateway, and of what the gateway gives back.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ProtectedPaths } from "../../config/reachable-paths.ts";
import type { GatewaySections, ServedBackend, ServerConfig } from "../../config/snapshot.ts";
import type { ListStore } from "../backends/list-cache/list-cache.ts";
import type { BackendView } from "../backends/policy/backend-pool-contract.ts";
import type { FailbackPolicy } from "../backends/policy/route-memory.ts";
import type { BackendTools } from "../backends/pool/backend-contract.ts";
import type { SignInHome } from "../backends/server-sign-in/sign-ins.ts";
import type { GrantStore } from "../client-sign-in/grants.ts";
import type { ResolvePaths } from "../folders/folder-gate.ts";
import type { OtherDaemons } from "../frontend/session/other-daemons.ts";
import type { HandedSessions } from "../frontend/session/session-memory.ts";
import type { SuspendedCalls } from "../frontend/suspended/suspended-calls.ts";
import type { OwnerQuestions } from "../middleware/owner-questions.ts";
import type { PinStore } from "../pins/pin-store.ts";
import type { Measured } from "../telemetry/metric-families.ts";
import type { GatewayCondition } from "./condition-rows.ts";
import type { OpenMachine } from "./imported-backends.ts";

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** A listening socket that one daemon hands to the next. */
export interface InheritedListener {
  readonly address: ListenAddress;
  /** In the form in which Node passes sockets between processes. */
  readonly handle: object;
}

/** `[server]` without the management API, which the gateway does not serve. */
export type ListenConfig = Omit<ServerConfig, "management">;

export interface GatewayConfig extends Omit<GatewaySections, "server" | "backends"> {
  /** null: the file has no `[server]`, and `SERVER_DEFAULT` applies. */
  readonly server: ListenConfig | null;
  readonly backends: readonly ServedBackend[];
  /** Absent: the configuration's defaults. */
  readonly failback?: FailbackPolicy;
  /** The backends of this machine that other machines may use. */
  readonly exports?: readonly string[];
  /** True if backends of other machines may be added. */
  readonly importsBackends?: boolean;
}

/** Returns true if it takes over the request and answers it. Never throws. */
export type HandleOther = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface GatewayOptions extends Omit<BackendTools, "routeOverrides"> {
  /** The home of the Mountaineer that runs in this process; null: none does. */
  readonly homeOf?: (pid: number) => Promise<string | null>;
  readonly programEnvironment?: Readonly<Record<string, string>>;
  /** The folder of a plugin or bundle, as it may be started now. Rejects with the reason why it may not. */
  readonly packageFolder?: (named: string) => Promise<string>;
  /** Absent: no backend has a sign-in. */
  readonly signIn?: SignInHome;
  /** Paths that are hidden from programs in a sandbox. Default: only the user's home folder. */
  readonly guarded?: ProtectedPaths;
  readonly version: string;
  /** Measurements from the part of the daemon outside the gateway. */
  readonly measured?: () => readonly Measured[];
  /** Absent: calls with a path are refused for backends with `folders`. */
  readonly resolvePaths?: ResolvePaths;
  /** Absent: pins are lost with the process. */
  readonly pinStore?: PinStore;
  /** Stores names in use, switched-off tools and route overrides. Absent: they are lost with the process. */
  readonly nameStore?: PinStore;
  /** A person has fixed a backend to a route, or ended that. */
  readonly onRouteOverride?: () => void;
  /** What servers listed last. Absent: it is lost with the process. */
  readonly listStore?: ListStore;
  /** What users let clients do. Absent: it is lost with the process. */
  readonly grantStore?: GrantStore;
  /** The home's secret, with which session ids are sealed. Absent: sessions end with the process. */
  readonly sessionSecret?: () => SessionSecret;
  /** The sessions of daemons before this one. Absent: there are none. */
  readonly handedSessions?: () => HandedSessions;
  /**
   * Calls of 2026-07-28 clients that wait for input, so that they survive a handover. Absent: only this process can
   * continue them.
   */
  readonly suspended?: SuspendedCalls;
  /** The questions to the owner. Absent: only clients can be asked. */
  readonly questions?: OwnerQuestions;
  /** The daemons before and after this one. */
  readonly others?: OtherDaemons;
  /** False while another process rotates the audit's file. Default: true. */
  readonly rotates?: () => boolean;
  /** False for a single-shot command. */
  readonly listens: boolean;
  /** Absent: other machines are not reachable. */
  readonly openMachine?: OpenMachine;
  /** Serves non-MCP requests at the same address. */
  readonly handleFirst?: HandleOther | undefined;
}

export interface SessionSecret {
  readonly bytes: Buffer;
  /** Why the next daemon will not find it in the home, unless this one hands it over; null: it will. */
  readonly unsavedBecause: string | null;
}

export interface GatewayView {
  /** `http://127.0.0.1:9000/mcp`; null: it does not listen. */
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
  readonly conditions: readonly GatewayCondition[];
}

/** A new gateway configuration that is ready to run. `commit` puts it in place of the current one, and cannot fail. */
export interface PreparedGateway {
  commit(): void;
  retire(): Promise<void>;
  rollback(): Promise<void>;
}

/** While the unused socket is open, the kernel accepts connections on it that are never served. */
export function closeInheritedListener(handed: InheritedListener | null): void {
  const handle: { readonly close?: unknown } = handed?.handle ?? {};
  if (typeof handle.close === "function") handle.close();
}
