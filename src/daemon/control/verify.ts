// The findings of `mountaineer verify`.
import type { Condition, StatusReport, VerifyFinding } from "../../api/contract/contract.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import type { ShareView } from "../../shares/engine/share-cycle.ts";
import { routesOf } from "../../shares/share-spec.ts";
import { keptUnmountedBy, shareStatus } from "./share-status.ts";

/** Findings that concern no single share. */
export function globalFindings(conditions: readonly Condition[]): VerifyFinding[] {
  return conditions.flatMap(({ code, severity, title, hint }) =>
    severity === "info" ? [] : [{ share: null, severity, code, text: title, hint }],
  );
}

export function gatewayFindings({
  gateway,
  backends = [],
}: Pick<StatusReport, "gateway" | "backends">): VerifyFinding[] {
  const findings = globalFindings(gateway?.conditions ?? []);
  for (const { name, enabled, phase, reason, last_error, conditions } of backends) {
    if (!enabled) continue;
    const own = globalFindings(conditions).map((finding) => ({
      ...finding,
      text: ofBackend(name, finding.text),
    }));
    if (phase === "Failed" && own.every(({ severity }) => severity !== "error")) {
      const text = `${name}: ${reason ?? last_error ?? "it does not come up"}`;
      const hint = shellCommand`mountaineer backends logs ${name}`;
      findings.push({ share: null, severity: "error", code: "backend_failed", text, hint });
    }
    findings.push(...own);
  }
  return findings;
}

/** A condition's title, preceded by the backend's name unless it contains that already. */
export function ofBackend(name: string, title: string): string {
  return title.includes(`backend ${name}`) ? title : `${name}: ${title}`;
}

/** Findings of one share, from a fresh look; a route that is down is worth a warning, not a failure. */
export function verifyShare(view: ShareView): VerifyFinding[] {
  const status = shareStatus(view);
  const share = status.name;
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
  const routesDown = routes.every((route) => {
    const probe = view.seen?.routes[route].probe;
    return probe !== undefined && probe.verdict !== "answers";
  });
  if (status.mount_state === "unmounted" && status.held !== "unmounted") {
    add(
      "error",
      "not_mounted",
      `not mounted${status.last_error === null ? "" : `: ${status.last_error}`}`,
      // No hint if a condition keeps the share unmounted: mounting again would not help, and that condition
      // has its own hint.
      keptUnmountedBy(status) !== null
        ? null
        : routesDown
          ? "check the cables and the server; mountaineer doctor looks closer"
          : shellCommand`mountaineer mount --share ${share}`,
    );
  } else if (status.mount_state !== "unmounted" && !status.mount_alive) {
    add(
      "error",
      "mount_dead",
      `the mount at ${status.mount_path} does not answer`,
      shellCommand`mountaineer reconcile --share ${share}`,
    );
  } else if (status.last_error !== null) {
    add("error", "last_error", status.last_error, null);
  }
  for (const route of routes) {
    const probe = view.seen?.routes[route].probe;
    if (probe !== undefined && probe.verdict !== "answers") add("warning", `${route}_down`, probe.text, null);
  }
  for (const { code, severity, title, hint } of status.conditions) {
    // For the engine, a denied mount needs no action; for a person it is an error, because nobody can use it.
    const weight = code === "mount_denied" ? "error" : severity;
    if (weight !== "info") add(weight, code, title, hint);
  }
  return findings;
}
