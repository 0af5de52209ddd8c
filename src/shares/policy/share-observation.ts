// The result of one observation of a share: plain data for the decision.
import type { ProbeResult } from "../../network/probe/probe-result.ts";
import type {
  FoundMount,
  MissingRequirement,
  MountOutcome,
  UnmountOutcome,
} from "../drivers/mount-driver.ts";
import type { MountReport, MoveOutcome } from "../drivers/moving-mounts.ts";
import type { MountCheck, OpenFile } from "../prober/prober.ts";
import type { RouteName } from "../share-spec.ts";
import type { Step } from "./step.ts";

/** The part of a probe that the rules read. A route without a host (driver `local`) is probed by looking at its folder. */
export type RouteProbe = Pick<ProbeResult, "verdict" | "tcpAnswered" | "address" | "interfaceName" | "text"> &
  Partial<Pick<ProbeResult, "reason" | "blocked" | "tookMs" | "detail" | "link">>;

export interface RouteObservation {
  readonly probe: RouteProbe;
  /** Earliest possible start of the probe, monotonic ms. */
  readonly atMs: number;
}

export interface MountObservation {
  readonly found: FoundMount;
  readonly check: MountCheck;
  /** The report of its program, which moves it between routes; null or absent: it stays on its route. */
  readonly moving?: MountReport | null;
  /** Why the server refuses the login of the program of a mount that stays on its route; null or absent: it does not. */
  readonly loginRefused?: string | null;
}

/** What the server check says about the routes of a share that is remounted when its route changes. */
export interface ServerCheckObservation {
  /** How the last check ended. */
  readonly state: "unchecked" | "same" | "different" | "unproved";
  /** A check that is needed is under way, or about to begin. */
  readonly isChecking: boolean;
  /** Why the servers are different, or not proved. */
  readonly text: string | null;
  /** They are not proved because the share is empty. */
  readonly isEmpty: boolean;
  /** The routes that lead to the checked server. */
  readonly proved: readonly RouteName[];
}

export interface OpenFilesObservation {
  readonly atMs: number;
  readonly state: "none" | "open" | "unknown";
  readonly holders: readonly OpenFile[];
  /** Why the state is unknown. */
  readonly text: string | null;
}

/** The newest step of this cycle. */
export type StepObservation =
  | MountStepObservation
  | UnmountStepObservation
  | MoveStepObservation
  | { readonly kind: "log_in" | "let_in" };

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
  readonly routes: Readonly<Record<RouteName, RouteObservation>>;
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
  /** null or absent: the share moves, or its routes cannot be compared. */
  readonly serverCheck?: ServerCheckObservation | null;
  /** Local folders that hold files of the share. These files are not uploaded automatically. */
  readonly setAside?: readonly string[];
  /** Why the stable link is not right; null: it is. */
  readonly linkBlocked: LinkBlocked | null;
  readonly lastStep: StepObservation | null;
}
