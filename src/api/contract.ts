// Owns the shapes that cross the management API, and their `--json` twins. snake_case is the wire's spelling.
// Times are ISO 8601 UTC. contract-schemas.ts has the same shapes for zod, kept equal by the compiler; zod is not
// imported here, because whoever serves the API need not pay its 15 MB.
import type { ErrorCode } from "../runtime/errors.ts";

/** Every path of the management API begins with it; a breaking change of a shape below changes it. */
export const MANAGE_PREFIX = "/manage/v1";

/** What can be asked: the last part of the path, and its method. */
export const OPERATIONS = {
  status: "GET",
  verify: "POST",
  reconcile: "POST",
  mount: "POST",
  unmount: "POST",
  switch: "POST",
} as const;

export type OperationName = keyof typeof OPERATIONS;

export type RouteName = "tb" | "fallback";
export type SwitchTarget = "tb" | "fallback" | "auto";

/** A standing problem, or a fact worth showing; one list for every face. */
export interface Condition {
  code: string;
  severity: "info" | "warning" | "error";
  title: string;
  hint: string | null;
  since: string;
  /** Processes that hold files, where the condition is about open files. */
  holders?: OpenFileHolder[];
}

export interface OpenFileHolder {
  pid: number;
  command: string;
  path: string;
}

export interface ShareStatus {
  name: string;
  active_interface: RouteName | "none";
  mount_state: "mounted" | "unmounted" | "error";
  mount_path: string;
  stable_path: string;
  tb_host: string | null;
  fb_host: string | null;
  tb_reachable: boolean;
  fb_reachable: boolean;
  mount_alive: boolean;
  tb_recovery_pending: boolean;
  held: "fallback" | "unmounted" | null;
  last_error: string | null;
  last_switch_at: string | null;
  tb_reachable_since: string | null;
  tb_healthy_since: string | null;
  conditions: Condition[];
}

export interface GlobalStatus {
  version: string;
  /** null when no daemon runs and the answer was made in process. */
  pid: number | null;
  started_at: string | null;
  config_path: string;
  home: string;
  check_interval_secs: number;
  auto_failback: boolean;
  auto_failback_stable_secs: number;
  lsof_recheck: boolean;
  network_events: "rtnetlink" | "scdynamicstore" | "scutil" | "polling" | "off";
  conditions: Condition[];
}

export interface StatusReport {
  global: GlobalStatus;
  shares: ShareStatus[];
}

export interface VerifyFinding {
  share: string | null;
  severity: "warning" | "error";
  code: string;
  text: string;
  hint: string | null;
}

export interface VerifyReport {
  ok: boolean;
  findings: VerifyFinding[];
}

/** What a changing command did for one share. */
export interface StepResult {
  share: string;
  result: "mounted" | "unmounted" | "switched" | "skipped" | "busy" | "pending" | "failed";
  active_interface: RouteName | "none";
  /** One line for people, without the share's name: "mounted over Thunderbolt (//10.0.0.2/CORE)". */
  detail: string;
  hint: string | null;
  /** Who holds files, when busy. */
  holders: OpenFileHolder[];
  /** Unsent files, when they are why. */
  unsent: string[];
}

/** The body of verify, reconcile and mount. `shares` absent or null means all of them. */
export interface ShareRequest {
  shares?: string[] | null;
}

/** The body of unmount. `force` defaults to false. */
export interface UnmountRequest extends ShareRequest {
  force?: boolean;
}

/** The body of switch. `force` and `wait` default to false. */
export interface SwitchRequest extends ShareRequest {
  to: SwitchTarget;
  force?: boolean;
  wait?: boolean;
}

/** What reconcile, mount, unmount and switch answer. */
export interface StepReport {
  results: StepResult[];
}

/** The body of every answer that is not a 200. */
export interface ErrorBody {
  error: { code: ErrorCode; message: string; hint: string | null };
}

/** `<home>/daemon.json`: where the running daemon listens. */
export interface DaemonNote {
  pid: number;
  socket: string;
  version: string;
  started_at: string;
}
