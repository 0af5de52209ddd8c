// The result of one observation of a share: plain data for the decision.
import type { ProbeResult } from "../../network/probe/probe-result.ts";
import type { CarriedState, MoveOutcome } from "../drivers/carriage.ts";
import type {
  FoundMount,
  Lacking,
  MountOutcome,
  RefusedUpload,
  SetAsideFolder,
  UnmountOutcome,
  WaitingUnsent,
} from "../drivers/mount-driver.ts";
import type { LogonSeen } from "../logons/logons.ts";
import type { Look, OpenFile } from "../prober/prober.ts";
import type { RouteName } from "../share-spec.ts";
import type { Step } from "./step.ts";

/** The part of a probe that a decision reads; a route without a host (driver `local`) is "probed" by its folder. */
export type RouteProbe = Pick<ProbeResult, "verdict" | "tcpAnswered" | "address" | "interfaceName" | "text"> &
  Partial<Pick<ProbeResult, "reason" | "localAddress" | "serverGuid" | "tookMs">>;

export interface RouteSeen {
  readonly probe: RouteProbe;
  /** The reading is no older than this, monotonic ms. */
  readonly atMs: number;
}

export interface MountSeen {
  readonly found: FoundMount;
  readonly look: Look;
  /** Its route can be moved beneath it; null or absent: it is mounted over its route. */
  readonly carried?: CarriedSeen | null;
  /**
   * It goes through the carrier, which lets nothing pass to a server that is not proved, but its route is never moved.
   */
  readonly pinned?: CarriedSeen | null;
  /** It talks to its host directly, as those of earlier versions: nothing holds back what waits for its server. */
  readonly unguarded?: true;
}

type Timed = "lastAnswerAtMs" | "unansweredSinceMs" | "routeLostAtMs";
type Counted = "outage" | "outageAtMove" | "witness" | "epoch";

/** As the carrier reports it. `server`: the one that it was mounted from. */
export interface CarriedSeen
  extends Pick<CarriedState, "port" | "phase" | "server" | "encrypted" | Timed | Counted> {
  /** The route in use. Absent: the mount's. */
  readonly route?: RouteName;
  /** The route in use leads to another address than the configured one. */
  readonly rerouted: boolean;
}

/** What is known of the server behind the routes. */
export interface TrustSeen {
  /** How the last proof ended. */
  readonly state: "unasked" | "same" | "different" | "unproved";
  /** A proof is under way. */
  readonly asking: boolean;
  /** Why they are different, or not proved. */
  readonly text: string | null;
  /**
   * Whether each route is proved, since it last came up, to lead to the server that is mounted, or if nothing is, to a
   * known one.
   */
  readonly proved: Readonly<Record<RouteName, boolean>>;
  /** The same for the address in use that no route names any more. */
  readonly detourProved?: boolean;
  /** The server behind each route. Absent: nobody asks. */
  readonly servers?: Readonly<Record<RouteName, ServerSeen>>;
  /** The id that the server in use had before it was mounted without a proof; null or absent: none. */
  readonly better?: string | null;
}

export interface ServerSeen {
  readonly id: string | null;
  /** A proof was tried, and failed. */
  readonly asked: boolean;
}

/** Nothing is proved, and no proof was tried. */
export const NO_TRUST: TrustSeen = {
  state: "unasked",
  asking: false,
  text: null,
  proved: { tb: false, fallback: false },
};

export interface CarrySeen {
  /** The server behind each route is proved before anything is mounted over it. Absent: no. */
  readonly asks?: boolean;
  /** What keeps the share from being carried at all; null: nothing. */
  readonly unable: string | null;
  readonly trust: TrustSeen;
}

export interface OpenFilesSeen {
  readonly atMs: number;
  readonly state: "none" | "open" | "unknown";
  readonly holders: readonly OpenFile[];
  readonly unsent: readonly string[];
  /** Why the state is unknown. */
  readonly text: string | null;
}

/** The result of a step, as the next observation sees it. */
export type StepSeen = MountStepSeen | UnmountStepSeen | MoveStepSeen | GateStepSeen;

export interface MountStepSeen {
  readonly kind: "mount";
  readonly step: Extract<Step, { kind: "mount" }>;
  readonly outcome: MountOutcome;
  readonly tookMs: number;
}

export interface UnmountStepSeen {
  readonly kind: "unmount";
  readonly step: Extract<Step, { kind: "unmount" }>;
  readonly outcome: UnmountOutcome;
  readonly tookMs: number;
}

export interface MoveStepSeen {
  readonly kind: "move";
  readonly step: Extract<Step, { kind: "move" }>;
  readonly outcome: MoveOutcome;
  readonly tookMs: number;
}

/** Connections of a carried mount were held back or let through. */
interface GateStepSeen {
  readonly kind: "gate";
  readonly step: Extract<Step, { kind: "hold" | "confirm" }>;
  readonly outcome: { readonly ok: true };
}

/** Why a link is not made or mended. */
export interface LinkBlocked {
  readonly result: "blocked";
  readonly by: string;
  /**
   * `taken`: the path has something that is not ours; `unseen`: it cannot be looked at; `late`: the look had no answer
   * in time; `failed`: it is not there, and may not be made or was not.
   */
  readonly why: "taken" | "unseen" | "late" | "failed";
}

export interface ShareSeen {
  readonly atMs: number;
  readonly wallMs: number;
  /** For the mount in use: the address that it really uses, even if the configuration has another by now. */
  readonly routes: Readonly<Record<RouteName, RouteSeen>>;
  /** The hosts as they are configured, if that differs. */
  readonly configured?: Readonly<Record<RouteName, RouteSeen>>;
  /** Why nothing is sent to its hosts from here; null or absent: this machine is on a network of the share. */
  readonly away?: string | null;
  /** A program has asked for the share since the last look. */
  readonly wanted?: boolean;
  /** The hardware addresses of hosts that answer, as `wakeAddresses` has them. */
  readonly hardware?: readonly string[];
  /** The mount of this share that we look after. */
  readonly mount: MountSeen | null;
  /** Other mounts of the same share; a condition, never unmounted. */
  readonly twins: readonly FoundMount[];
  /** Another home whose daemon looks after our path; null or absent: none. */
  readonly otherHome?: string | null;
  /** Something else than this share that is mounted at our path. */
  readonly taken: FoundMount | null;
  /** What keeps the driver from mounting anything now, whether the share is mounted or not. */
  readonly driverProblem: Lacking | null;
  /** Both routes' hosts resolve to one address and port. */
  readonly oneAddress: string | null;
  readonly openFiles: OpenFilesSeen | null;
  /** Absent if nothing is or could be carried. */
  readonly carry?: CarrySeen | null;
  /** Files that are not yet on the server, looked up only while some may be left from a forced unmount. */
  readonly unsent: readonly string[] | null;
  /** Folders of this machine with files of the share that will not get to the server by themselves. */
  readonly setAside?: readonly SetAsideFolder[];
  /** What was written for other servers than the one that is mounted. */
  readonly waiting?: readonly WaitingUnsent[];
  /** Uploads that the server refused and that are tried again. */
  readonly refusedUploads?: readonly RefusedUpload[];
  /** What keeps the stable link from being made. */
  readonly linkBlocked: LinkBlocked | null;
  /** What is known of its login; absent: it has none. */
  readonly logon?: ShareLogonSeen;
  readonly lastStep: StepSeen | null;
}

export interface ShareLogonSeen extends LogonSeen {
  /**
   * The login that the mount used was refused, so it does not log in any more. `same`: it is the configured one.
   * `other`: it is not, or that is unknown. null: it logs in.
   */
  readonly shut: "same" | "other" | null;
}
