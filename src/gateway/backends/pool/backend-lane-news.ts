// How one backend is shown: what is announced of it, and its part of the status.
import { NO_LISTINGS } from "../../catalog/listings.ts";
import type { GatewayTransition } from "../../gateway-transitions.ts";
import type { BackendInstance } from "../instance/backend-instance.ts";
import type { BackendEvent } from "../policy/backend-decision-builder.ts";
import type { BackendView } from "../policy/backend-pool-contract.ts";
import type { ClientInstances } from "./client-instances.ts";
import type { SharedInstances } from "./lane-instances.ts";
import type { LaneState } from "./lane-state.ts";

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

export function backendView(
  state: LaneState,
  shared: SharedInstances,
  clientInstances: ClientInstances,
): BackendView {
  const { config, decision, serving, phase } = state;
  const { memory, retryAtMs } = decision;
  const now = state.now();
  const sharedOnes = [...shared.instances.values()].map(({ instance }) => instance);
  const own = clientInstances.all.map(({ instance }) => instance);
  const draining = sharedOnes.filter(({ id }) => memory.draining.some((leaving) => leaving.id === id));
  const initialized = serving?.instance.initializeResult ?? null;
  return {
    name: config.name,
    group: config.group,
    type: config.connection.type,
    enabled: config.enabled,
    phase: decision.phase,
    reason: decision.reason,
    sinceMs: phase.since.wallMs,
    pid: serving?.instance.pid ?? null,
    server: initialized?.serverInfo ?? null,
    protocolVersion: initialized?.protocolVersion ?? null,
    instances: sharedOnes.length + own.length,
    inFlight: inFlightOf([...sharedOnes, ...own]),
    draining: inFlightOf(draining) + clientInstances.drainingInFlight,
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
