// Checks each host that answers: whether the system reaches it over the configured interface.
import type { ShareStatus } from "../api/contract/contract.ts";
import type { DoctorFinding } from "../api/doctor-report.ts";
import type { RouteConfig, ShareConfig } from "../config/snapshot.ts";
import { hostText } from "../config/values/host-text.ts";
import { contactShare } from "../daemon/compose/share-contact.ts";
import { faultOf, ROUTE_LABELS } from "../daemon/control/verify.ts";
import type { ProbeResult } from "../network/probe/probe-result.ts";
import { findRoute, type RouteLookup } from "../network/routes/route-lookup.ts";
import type { Contact } from "../shares/program/sign-in.ts";
import { ROUTE_NAMES, type RouteName } from "../shares/share-spec.ts";
import { type DoctorContext, findingsOf } from "./context.ts";

export interface HostCheck {
  readonly share: string;
  readonly route: RouteName;
  /** `name[:port]` as in the configuration. */
  readonly host: string;
  readonly config: RouteConfig;
  readonly probe: ProbeResult;
  readonly contact: Contact;
  /** The mount's way to the host where its connections are bound, else the system's; null if the host's address is not known. */
  readonly lookup: RouteLookup | null;
}

const finding = findingsOf("hosts");
/**
 * Minimum timeout of a probe, ms. It may exceed the configured one, because a person prefers a slow answer to
 * none.
 */
const PROBE_AT_LEAST_MS = 1_500;
const STATUS_DEADLINE_MS = 4_000;

/**
 * Probes the hosts of the shares that are used on this network, and looks up the system's route to each. A host of several
 * shares is probed once.
 */
export async function checkHosts(context: DoctorContext): Promise<readonly HostCheck[]> {
  const { snapshot, parts, clock, signal } = context;
  if (snapshot === null) return [];
  const timeoutMs = Math.max(PROBE_AT_LEAST_MS, snapshot.config.global.connectTimeoutMs);
  const notBeforeMs = clock.monotonicMs();
  const lookups = new Map<string, Promise<RouteLookup>>();
  const lookupOf = (address: string): Promise<RouteLookup> => {
    const known = lookups.get(address) ?? findRoute(address, clock, signal);
    lookups.set(address, known);
    return known;
  };
  const late = AbortSignal.any([signal, AbortSignal.timeout(STATUS_DEADLINE_MS)]);
  const status = context.daemon?.call("status", null, late).catch(() => null);
  const checks = snapshot.config.shares.flatMap((share) => {
    const checked = contactShare(share, { ...context, location: parts.location });
    return ROUTE_NAMES.map(async (route): Promise<HostCheck | null> => {
      const config = share.routes[route];
      const contact = await checked;
      if (config.host === null || contact.offNetwork !== null) return null;
      const { host, port, interfaceName } = config;
      const probe = await parts.hostProber.probe({ host, port, interfaceName }, { notBeforeMs, timeoutMs });
      const inUse = (await status)?.shares.find(({ name }) => name === share.name);
      const bound = inUse === undefined ? null : boundTo(inUse, route, config, probe);
      const systems = probe.address === null ? null : await lookupOf(probe.address);
      const differs = bound !== null && systems?.kind === "found" && systems.interfaceName !== bound;
      const lookup = differs ? ({ ...systems, interfaceName: bound, gateway: null } as const) : systems;
      return { share: share.name, route, host: hostText({ host, port }), config, probe, contact, lookup };
    });
  });
  return (await Promise.all(checks)).filter((check) => check !== null);
}

/**
 * The interface to which the connections of the mount are bound, whatever the system's route is; null: not known to be bound. To a
 * link-local address they are bound also where the configuration names no interface.
 */
function boundTo(
  { active_interface, mount_alive, conditions }: ShareStatus,
  route: RouteName,
  { interfaceName }: RouteConfig,
  { address, interfaceName: own }: ProbeResult,
): string | null {
  const isUncertain = conditions.some(({ code }) => code === "cable_uncertain");
  if (active_interface !== route || mount_alive !== true || isUncertain) return null;
  return address?.startsWith("169.254.") || address?.startsWith("fe80:")
    ? (interfaceName ?? own)
    : interfaceName;
}

export function examineHosts(checks: readonly HostCheck[], shares: readonly ShareConfig[]): DoctorFinding[] {
  const pairs = shares.flatMap(({ name }) => {
    const [tb, fallback] = ROUTE_NAMES.map((route) =>
      checks.find((check) => check.share === name && check.route === route),
    );
    return tb === undefined || fallback === undefined ? [] : pairOf(tb, fallback);
  });
  return [...checks.flatMap(answerOf), ...checks.flatMap(routeFindings), ...pairs];
}

/** A host that does not answer is a finding of `verify`. */
function answerOf({ host, probe }: HostCheck): DoctorFinding[] {
  if (faultOf(probe) !== null) return [];
  const over = probe.interfaceName === null ? "" : ` over ${probe.interfaceName}`;
  return [
    finding("ok", "host", `${host} answers SMB${over} (${Math.round(probe.tookMs)} ms)`, { subject: host }),
  ];
}

/** Checks that traffic to the host leaves over the intended interface. */
function routeFindings({ host, route, config, probe, lookup }: HostCheck): DoctorFinding[] {
  if (lookup === null || probe.address === null || isOwn(probe.address) || lookup.kind === "unknown")
    return [];
  const details = { subject: host };
  if (lookup.kind === "none") {
    // If the host does not answer, the finding about the probe says more.
    if (probe.verdict !== "answers") return [];
    return [
      finding("warning", "route_missing", `the system has no route to ${host} (${probe.address})`, details),
    ];
  }
  const meant = config.interfaceName ?? probe.interfaceName;
  const by =
    lookup.gateway === null
      ? `over ${lookup.interfaceName}`
      : `over ${lookup.interfaceName}, through ${lookup.gateway}`;
  if (meant !== null && lookup.interfaceName !== meant) {
    const text = `the system sends to ${ROUTE_LABELS[route]} host ${host} (${probe.address}) ${by}, not over ${meant}`;
    const hint = `see which route takes it there (a VPN, a static route, two interfaces on one network) and remove it`;
    return [finding("error", "route_wrong_interface", text, { ...details, hint })];
  }
  if (route === "tb" && lookup.gateway !== null) {
    const text = `preferred host ${host} (${probe.address}) is on no network of this machine: it is reached ${by}`;
    const hint =
      "write the address that the server has on the faster cable's network, and set this machine's there";
    return [finding("warning", "route_wrong_interface", text, { ...details, hint })];
  }
  return [];
}

function pairOf(tb: HostCheck, fallback: HostCheck): DoctorFinding[] {
  const details = { subject: tb.share };
  if (tb.lookup?.kind !== "found" || fallback.lookup?.kind !== "found") return [];
  if (tb.lookup.interfaceName !== fallback.lookup.interfaceName || isOwn(tb.probe.address ?? "")) return [];
  const text = `both hosts of ${tb.share} are reached over ${tb.lookup.interfaceName}: the preferred one brings no speed then`;
  const hint =
    "check that the faster cable is plugged in, and that thunderbolt_host is an address on its network";
  return [finding("warning", "routes_share_interface", text, { ...details, hint })];
}

/** True for a server on this machine, as in tests: its traffic leaves over no interface. */
function isOwn(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}
