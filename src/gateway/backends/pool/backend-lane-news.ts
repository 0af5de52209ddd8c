// Owns how one backend shows itself: what is announced, what its view says, what a call gets that comes in vain.
import type { BackendConfig } from "../../../config/snapshot.ts";
import { NO_LISTINGS } from "../../catalog/listings.ts";
import type { GatewayTransition } from "../../gateway-transitions.ts";
import type { BackendInstance } from "../instance/backend-instance.ts";
import type { BackendView } from "../policy/backend-pool-contract.ts";
import type { BackendDecision } from "../policy/decide-backend.ts";
import type { BackendEvent, Now } from "../policy/decide-backend-draft.ts";

/** `find` gives an instance that the event names; null: it is gone. */
export function eventTransition(
  backend: string,
  event: BackendEvent,
  find: (id: number) => BackendInstance | null,
): GatewayTransition {
  if (event.kind === "ended") {
    const { reason, retryInMs } = event;
    const retry_in_ms = retryInMs === null ? null : Math.round(retryInMs);
    return { name: "backend.ended", backend, reason, retry_in_ms };
  }
  if (event.kind === "change_failed") return { name: "backend.change_failed", backend, reason: event.reason };
  if (event.kind === "replaced") {
    return { name: "backend.replaced", backend, draining: find(event.id)?.seen.inFlight ?? 0 };
  }
  const instance = find(event.id);
  const { tools, resources, prompts } = instance?.listings ?? NO_LISTINGS;
  const took = (instance?.seen.readyAtMs ?? 0) - (instance?.seen.startedAtMs ?? 0);
  return {
    name: "backend.ready",
    backend,
    tools: tools.length,
    resources: resources.length,
    prompts: prompts.length,
    took_ms: Math.round(took),
  };
}

interface BackendState {
  readonly config: BackendConfig;
  readonly decision: BackendDecision;
  readonly serving: BackendInstance | null;
  /** Those that all clients share. */
  readonly shared: readonly BackendInstance[];
  /** Those of one client each. */
  readonly own: readonly BackendInstance[];
  /** Calls that clients' own old instances still finish. */
  readonly ownDraining: number;
  /** Wall ms. */
  readonly phaseSinceMs: number;
  readonly now: Now;
}

export function backendView(state: BackendState): BackendView {
  const { config, decision, serving, shared, own, now } = state;
  const { memory, retryAtMs } = decision;
  const isDraining = (id: number): boolean => memory.draining.some((leaving) => leaving.id === id);
  return {
    name: config.name,
    group: config.group,
    type: config.connection.type,
    enabled: config.enabled,
    phase: decision.phase,
    reason: decision.reason,
    sinceMs: state.phaseSinceMs,
    pid: serving?.pid ?? null,
    server: serving?.initializeResult?.serverInfo ?? null,
    protocolVersion: serving?.initializeResult?.protocolVersion ?? null,
    instances: shared.length + own.length,
    inFlight: inFlightOf([...shared, ...own]),
    draining: inFlightOf(shared.filter(({ id }) => isDraining(id))) + state.ownDraining,
    restarts: memory.ends,
    retryAtMs: retryAtMs === null ? null : now.wallMs + retryAtMs - now.monotonicMs,
    lastError: memory.lastError,
    conditions: decision.conditions,
  };
}

/** Client requests without an answer yet. */
export function inFlightOf(instances: readonly BackendInstance[]): number {
  return instances.reduce((sum, { seen }) => sum + seen.inFlight, 0);
}

/** Names the backend, why it is not there, and when it is tried next. */
export function unavailableMessage(
  backend: string,
  { calls, retryAtMs, memory }: BackendDecision,
  nowMs: number,
): string {
  const reason = calls.kind === "refuse" ? calls.reason : "it is not ready";
  const leftMs = retryAtMs === null ? 0 : retryAtMs - nowMs;
  if (leftMs > 0) {
    return `backend ${backend} is unavailable: ${reason}; it is tried again in ${Math.ceil(leftMs / 1000)} s`;
  }
  const isStarting = memory.candidate !== null;
  return `backend ${backend} is unavailable: ${reason}${isStarting ? "; it is being started" : ""}`;
}
