// The findings of `mountaineer verify` and `mountaineer doctor`: one for each problem, its consequences in the same line.
import type { Condition, StatusReport, VerifyFinding, VerifyReport } from "../../api/contract/contract.ts";
import type { BackendConfig } from "../../config/snapshot.ts";
import { LOCAL_NETWORK } from "../../network/local-network-privacy.ts";
import type { ProbeReason } from "../../network/probe/probe-result.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import type { ShareView } from "../../shares/engine/share-cycle.ts";
import { SMB1_HINT } from "../../shares/policy/condition-rows.ts";
import type { RouteProbe } from "../../shares/policy/share-observation.ts";
import { type RouteName, routesOf } from "../../shares/share-spec.ts";
import { shareStatus, unmountedReason } from "./share-status.ts";

/** The findings of `verify` besides the shares; absent parts were not checked. */
interface Surroundings {
  readonly conditions: readonly Condition[];
  readonly status: Pick<StatusReport, "gateway" | "backends">;
  readonly backends: readonly Pick<BackendConfig, "name" | "requires">[];
}

/** Adds daemon and gateway to the report on the shares, or nothing if only some shares were asked for. */
export function verifyReport(shares: VerifyReport, around: Surroundings | null): VerifyReport {
  const broken = new Set(shares.findings.filter(isUnusable).map(({ share }) => share));
  const waiting = new Map<string, string>();
  for (const { name, conditions } of around?.status.backends ?? []) {
    const requires = around?.backends.find((backend) => backend.name === name)?.requires ?? [];
    // A server can wait for one share while another one, which it requires too, has the fault.
    const missing = requires.find(
      ({ share }) => broken.has(share) && conditions.some((one) => one.share === share),
    );
    if (missing !== undefined) waiting.set(name, missing.share);
  }
  const others =
    around === null ? [] : [...globalFindings(around.conditions), ...gatewayFindings(around.status, waiting)];
  const findings = [...others, ...joined(shares.findings, waiting)];
  return {
    ok: findings.every(({ severity }) => severity !== "error"),
    findings,
    checked: {
      shares: shares.checked.shares,
      backends: (around?.status.backends ?? []).filter(({ enabled }) => enabled).length,
    },
  };
}

/** True if the share cannot be used for this reason. Any other fault of it explains nothing that waits for it. */
function isUnusable({ severity, code, text }: VerifyFinding): boolean {
  return severity === "error" && (UNUSABLE.includes(code) || text.endsWith(UNMOUNTED));
}

const UNUSABLE: readonly string[] = ["not_mounted", "mount_dead", "off_network"];

const UNMOUNTED = "; it is not mounted";

/** The condition of a backend whose share is not there. */
const UNAVAILABLE = "share_away";

/** One finding for what several shares have in common, with the backends that wait for them. */
function joined(
  findings: readonly VerifyFinding[],
  waiting: ReadonlyMap<string, string>,
): readonly VerifyFinding[] {
  const named = new Set<string>();
  const same = Map.groupBy(findings, ({ code, text, hint }) => JSON.stringify([code, text, hint]));
  return [...same.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const shares = group.flatMap(({ share }) => (share === null ? [] : [share]));
    const backends = isUnusable(first)
      ? [...waiting].filter(([name, share]) => shares.includes(share) && !named.has(name))
      : [];
    for (const [name] of backends) named.add(name);
    const waits = backends.map(([name, share]) => `; ${name} waits for ${share}`).join("");
    const lead = shares.length > 1 ? `${shares.join(", ")}: ` : "";
    return [
      { ...first, share: shares.length > 1 ? null : first.share, text: `${lead}${first.text}${waits}` },
    ];
  });
}

/** Findings that concern no single share. */
export function globalFindings(conditions: readonly Condition[]): VerifyFinding[] {
  return conditions.flatMap(({ code, severity, title, hint }) =>
    severity === "info" ? [] : [{ share: null, severity, code, text: title, hint }],
  );
}

function gatewayFindings(
  { gateway, backends = [] }: Surroundings["status"],
  waiting: ReadonlyMap<string, string>,
): VerifyFinding[] {
  const findings = globalFindings(gateway?.conditions ?? []);
  for (const { name, enabled, phase, reason, last_error, conditions } of backends) {
    if (!enabled) continue;
    const standing = conditions.filter(({ code }) => code !== UNAVAILABLE || !waiting.has(name));
    const own = globalFindings(standing).map((finding) => ({
      ...finding,
      text: ofBackend(name, finding.text),
    }));
    if (phase === "Failed" && own.every(({ severity }) => severity !== "error")) {
      const text = `${name}: ${reason ?? last_error ?? "it does not start"}`;
      const hint = shellCommand`mountaineer backends logs ${name}`;
      findings.push({ share: null, severity: "error", code: "backend_failed", text, hint });
    }
    findings.push(...own);
  }
  return findings;
}

/** A condition's title, preceded by the backend's name unless it contains that already. */
function ofBackend(name: string, title: string): string {
  return title.includes(`server ${name}`) ? title : `${name}: ${title}`;
}

/** Findings of one share, from a fresh check; a route that is down is worth a warning, not a failure. */
export function verifyShare(view: ShareView): VerifyFinding[] {
  const status = shareStatus(view);
  const { name: share, last_error } = status;
  const findings: VerifyFinding[] = [];
  const add = (
    severity: VerifyFinding["severity"],
    code: string,
    text: string,
    hint: string | null,
  ): void => {
    findings.push({ share, severity, code, text, hint });
  };
  const routes = routesOf(view.subject.spec);
  const faults = routes.flatMap((route) => {
    const probe = view.observed?.routes[route].probe;
    const fault = probe === undefined ? null : faultOf(probe);
    return fault === null || probe === undefined ? [] : [{ route, probe, ...fault }];
  });
  const silent = faults.filter(({ probe }) => probe.verdict !== "answers");
  const isSilent = silent.length === routes.length;
  const hostsRemedy = isSilent ? remedyOf(silent) : null;
  const isWanted = status.mount_state === "unmounted" && status.override !== "unmounted";
  const { verdict, use } = view.mount ?? {};
  // A mount whose own route is gone is kept; the last error says so.
  const isDead = use?.state === "unusable" && use.why !== "route_gone";
  // The engine waits for a second failed check; without a daemon there is none.
  const isFailing = verdict?.state === "unproven" && verdict.why === "failed";
  const cause = isWanted ? unmountedReason(status) : null;
  // A separate condition of each host reports that.
  const isAllSmb1 = isSilent && silent.every(({ code }) => code === "smb1_only");
  const isCause = (one: Condition): boolean =>
    one === cause || (isWanted && isAllSmb1 && one.code.startsWith("smb1_only:"));
  const offNetwork = view.observed?.offNetwork ?? null;
  if (offNetwork !== null) {
    // Nothing is asked of its hosts here: how they answer says nothing.
    const hint = status.conditions.find(({ code }) => code === "off_network")?.hint ?? null;
    if (status.override !== "unmounted") add("error", "off_network", `off network: ${offNetwork}`, hint);
  } else if (isWanted && !status.conditions.some(isCause)) {
    const why = last_error ?? (isSilent ? silent.map(({ probe }) => probe.text).join("; ") : null);
    const text = `not mounted${why === null ? "" : `: ${why}`}`;
    add("error", "not_mounted", text, hostsRemedy ?? shellCommand`mountaineer mount --share ${share}`);
  } else if (isDead) {
    const why = isSilent && last_error !== null ? `: ${last_error}` : "";
    const remedy = hostsRemedy ?? shellCommand`mountaineer reconcile --share ${share}`;
    add("error", "mount_dead", `the mount at ${status.mount_path} does not answer${why}`, remedy);
  } else if (isFailing) {
    const remedy = shellCommand`mountaineer reconcile --share ${share}`;
    add("error", "mount_failing", `a check of the mount at ${status.mount_path} failed`, remedy);
  } else if (!isWanted && last_error !== null) {
    add("error", "last_error", last_error, hostsRemedy);
  }
  const isReported = (text: string): boolean => findings.some((found) => found.text.includes(text));
  for (const { route, probe, code, text, hint } of offNetwork === null ? faults : []) {
    if (code === "smb1_only" || (isSilent && isReported(probe.text))) continue;
    const { host } = view.subject.spec.routes[route];
    const lead = host === null ? "" : routes.length === 1 ? "the host " : `${ROUTE_LABELS[route]} host `;
    add("warning", code, `${lead}${text}`, hint);
  }
  for (const condition of status.conditions) {
    const { code, severity, title, hint } = condition;
    if (code.startsWith("smb1_only:") && isReported(title)) continue;
    // For the engine, a denied mount needs no action; for a person it is an error, because it cannot be used.
    const weight = code === "mount_denied" ? "error" : severity;
    if (weight !== "info") add(weight, code, isCause(condition) ? `${title}${UNMOUNTED}` : title, hint);
  }
  return findings;
}

type Fault = Pick<VerifyFinding, "code" | "text" | "hint">;

export const ROUTE_LABELS: Readonly<Record<RouteName, string>> = { tb: "preferred", fallback: "fallback" };

/** The remedy for hosts that do not answer: one, or one for each. */
function remedyOf(
  silent: readonly { readonly route: RouteName; readonly hint: string | null }[],
): string | null {
  const hints = silent.flatMap(({ route, hint }) => (hint === null ? [] : [{ route, hint }]));
  const [first] = hints;
  if (first === undefined) return null;
  if (hints.every(({ hint }) => hint === first.hint)) return first.hint;
  return hints.map(({ route, hint }) => `${ROUTE_LABELS[route]}: ${hint.replace(/\.$/, "")}`).join("; ");
}

/** What is wrong with a host by its probe; null: nothing. */
export function faultOf({ verdict, blocked, reason, text }: RouteProbe): Fault | null {
  if (verdict === "answers") {
    if (blocked !== true) return null;
    const message = `${text}, but macOS keeps this program from the local network: its shares are mounted, and open files do not survive a change of route`;
    return { code: "connection_denied", text: message, hint: LOCAL_NETWORK.hint };
  }
  if (reason === undefined) return { code: "folder_away", text, hint: null };
  const [code, hint] = HOST_FAULTS[reason];
  // The text of a blocked probe says what to try.
  return { code, text, hint: blocked === true ? null : hint };
}

const SILENT = [
  "smb_silent",
  "the host accepts connections, but its SMB server does not answer: restart it",
] as const;

/** Nothing on macOS's Local Network permission: where that may be the cause, the probe's own text says what to try. */
const HOST_FAULTS: Readonly<Record<ProbeReason, readonly [code: string, hint: string]>> = {
  unresolved: ["host_unresolved", "correct the name, or write the address; is the name server there?"],
  link_down: ["interface_down", "plug in the cable, or switch the interface on"],
  no_route: ["host_off", "switch it on, and check its address"],
  refused: ["smb_refused", "the host is on, and no SMB server listens there: start it, or correct the port"],
  not_smb: ["not_smb", "another program answers at that port: correct the host or its port"],
  smb1_only: ["smb1_only", SMB1_HINT],
  denied: ["connection_denied", "this machine forbids it: allow it in its firewall"],
  local_error: ["local_error", "this machine has too many files open: close programs, or raise its limits"],
  connect_timeout: ["host_off", "the host is off, or at another address, or a firewall drops its packets"],
  smb_timeout: SILENT,
  closed: [
    "smb_silent",
    "the host closes the connection before it answers: check that its SMB server speaks SMB 2 or newer, or restart it",
  ],
  negotiated: SILENT,
};
