// A share's state for the management API.
import type {
  Condition,
  ExplanationReport,
  MovesStatus,
  OpenFileHolder,
  ShareStatus,
} from "../../api/contract/contract.ts";
import { type Explanation, inWallTime } from "../../reconcile/decision.ts";
import { isoTimeOrNull } from "../../runtime/time/clock.ts";
import type { MountReport } from "../../shares/drivers/moving-mounts.ts";
import type { ShareView } from "../../shares/engine/share-cycle.ts";
import type { ShareConditionName } from "../../shares/policy/condition-rows.ts";
import type { ShareCondition } from "../../shares/policy/decide.ts";
import { earlierAddress } from "../../shares/policy/hosts.ts";
import type { ShareObservation } from "../../shares/policy/share-observation.ts";
import type { OpenFile } from "../../shares/prober/prober.ts";
import type { RouteName, RouteSpec, ShareSpec } from "../../shares/share-spec.ts";

export function shareStatus({
  subject,
  memory,
  observed,
  conditions,
  explanation,
  mount: judged,
  moving = null,
}: ShareView): ShareStatus {
  const { spec } = subject;
  const mount = observed?.mount ?? null;
  return {
    name: spec.name,
    active_interface: memory.activeInterface,
    mount_state: mount === null ? "unmounted" : judged?.verdict.state === "dead" ? "error" : "mounted",
    mount_path: mount?.found.path ?? spec.mountPath,
    stable_path: spec.stablePath,
    tb_host: hostText(spec.routes.tb),
    fb_host: hostText(spec.routes.fallback),
    tb_reachable: observed?.routes.tb.probe.verdict === "answers",
    fb_reachable: observed?.routes.fallback.probe.verdict === "answers",
    ...routeFacts(spec, observed),
    mount_alive: judged?.use.state === "usable",
    tb_recovery_pending: memory.tbRecoveryPending,
    override: memory.override,
    last_error: memory.lastError,
    last_switch_at: isoTimeOrNull(memory.lastSwitchAt),
    tb_reachable_since: isoTimeOrNull(memory.tbReachableSince),
    tb_healthy_since: isoTimeOrNull(memory.tbHealthySince),
    ...(moving === null ? {} : { moves: movesStatus(moving) }),
    conditions: conditions.map(conditionStatus),
    ...(explanation === null || observed === null
      ? {}
      : { explanation: explanationStatus(inWallTime(explanation, observed.wallMs - observed.atMs)) }),
  };
}

type RouteFacts = Pick<ShareStatus, "tb_error" | "fb_error" | "tb_link" | "fb_link" | "address_in_use">;

function routeFacts({ routes }: ShareSpec, observed: ShareObservation | null): RouteFacts {
  if (observed === null || observed.offNetwork !== null) return {};
  const errorOf = (route: RouteName): string | null => {
    const { verdict, text, detail = text } = observed.routes[route].probe;
    return verdict === "answers" || hostText(routes[route]) === null ? null : detail;
  };
  const [tb, fallback] = [errorOf("tb"), errorOf("fallback")];
  const [{ link: tbLink }, { link: fbLink }] = [observed.routes.tb.probe, observed.routes.fallback.probe];
  const address = earlierAddress(observed);
  return {
    ...(tb === null ? {} : { tb_error: tb }),
    ...(fallback === null ? {} : { fb_error: fallback }),
    ...(tbLink === undefined ? {} : { tb_link: tbLink }),
    ...(fbLink === undefined ? {} : { fb_link: fbLink }),
    ...(address === null ? {} : { address_in_use: address }),
  };
}

/** `untilMs` is wall ms. */
export function explanationStatus({ rule, why, passedOver }: Explanation): ExplanationReport {
  const passed = passedOver.map(({ untilMs, ...one }) => ({ ...one, until: isoTimeOrNull(untilMs) }));
  return { rule, why, passed_over: passed };
}

export function openFileHolders(files: readonly OpenFile[]): OpenFileHolder[] {
  return files.map(({ pid, command, path }) => ({ pid, command, path }));
}

function movesStatus(report: MountReport): MovesStatus {
  return {
    phase: report.phase.is,
    count: report.moves.count,
    connections: report.connections,
    connections_in_all: report.connectionsInAll,
    bytes_to_server: report.bytesUp,
    bytes_from_server: report.bytesDown,
    longest_wait_ms: Math.round(report.longestWaitMs),
    open_files: report.openFiles,
  };
}

function conditionStatus({ holders, ...condition }: ShareCondition): Condition {
  return holders === undefined ? condition : { ...condition, holders: openFileHolders(holders) };
}

/** `host` or `host:port` as configured; the folder of a route without a host. */
function hostText({ host, port, folder }: RouteSpec): string | null {
  if (host === null) return folder;
  const name = host.includes(":") ? `[${host}]` : host;
  return port === 445 ? name : `${name}:${port}`;
}

/** Conditions that keep a share from being mounted, in the order in which a mount checks them. */
const KEEP_UNMOUNTED: readonly ShareConditionName[] = [
  ...(["other_home", "variable_missing", "secret_missing", "path_taken"] as const),
  ...(["driver_unavailable", "login_refused"] as const),
];

/** The condition that keeps the share from being mounted; null if it is mounted, or nothing is known to prevent a mount. */
export function unmountedReason({ mount_state, conditions }: ShareStatus): Condition | null {
  if (mount_state !== "unmounted") return null;
  const [first = null] = KEEP_UNMOUNTED.flatMap((kind) => conditions.filter(({ code }) => code === kind));
  return first;
}
