// A share's state for the management API.
import type { CarriedStatus, Condition, OpenFileHolder, ShareStatus } from "../../api/contract/contract.ts";
import { isoTime, isoTimeOrNull } from "../../runtime/time/clock.ts";
import type { CarriedState } from "../../shares/drivers/carriage.ts";
import type { ShareView } from "../../shares/engine/share-cycle.ts";
import type { StandingCondition } from "../../shares/policy/decide.ts";
import { isDeadErrno, SILENT_LOOK_MS } from "../../shares/policy/decide-routes.ts";
import type { MountSeen } from "../../shares/policy/share-seen.ts";
import type { OpenFile } from "../../shares/prober/prober.ts";
import type { RouteSpec } from "../../shares/share-spec.ts";

export function shareStatus({ subject, memory, seen, conditions, carried = null }: ShareView): ShareStatus {
  const { spec } = subject;
  const mount = seen?.mount ?? null;
  return {
    name: spec.name,
    active_interface: memory.activeInterface,
    mount_state: mountState(mount),
    mount_path: mount?.found.path ?? spec.mountPath,
    stable_path: spec.stablePath,
    tb_host: hostText(spec.routes.tb),
    fb_host: hostText(spec.routes.fallback),
    tb_reachable: seen?.routes.tb.probe.verdict === "answers",
    fb_reachable: seen?.routes.fallback.probe.verdict === "answers",
    mount_alive: seen !== null && mount !== null && isAlive(mount, seen.atMs),
    tb_recovery_pending: memory.tbRecoveryPending,
    held: memory.held,
    last_error: memory.lastError,
    last_switch_at: isoTimeOrNull(memory.lastSwitchAt),
    tb_reachable_since: isoTimeOrNull(memory.tbReachableSince),
    tb_healthy_since: isoTimeOrNull(memory.tbHealthySince),
    ...(carried === null ? {} : { carried: carriedStatus(carried) }),
    conditions: conditions.map(conditionStatus),
  };
}

export function openFileHolders(files: readonly OpenFile[]): OpenFileHolder[] {
  return files.map(({ pid, command, path }) => ({ pid, command, path }));
}

function carriedStatus(carried: CarriedState): CarriedStatus {
  return {
    port: carried.port,
    phase: carried.phase,
    connections: carried.connections,
    connections_in_all: carried.connectionsInAll,
    bytes_to_server: carried.bytesUp,
    bytes_from_server: carried.bytesDown,
    longest_wait_ms: Math.round(carried.longestWaitMs),
    moves: carried.moves,
  };
}

/** True if the mount uses no route now: a look into it would tell nothing about its state. */
function isWaiting({ carried = null, pinned = null }: MountSeen): boolean {
  return (carried !== null && carried.phase !== "carrying") || pinned?.phase === "unconfirmed";
}

function mountState(mount: MountSeen | null): ShareStatus["mount_state"] {
  if (mount === null) return "unmounted";
  const { look, found } = mount;
  const dead =
    found.processGone || (!isWaiting(mount) && look.state === "answered" && isDeadErrno(look.errno));
  return dead ? "error" : "mounted";
}

function isAlive(mount: MountSeen, atMs: number): boolean {
  const { found, look } = mount;
  if (found.processGone || isWaiting(mount)) return false;
  if (look.state === "answered") return !isDeadErrno(look.errno);
  return look.state === "pending" && atMs - look.startedAtMs < SILENT_LOOK_MS;
}

function conditionStatus({ code, severity, title, hint, since, holders }: StandingCondition): Condition {
  const base = { code, severity, title, hint, since: isoTime(since) };
  return holders === undefined ? base : { ...base, holders: openFileHolders(holders) };
}

/** `host` or `host:port` as configured; the folder of a route without a host. */
function hostText({ host, port, folder }: RouteSpec): string | null {
  if (host === null) return folder;
  const name = host.includes(":") ? `[${host}]` : host;
  return port === 445 ? name : `${name}:${port}`;
}

/** Conditions that keep a share from being mounted, in the order in which a mount checks them. */
const KEEP_UNMOUNTED = [
  ...["other_home", "variable_missing", "secret_missing", "path_taken"],
  ...["driver_unavailable", "login_refused"],
];

/** The condition that keeps the share from being mounted; null if it is mounted, or nothing is known to prevent a mount. */
export function keptUnmountedBy({ mount_state, conditions }: ShareStatus): Condition | null {
  if (mount_state !== "unmounted") return null;
  const [first = null] = KEEP_UNMOUNTED.flatMap((kind) => conditions.filter(({ code }) => code === kind));
  return first;
}
