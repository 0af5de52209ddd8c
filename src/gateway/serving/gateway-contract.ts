// What the daemon asks of the gateway.
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

/** As configured. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** The listening socket of a gateway that hands over. */
export interface HandedListener {
  readonly address: ListenAddress;
  /** As Node passes sockets between processes. */
  readonly handle: object;
}

/** What is asked for at the same address beside MCP is not the gateway's. */
export type ListenConfig = Omit<ServerConfig, "management">;

/** The part of a configuration that the gateway reads. */
export interface GatewayConfig extends Omit<GatewaySections, "server" | "backends"> {
  /** null: the file has no such section; the defaults hold. */
  readonly server: ListenConfig | null;
  readonly backends: readonly ServedBackend[];
  /** When backends go back to better routes; absent: as the configuration's defaults have it. */
  readonly failback?: FailbackPolicy;
  /** Names of its own backends that other machines may use; absent: none. */
  readonly exports?: readonly string[];
  /** Backends of other machines may join; absent: none do. */
  readonly borrows?: boolean;
  /** Some of their tools are one with each other's, and with those of this machine; absent: none are. */
  readonly together?: TogetherConfig;
}

/** True: it takes the request, and answers it sooner or later. Never throws. */
export type Beside = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface GatewayOptions extends BackendTools {
  /** Added to what every backend's program gets of our environment. */
  readonly programEnvironment?: Readonly<Record<string, string>>;
  /** Where sign-ins to backends are kept; absent: backends are reached with their headers alone. */
  readonly signIn?: SignInHome;
  /** What no sandbox ever shows. Default: nothing but what its user's home folder hides. */
  readonly guarded?: GuardedPlaces;
  readonly version: string;
  /** What is measured outside of the gateway, now; absent: nothing. */
  readonly measured?: () => readonly Measured[];
  /** Where paths lead; absent: nobody can tell, and nothing that looks like a path goes to a backend with `folders`. */
  readonly places?: LookAtPlaces;
  /** Where the pins of tools are kept; absent: they are not. */
  readonly pinStore?: PinStore;
  /** The same for the names that clients have used. */
  readonly nameStore?: PinStore;
  /** Where sessions outlive a restart; absent: they do not. Read when it begins to listen, closed when it ends. */
  readonly sessions?: SessionFile;
  /** Calls that wait for modern clients; absent: its own, and no other daemon knows of them. */
  readonly suspended?: SuspendedCalls;
  /** Takes what a client says that is about nothing here: something may be in flight in the gateway before this one. */
  readonly passBack?: PassBack;
  /** False: the audit's file is another gateway's to rotate. Absent: it is this one's. */
  readonly rotates?: () => boolean;
  /** False: no TCP listener at all, as for a single-shot command. */
  readonly listens: boolean;
  /** How gateways of other machines are reached; absent: none is. */
  readonly openMachine?: OpenMachine;
  /** Machines with which sessions of clients are shared; absent: none are. */
  readonly peers?: () => SessionPeers;
  /** What is served at the same address beside MCP; absent: nothing. */
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
  /** By backend: the number of tools its filters withhold. */
  readonly withheldTools: ReadonlyMap<string, number>;
  readonly conditions: readonly BackendCondition[];
}

/** The new beside the old: committing swaps, and cannot fail. */
export interface PreparedGateway {
  commit(): void;
  /** Ends what was replaced. */
  retire(): Promise<void>;
  rollback(): Promise<void>;
}

/** Closes a socket of another process that is not used here: else the kernel would accept connections nobody serves. */
export function closeHandedListener(handed: HandedListener | null): void {
  if (handed !== null) closeHandle(handed.handle);
}

export function closeHandle(given: object): void {
  const handle: { readonly close?: unknown } = given;
  if (typeof handle.close === "function") handle.close();
}
