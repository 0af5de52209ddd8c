// The result of one observation of a share: plain data for the decision.
import type { ProbeResult } from "../../network/probe/probe-result.ts";
import type {
  FoundMount,
  MissingRequirement,
  MountOutcome,
  RefusedUpload,
  SetAsideFolder,
  UnmountOutcome,
  UnsentForServer,
} from "../drivers/mount-driver.ts";
import type { MoveOutcome, RelayedState } from "../drivers/relay-contract.ts";
import type { LoginStatus } from "../logins/logins.ts";
import type { MountCheck, OpenFile } from "../prober/prober.ts";
import type { RouteName } from "../share-spec.ts";
import type { Step } from "./step.ts";

/** The part of a probe that the rules read. A route without a host (driver `local`) is probed by looking at its folder. */
export type RouteProbe = Pick<ProbeResult, "verdict" | "tcpAnswered" | "address" | "interfaceName" | "text"> &
  Partial<Pick<ProbeResult, "reason" | "blocked" | "localAddress" | "serverGuid" | "tookMs" | "detail">>;

export interface RouteObservation {
  readonly probe: RouteProbe;
  /** Earliest possible start of the probe, monotonic ms. */
  readonly atMs: number;
}

export interface MountObservation {
  readonly found: FoundMount;
  readonly check: MountCheck;
  /**
   * The relay's report on a mount that it can move to another route; null or absent: it cannot be moved.
   */
  readonly relayed?: RelayObservation | null;
  /**
   * The relay's report on a mount that it guards against other servers but does not move to another route.
   */
  readonly guarded?: RelayObservation | null;
}

type Timed = "lastAnswerAtMs" | "unansweredSinceMs" | "routeLostAtMs";
type LossCount = "outage" | "outageAtMove" | "witness" | "epoch";

/** The relay's report on one mount. `server`: id of the server from which the mount was made. */
export interface RelayObservation
  extends Pick<RelayedState, "port" | "phase" | "server" | "encrypted" | "limit" | Timed | LossCount> {
  /** The route in use. Absent: the route in the mount table. */
  readonly route?: RouteName;
  /** True: the address in use is no longer the configured one. */
  readonly rerouted: boolean;
}

/** The proofs about the servers to which the routes lead. */
export interface IdentityObservation {
  /** How the last proof ended. */
  readonly state: "unasked" | "same" | "different" | "unproved";
  /** A proof is under way. */
  readonly isProving: boolean;
  /** Why the servers are different, or not proved. */
  readonly text: string | null;
  /** They are not proved because the share is empty. Absent: no. */
  readonly isEmpty?: boolean;
  /**
   * For each route: whether a proof since the route was last available shows that the route leads to the mounted server
   * or, without a mount, to a known server.
   */
  readonly proved: Readonly<Record<RouteName, boolean>>;
  /** For an address in use that is no longer configured: whether it is proved to lead to the mounted server. */
  readonly unconfiguredProved?: boolean;
  /** The server behind each route. Absent: no proofs are made. */
  readonly servers?: Readonly<Record<RouteName, ServerIdentity>>;
  /** The server's id according to a proof, if the mount was made under another id; null or absent if it was not. */
  readonly correctedId?: string | null;
}

export interface ServerIdentity {
  /** Id of the server; null: not proved. */
  readonly id: string | null;
  /** Whether a proof was tried and failed. */
  readonly isAttempted: boolean;
}

export const NO_IDENTITY: IdentityObservation = {
  state: "unasked",
  isProving: false,
  text: null,
  proved: { tb: false, fallback: false },
};

export interface RelayEligibility {
  /** Whether the server behind a route is proved before a mount over it. Absent: no. */
  readonly provesServers?: boolean;
  /** Why the share cannot be relayed; null: it can. */
  readonly obstacle: string | null;
  readonly identity: IdentityObservation;
}

export interface OpenFilesObservation {
  readonly atMs: number;
  readonly state: "none" | "open" | "unknown";
  readonly holders: readonly OpenFile[];
  readonly unsent: readonly string[];
  /** Why the state is unknown. */
  readonly text: string | null;
}

/**
 * The newest step of this cycle. `gate`: the relay was asked to hold a mount's connections back or let them
 * through.
 */
export type StepObservation =
  | MountStepObservation
  | UnmountStepObservation
  | MoveStepObservation
  | { readonly kind: "gate" };

export type MountStepObservation = StepResult<"mount", MountOutcome>;
export type UnmountStepObservation = StepResult<"unmount", UnmountOutcome>;
export type MoveStepObservation = StepResult<"move", MoveOutcome>;

interface StepResult<Kind extends Step["kind"], Outcome> {
  readonly kind: Kind;
  readonly step: Extract<Step, { kind: Kind }>;
  readonly outcome: Outcome;
  readonly tookMs: number;
}

export interface LinkBlocked {
  readonly result: "blocked";
  readonly by: string;
  /**
   * `occupant`: the path holds something that Mountaineer did not make; `unseen`: the path cannot be read; `late`: reading
   * it had no answer in time; `failed`: the link is missing and could not be made.
   */
  readonly why: "taken" | "unseen" | "late" | "failed";
}

export interface ShareObservation {
  readonly atMs: number;
  readonly wallMs: number;
  /** Each route at the address that the mount uses, even if the configuration names another by now. */
  readonly routes: Readonly<Record<RouteName, RouteObservation>>;
  /** Each route at its configured address. */
  readonly configured: Readonly<Record<RouteName, RouteObservation>>;
  /** Why the hosts may not be asked from this network; null: this machine is on a network of the share. */
  readonly offNetwork: string | null;
  /** Whether a program has asked for the share since the last check. */
  readonly wanted?: boolean;
  /** The hardware addresses of hosts that answer, as `aa:bb:cc:dd:ee:ff@10.0.0.2`. */
  readonly hardware?: readonly string[];
  /** The networks of routes that are proved, as `subnet:10.0.0.0/24@HOST`, if `only_on` asks for them. */
  readonly networks?: readonly string[];
  /** The mount that the rules manage. */
  readonly mount: MountObservation | null;
  /** Other mounts of the same share. They are reported and never unmounted. */
  readonly duplicates: readonly FoundMount[];
  /** The home folder of another daemon, which manages our mount path; null or absent: none. */
  readonly otherHome?: string | null;
  /** A mount of something else at our path. */
  readonly occupant: FoundMount | null;
  /**
   * Why the driver cannot mount the share at present; also set while the share is mounted. null: the driver can, or
   * has not answered in time.
   */
  readonly driverProblem: MissingRequirement | null;
  /** The address and port to which both routes' hosts resolve; null: they differ. */
  readonly sharedAddress: string | null;
  readonly openFiles: OpenFilesObservation | null;
  /** What the proofs of servers show; null or absent: there is no relay. */
  readonly relayEligibility?: RelayEligibility | null;
  /** Files that are not on the server yet. null: not looked up, because no forced unmount can have left any. */
  readonly unsent: readonly string[] | null;
  /** Local folders that hold files of the share. These files are not uploaded automatically. */
  readonly setAside?: readonly SetAsideFolder[];
  /** Unsent files for other servers than the mounted one. */
  readonly unsentForOthers?: readonly UnsentForServer[];
  /** Uploads that the server refused; they are retried. */
  readonly refusedUploads?: readonly RefusedUpload[];
  /** Why the stable link is not right; null: it is. */
  readonly linkBlocked: LinkBlocked | null;
  /** null or absent: the share has no login. */
  readonly login?: LoginObservation | null;
  readonly lastStep: StepObservation | null;
}

export interface LoginObservation extends LoginStatus {
  /**
   * Whether the relay holds back the mount's logins because the server refused one. `same`: the refused login is
   * the configured one; `other`: it is a different login or unknown; null: logins pass.
   */
  readonly refusedAs: "same" | "other" | null;
}
