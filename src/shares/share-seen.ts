// Owns what one observation of a share holds: plain data for the decision, with no way back to the world.
import type { ProbeResult } from "../network/probe-result.ts";
import type { FoundMount, Lacking, MountOutcome, UnmountOutcome } from "./drivers/mount-driver.ts";
import type { Look, OpenFile } from "./prober.ts";
import type { RouteName } from "./share-spec.ts";
import type { Step } from "./step.ts";

/** The part of a probe that a decision reads; a route without a host (driver `local`) is "probed" by its folder. */
export type RouteProbe = Pick<ProbeResult, "verdict" | "tcpAnswered" | "address" | "interfaceName" | "text">;

export interface RouteSeen {
  readonly probe: RouteProbe;
  /** Monotonic ms; the reading is no older than this. */
  readonly atMs: number;
}

export interface MountSeen {
  readonly found: FoundMount;
  readonly look: Look;
}

export interface OpenFilesSeen {
  readonly atMs: number;
  readonly state: "none" | "open" | "unknown";
  readonly holders: readonly OpenFile[];
  readonly unsent: readonly string[];
  /** Processes whose files we may not see; a fact for people, never a reason by itself. */
  readonly hiddenProcesses: number;
  /** Why the state is unknown. */
  readonly text: string | null;
}

/** What a step did, as the next observation sees it. */
export type StepSeen = MountStepSeen | UnmountStepSeen;

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

export interface ShareSeen {
  readonly atMs: number;
  readonly wallMs: number;
  readonly routes: Readonly<Record<RouteName, RouteSeen>>;
  /** The mount of this share that is ours to look after. */
  readonly mount: MountSeen | null;
  /** Other mounts of the same share; a condition, never unmounted. */
  readonly twins: readonly FoundMount[];
  /** Something that is not this share, and not our doing, at our path. */
  readonly taken: FoundMount | null;
  /** What keeps the driver from mounting anything now, whether something is mounted or not. */
  readonly driverProblem: Lacking | null;
  /** Both routes' hosts resolve to one address and port. */
  readonly oneAddress: string | null;
  readonly openFiles: OpenFilesSeen | null;
  /** Files not yet on the server, looked up only while some may be left from a forced unmount. */
  readonly unsent: readonly string[] | null;
  /** Folders of this machine that hold files of the share which never get to the server by themselves. */
  readonly setAside?: readonly string[];
  /** The stable link could not be made: what stands in its way. */
  readonly linkBlocked: string | null;
  readonly lastStep: StepSeen | null;
}
