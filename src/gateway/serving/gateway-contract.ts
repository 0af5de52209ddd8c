// What the daemon asks of the gateway.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { LimitsConfig } from "../../config/limits.ts";
import type { GuardedPlaces } from "../../config/reach.ts";
import type {
  AuditConfig,
  AuthorizationConfig,
  ConflictConfig,
  GroupConfig,
  IncomingAuthConfig,
  OptimizerConfig,
  ProfileConfig,
  ServedBackend,
  ServerConfig,
  TelemetryConfig,
  TrustConfig,
} from "../../config/snapshot.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { BackendCondition, BackendView } from "../backends/policy/backend-pool-contract.ts";
import type { DataSource } from "../backends/policy/required-data.ts";
import type { FailbackPolicy } from "../backends/policy/route-memory.ts";
import type { HeldRoutes } from "../backends/pool/backend-lane-contract.ts";
import type { SwitchOutcome } from "../backends/pool/lane-state.ts";
import type { SignInHome } from "../backends/sign-in/sign-ins.ts";
import type { Catalog, CatalogEntry } from "../catalog/catalog.ts";
import type { LookAtPlaces } from "../folders/folder-gate.ts";
import type { Holds } from "../front/holds/holds.ts";
import type { SessionPeers } from "../front/http/forwarding.ts";
import type { PassConnection } from "../front/http/passed-connections.ts";
import type { SessionFile } from "../front/session/session-file.ts";
import type { SessionRecord } from "../front/session/session-record.ts";
import type { PassBack } from "../front/session/session-store.ts";
import type { GatewayTransition } from "../gateway-transitions.ts";
import type { JsonObject, Reply } from "../json-rpc.ts";
import type { NoticeRecord } from "../middleware/audit.ts";
import type { PinStore } from "../pins/pin-store.ts";
import type { ApprovedItem, Pins, PinsState } from "../pins/pins.ts";
import type { CallMinutes } from "../telemetry/call-minutes.ts";
import type { Measured } from "../telemetry/metric-families.ts";
import type { Together, TogetherConfig } from "../together/together.ts";
import type { BorrowedBackend, OpenMachine } from "./borrowed-backends.ts";
import type { ConnectedClient } from "./connected-clients.ts";
import type { WithheldEntry } from "./withheld-entries.ts";

/** A listening socket, as Node passes it from process to process. */
export type DoorHandle = object;

/** The door of a gateway that hands over. */
export interface GivenDoor {
  /** As configured. */
  readonly address: { readonly host: string; readonly port: number };
  readonly handle: DoorHandle;
}

/** What is asked for at the same address beside MCP is not the gateway's. */
export type ListenConfig = Omit<ServerConfig, "management">;

/** The part of a configuration that the gateway reads. */
export interface GatewayConfig {
  /** null: the file has no such section; the defaults hold. */
  readonly server: ListenConfig | null;
  readonly backends: readonly ServedBackend[];
  /** When backends go back to better routes; absent: as the configuration's defaults have it. */
  readonly failback?: FailbackPolicy;
  readonly conflictResolution: ConflictConfig;
  readonly incomingAuth: IncomingAuthConfig;
  /** null: off. */
  readonly authorization: AuthorizationConfig | null;
  readonly limits: LimitsConfig;
  /** null: off. */
  readonly audit: AuditConfig | null;
  readonly trust: TrustConfig;
  /** null: off. */
  readonly telemetry: TelemetryConfig | null;
  readonly optimizer: OptimizerConfig;
  readonly groups: readonly GroupConfig[];
  readonly profiles: readonly ProfileConfig[];
  /** Names of its own backends that other machines may use; absent: none. */
  readonly exports?: readonly string[];
  /** Backends of other machines may join; absent: none do. */
  readonly borrows?: boolean;
  /** Some of their tools are one with each other's, and with those of this machine; absent: none are. */
  readonly together?: TogetherConfig;
}

/** True: it takes the request, and answers it sooner or later. Never throws. */
export type Beside = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface GatewayOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Added to what every backend's program gets of our environment. */
  readonly programEnvironment?: Readonly<Record<string, string>>;
  /** Where sign-ins to backends are kept; absent: backends are reached with their headers alone. */
  readonly signIn?: SignInHome;
  /** What no sandbox ever shows. Default: nothing but what its user's home folder hides. */
  readonly guarded?: GuardedPlaces;
  /** A secret's value, so that no log line ever shows it. */
  readonly redact: (secret: string) => void;
  readonly announce: (transition: GatewayTransition) => void;
  readonly version: string;
  /** What is measured outside of the gateway, now; absent: nothing. */
  readonly measured?: () => readonly Measured[];
  /** Absent: nothing is known of shares. */
  readonly data?: DataSource;
  /** Where paths lead; absent: nobody can tell, and nothing that looks like a path goes to a backend with `folders`. */
  readonly places?: LookAtPlaces;
  /** On which routes people hold backends; absent: that is not kept. */
  readonly heldRoutes?: HeldRoutes;
  /** Where the pins of tools are kept; absent: they are not. */
  readonly pinStore?: PinStore;
  /** The same for the names that clients have used. */
  readonly nameStore?: PinStore;
  /** Where sessions outlive a restart; absent: they do not. Read when it begins to listen, closed when it ends. */
  readonly sessions?: SessionFile;
  /** Calls that wait for modern clients; absent: its own, and no other daemon knows of them. */
  readonly holds?: Holds;
  /** What cannot run twice may still run elsewhere; absent: nowhere. To be asked again after `lookAgain`. */
  readonly runsElsewhere?: () => boolean;
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

export interface Gateway extends AsyncDisposable {
  /**
   * Begins with `config`: backends start, the listener is bound. A busy port at the start is a condition, retried.
   * Resolves when it listens or the first try to has failed; never waits for a backend.
   */
  start(config: GatewayConfig): Promise<void>;
  /** The first half of `start`: backends start, and nobody comes in yet. */
  build(config: GatewayConfig): Promise<void>;
  /** The second half: clients come in, by the socket handed over by the gateway before, or by its own (null). */
  open(config: GatewayConfig, door: GivenDoor | null): Promise<void>;
  /** No backend that could start now is in its first attempt any more. */
  built(signal: AbortSignal): Promise<void>;
  /** Null while it does not listen. */
  door(): GivenDoor | null;
  /** Keeps on disk what is to outlive it, for the gateway that follows; resolves when pins and names are written. */
  save(): Promise<void>;
  /** The home is this gateway's from `begin` on: what the one before has learned of tools meanwhile is known here. */
  takeHome(begin: () => void): Promise<void>;
  /** A session that its client began with the gateway that was in charge before. */
  adopt(hash: string, record: SessionRecord): Promise<unknown>;
  /** One that its client has ended there. */
  endSession(hash: string): Promise<void>;
  /** What a client said to the gateway that follows about something in flight here: JSON-RPC. Never throws. */
  hear(hash: string, text: string): void;
  /** Process groups of what cannot run twice. */
  runOnce(): readonly number[];
  /**
   * Takes nobody in any more; resolves when those who are there have gone on, or `graceMs` are over, and what cannot run
   * twice has ended, which is told by `onEnded`. Connections that wait between requests go on by `pass`; null: nobody
   * takes them, and each ends with its next response.
   */
  leave(graceMs: number, onEnded: () => Promise<void>, pass: PassConnection | null): Promise<void>;
  /** A connection of the gateway before this one, by its handle. */
  takeConnection(handle: object): void;
  /** What cannot run twice no longer runs elsewhere. */
  lookAgain(): void;
  /** Rejects with `listen_failed` when a new address cannot be bound: key, and who holds it. */
  prepare(config: GatewayConfig, signal: AbortSignal): Promise<PreparedGateway>;
  view(): GatewayView;
  /** What is published, in order, whatever the policies say. */
  entries(): {
    readonly tools: readonly CatalogEntry[];
    readonly prompts: readonly CatalogEntry[];
    readonly resources: readonly CatalogEntry[];
  };
  /** All that is published, with what is kept back of what the backends offer, and why. */
  published(): { readonly catalog: Catalog; readonly withheld: readonly WithheldEntry[] };
  /**
   * For everybody, until it is taken back: tools by the names that they have. Resolves with those that were not so already,
   * or with one that there is not, and nothing is changed. Rejects with `secret_unavailable`.
   */
  switchTools(
    names: readonly string[],
    on: boolean,
  ): Promise<{ readonly switched: readonly string[] } | { readonly unknown: string }>;
  /** Those that are connected now, the one that came first first; not the owner's own calls. */
  clients(): readonly ConnectedClient[];
  /** How much each backend is asked, and how fast it answers. */
  readonly calls: Pick<CallMinutes, "of" | "minutes">;
  /** Tools that are not as they were approved, or wait to be, and what is hidden in texts. */
  trust(): Pick<PinsState, "pending" | "lost" | "isUnread"> & Pick<Catalog, "unseen">;
  /** Approves those that still are as they were seen; `all`: and that pins were lost. The rest is `left`. */
  approveTools(items: readonly ApprovedItem[], all: boolean): ReturnType<Pins["approve"]>;
  restart(backend: string): boolean;
  /** Serves it over that route, and holds it there unless it is the first; null: as the rules say. Never rejects. */
  switchRoute(backend: string, to: string | null, signal: AbortSignal): Promise<SwitchOutcome>;
  logLines(backend: string): readonly string[] | null;
  /** Into the audit, where there is one: what no client's request did. */
  note(record: NoticeRecord): void;
  /** The owner's own request, past authentication and policies; it is audited. Never rejects. */
  ask(method: string, params: JsonObject | undefined, signal: AbortSignal): Promise<Reply>;
  /** Answers any request for MCP over HTTP, whatever it came through. Never throws. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
  /** Serves one client that speaks lines of JSON-RPC (stdio framing), as the owner, until the stream ends. */
  serveLines(stream: Duplex): void;
  /** Serves another machine of the fleet one exported backend, over lines as well; its principal is `fleet:MACHINE`. */
  serveMachine(stream: Duplex, machine: string, backend: string): void;
  /** Serves one request that another machine brings for a session that is held here. */
  serveForwarded(stream: Duplex): void;
  /** Exported backends that have something to publish now. */
  lent(): readonly string[];
  /** Tools that this machine has in common with others. */
  readonly together: Pick<Together, "apart" | "lentPlaces" | "notePlaces" | "placesOf">;
  /** The backends of other machines that there are from now on; what is not among them leaves at once. */
  borrow(backends: readonly BorrowedBackend[]): void;
  /** No backend is in its first attempt any more. */
  settled(signal: AbortSignal): Promise<void>;
}

// Sockets that another process gave us, where nobody here will listen or speak with them.

/** Else the system would go on to take connections there that nobody ever answers. */
export function closeDoor(door: GivenDoor | null): void {
  if (door !== null) closeGiven(door.handle);
}

export function closeGiven(given: object): void {
  const handle: { readonly close?: unknown } = given;
  if (typeof handle.close === "function") handle.close();
}
