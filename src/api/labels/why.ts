// Which rule applies to a share or a server now, and why each other rule takes no step. Pure.
import { durationText, pluralize, shellCommand } from "../../runtime/text/plain-text.ts";
import type {
  BackendRouteStatus,
  BackendStatus,
  Condition,
  ExplanationReport,
  ShareStatus,
} from "../contract/contract.ts";
import { backendLabel } from "./backend-labels.ts";
import { shareLabel } from "./share-labels.ts";

export interface Why extends ExplanationReport {
  readonly name: string;
  readonly kind: "share" | "server";
  readonly state: string;
  readonly conditions: readonly Condition[];
}

/** When a rule that was passed over is due: "in 9 s", "now"; null: not known. */
export function dueText({ until }: ExplanationReport["passed_over"][number], nowMs: number): string | null {
  if (until === null) return null;
  const remainingMs = Date.parse(until) - nowMs;
  return remainingMs > 0 ? `in ${durationText(remainingMs)}` : "now";
}

export function shareWhy(share: ShareStatus): Why {
  const { name, conditions, explanation } = share;
  const nothing = { rule: "wait", why: "nothing was decided yet", passed_over: [] };
  return { name, kind: "share", state: shareLabel(share).text, conditions, ...(explanation ?? nothing) };
}

const RULES: Readonly<Record<BackendStatus["phase"], string>> = {
  Pending: "wait",
  Initializing: "start",
  Ready: "serve calls",
  Asleep: "sleep",
  Degraded: "serve what works",
  Failed: "wait for the next try",
  ShuttingDown: "stop",
};

export function backendWhy(backend: BackendStatus): Why {
  const { name, enabled, phase, reason, last_error: lastError, conditions } = backend;
  const label = backendLabel(backend);
  return {
    name,
    kind: "server",
    state: label.text,
    rule: enabled ? RULES[phase] : "stay off",
    why:
      label.why ??
      reason ??
      (phase === "Ready" ? "the server answers" : (lastError ?? "it was not tried yet")),
    passed_over: [...startRules(backend), ...routeRules(backend), ...withheldRules(backend)],
    conditions,
  };
}

type PassedOver = ExplanationReport["passed_over"];

function startRules({ phase, draining, retry_at: until, last_error: lastError }: BackendStatus): PassedOver {
  return [
    ...(phase === "Asleep"
      ? [{ rule: "start", why: "no client needs it; a call starts it", until: null }]
      : []),
    ...(until === null ? [] : [{ rule: "start", why: lastError ?? "the last try failed", until }]),
    ...(draining === 0
      ? []
      : [
          {
            rule: "end the old instance",
            why: `${pluralize(draining, "call")} on it has no answer yet`,
            until: null,
          },
        ]),
  ];
}

function routeRules({ name, routes }: BackendStatus): PassedOver {
  if (routes === undefined) return [];
  const { list, override, recovery_pending: pending } = routes;
  const command = shellCommand`mountaineer switch --backend ${name} --to auto`;
  const why = (route: BackendRouteStatus): string => {
    if (override !== null && override !== route.name)
      return `you asked for ${override}; \`${command}\` ends that`;
    if (pending?.route === route.name) return pending.reason;
    return (
      route.last_error ??
      (route.healthy_since === null ? "it was not tried since" : "it has to answer for a while")
    );
  };
  return list
    .filter((route) => !route.in_use)
    .map((route) => ({
      rule: `use ${route.name}`,
      why: why(route),
      until: route.stable_at ?? route.retry_at,
    }));
}

function withheldRules({ withheld_tools: withheld = 0 }: BackendStatus): PassedOver {
  const rule = `publish ${pluralize(withheld, "more tool")}`;
  return withheld === 0 ? [] : [{ rule, why: "its filters withhold them", until: null }];
}
