// Texts about a backend for all user interfaces: its state, its catalog entries, calls and routes. Pure.
import { durationText, pluralize } from "../../runtime/text/plain-text.ts";
import type { BackendRouteStatus, BackendStatus } from "../contract/contract.ts";
import {
  type Label,
  msText,
  type StateLabel,
  sinceText,
  type Tone,
  troublesOf,
  WAITING_CODE,
  withoutName,
  worseTone,
  worstFirst,
} from "./label.ts";

/** The label for a backend's state, the same in every user interface: `Ready over lan, set by hand`. */
export function backendLabel(backend: BackendStatus): StateLabel {
  const { enabled, phase, routes } = backend;
  const [first] = troublesOf(backend.conditions);
  const trouble = first === undefined ? null : withoutName(first.title, backend.name);
  if (!enabled)
    return isAwaitingApproval(backend)
      ? { text: "waits for approval", tone: "warning", why: null }
      : { text: "disabled", tone: "plain", why: trouble };
  const { text, tone: phaseTone } = phaseLabel(phase);
  const failing = failingText(backend);
  const tone = failing === null ? phaseTone : "bad";
  const { in_use: used = null, override = null, recovery_pending: pending = null, list = [] } = routes ?? {};
  const isSecondBest = used !== null && override !== used && list[0]?.name !== used;
  return {
    text: [
      used === null ? text : `${text} over ${used}`,
      ...(override === null ? [] : ["set by hand"]),
      ...(pending === null ? [] : [`${pending.route} is ready`]),
    ].join(", "),
    tone: trouble !== null || pending !== null || isSecondBest ? worseTone(tone, "warning") : tone,
    why:
      trouble ??
      failing ??
      pending?.reason ??
      waitingText(backend) ??
      (phase === "Ready" ? null : (backend.reason ?? backend.last_error)),
  };
}

/** The number of failed calls from which a server counts as failing: a tool may rightly refuse a call or two. */
export const FEWEST_FAILED = 3;

/** `all 5 calls of the last 5 min failed`; null: some did not, or they are too few to say so. */
function failingText({ phase, recent }: BackendStatus): string | null {
  if (phase !== "Ready" || recent === undefined || recent.errors < FEWEST_FAILED) return null;
  return recent.errors < recent.calls ? null : `all ${recent.calls} calls of the last 5 min failed`;
}

/** True if the backend is disabled because its entry waits for approval. */
export function isAwaitingApproval({
  enabled,
  conditions,
}: Pick<BackendStatus, "enabled" | "conditions">): boolean {
  return !enabled && conditions.some(({ code }) => code === WAITING_CODE);
}

const PHASES: ReadonlyMap<string, Label> = new Map<string, Label>([
  ["Initializing", { text: "Starting", tone: "plain" }],
  ["Ready", { text: "Ready", tone: "good" }],
  ["Asleep", { text: "Asleep", tone: "plain" }],
  ["Degraded", { text: "Degraded", tone: "warning" }],
  ["Failed", { text: "Failed", tone: "bad" }],
  ["ShuttingDown", { text: "Stopping", tone: "plain" }],
]);

/** A phase in words. A phase that this version does not know is shown by its name in the API. */
export function phaseLabel(phase: string): Label {
  return PHASES.get(phase) ?? { text: phase, tone: "plain" };
}

/** "1 call has waited 45 s", shown beside a phase that may still be Ready; null: no call waits long. */
export function waitingText({ waiting_calls: waiting }: Pick<BackendStatus, "waiting_calls">): string | null {
  if (waiting === undefined) return null;
  const { count, longest_ms: longestMs } = waiting;
  const lasted = durationText(longestMs);
  return count === 1 ? `1 call has waited ${lasted}` : `${count} calls have waited up to ${lasted}`;
}

/** `41 tools, 2 resources`. */
export function publishedText(counts: Pick<BackendStatus, "tools" | "resources" | "prompts">): string {
  const { tools, resources, prompts } = counts;
  return [
    pluralize(tools, "tool"),
    ...(resources > 0 ? [pluralize(resources, "resource")] : []),
    ...(prompts > 0 ? [pluralize(prompts, "prompt")] : []),
  ].join(", ");
}

/** Numbers about a backend's catalog entries and instances; empty if it is disabled. */
export function backendFacts(backend: BackendStatus): readonly string[] {
  if (!backend.enabled) return [];
  const { in_flight: inFlight, draining, instances, restarts, withheld_tools: withheld = 0 } = backend;
  return [
    publishedText(backend),
    ...(withheld > 0 ? [`${pluralize(withheld, "tool")} filtered`] : []),
    ...(backend.group === null ? [] : [`group ${backend.group}`]),
    ...(inFlight > 0 ? [`${inFlight} in flight`] : []),
    ...(draining > 0 ? [`${draining} draining`] : []),
    ...(instances > 1 ? [`${instances} instances`] : []),
    ...(restarts > 0 ? [pluralize(restarts, "restart")] : []),
    ...transportTexts(backend),
  ];
}

function transportTexts({ type, pid }: Pick<BackendStatus, "type" | "pid">): readonly string[] {
  if (type === "fleet") return ["on another machine"];
  return type === "streamable-http" ? ["over HTTP"] : pid === null ? [] : [`pid ${pid}`];
}

/** The backend's calls in words; empty: it had none. */
export function callFacts({ calls, errors, latency_ms: latency }: BackendStatus): readonly string[] {
  if (calls === 0) return [];
  return [
    pluralize(calls, "call"),
    ...(errors > 0 ? [`${errors} failed`] : []),
    ...(latency === null ? [] : [latencyText(latency, calls)]),
  ];
}

/** A percentile of few calls means nothing, so it is left out. */
function latencyText({ p50, p99 }: NonNullable<BackendStatus["latency_ms"]>, calls: number): string {
  if (calls < 20) return calls === 1 ? msText(p50) : `typical ${msText(p50)}`;
  return `typical ${msText(p50)}, 99 % within ${msText(p99)}`;
}

/** The state of one of several routes: `steady for 5 min`. */
export function backendRouteLabel(route: BackendRouteStatus, nowMs: number): Label {
  if (route.in_use) return { text: "in use", tone: "good" };
  const steady = sinceText(route.healthy_since, nowMs);
  if (steady !== null) return { text: `steady for ${steady}`, tone: "good" };
  const retry = retryText(route, nowMs);
  const tone: Tone = route.last_error === null ? "plain" : "warning";
  return { text: [route.last_error ?? "not in use", ...(retry === null ? [] : [retry])].join(", "), tone };
}

/** Says that a better route is ready, and why the backend does not switch yet; null without one. */
export function routeReadyText({ routes }: BackendStatus, nowMs: number): string | null {
  const pending = routes?.recovery_pending ?? null;
  if (pending === null) return null;
  const route = routes?.list.find(({ name }) => name === pending.route);
  const steady = sinceText(route?.healthy_since ?? null, nowMs);
  return `${pending.route} is ready${steady === null ? "" : `, steady for ${steady}`}: ${pending.reason}`;
}

export function retryText(
  { retry_at: retryAt }: Pick<BackendStatus, "retry_at">,
  nowMs: number,
): string | null {
  const ms = retryAt === null ? Number.NaN : Date.parse(retryAt) - nowMs;
  if (Number.isNaN(ms)) return null;
  return ms <= 0 ? "tries again now" : `tries again in ${durationText(Math.max(ms, 1_000))}`;
}

/** `15 Ready, 8 Failed`, the worst first. */
export function statesText(backends: readonly BackendStatus[]): string {
  const labels = worstFirst(backends.map(backendLabel), ({ tone }) => tone);
  return [...Map.groupBy(labels, ({ text }) => text)]
    .map(([text, alike]) => `${alike.length} ${text}`)
    .join(", ");
}
