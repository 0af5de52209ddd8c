// The owner of the shared loop: what its decisions mean for the backend, its published lists and its routes.
import { routesOf } from "../../../config/backend-routes.ts";
import { NO_LISTINGS } from "../../catalog/catalog.ts";
import type { GatewayTransition } from "../../gateway-transitions.ts";
import type { BackendInstance } from "../instance/start-backend-instance.ts";
import type { BackendPhase } from "../policy/backend-pool-contract.ts";
import {
  type BackendMemory,
  type BackendSpec,
  type ClientsObservation,
  NEW_BACKEND,
  type Now,
} from "../policy/backend-situation.ts";
import type { BackendEvent } from "../policy/backend-step.ts";
import type { BackendState, SwitchOutcome } from "./backend-state.ts";
import type { ClientInstances } from "./client-instances.ts";
import type { InstanceReconciler, ReconcilerOwner } from "./instance-reconciler.ts";
import type { InstanceBase, PoolInstance } from "./pool-instance.ts";
import type { PoolSubscriptions } from "./pool-subscriptions.ts";
import type { Published } from "./published.ts";

export const ONE_ROUTE = "it has only one route";
const GIVEN_UP = "it was given up";

interface AllClientsParts {
  readonly state: BackendState;
  readonly published: Published;
  readonly subscriptions: PoolSubscriptions;
  readonly clients: ClientInstances;
  /** Called after each decision. */
  readonly onDecided: (reconciler: InstanceReconciler) => void;
}

export class SharedInstance implements ReconcilerOwner {
  readonly client = null;
  /** The phase that was announced last. */
  phase: { readonly name: BackendPhase; readonly since: Now; readonly reason: string | null };
  readonly #parts: AllClientsParts;
  /** Clients' own instances may start, as the last decision said. */
  #mayStart = false;

  constructor(parts: AllClientsParts) {
    this.#parts = parts;
    this.phase = { name: NEW_BACKEND.phase, since: parts.state.now(), reason: null };
  }

  spec(): BackendSpec {
    const { state, published } = this.#parts;
    const { spec } = state;
    return {
      ...spec,
      sleep: { ...spec.sleep, listedAtMs: published.listedAtMs, forgets: published.isForgotten },
    };
  }

  get subscribers(): number {
    return this.#parts.subscriptions.clients.length;
  }

  isNeeded(): boolean {
    const { state, clients } = this.#parts;
    const { subscribers } = this;
    return state.isStartRequested || subscribers > 0 || clients.all.length > 0;
  }

  clients(): ClientsObservation {
    return this.#parts.clients.observed;
  }

  recall({ decision }: InstanceReconciler): BackendMemory {
    return decision.memory;
  }

  baseOf(key: string): InstanceBase | null {
    return this.#parts.state.outcomeOf(key);
  }

  onServing(next: PoolInstance, before: PoolInstance | null): void {
    const { state, published, subscriptions } = this.#parts;
    const { base } = state;
    published.show(next);
    state.base = next.base;
    if (!state.isPerClient) subscriptions.move(before?.instance ?? null, next.instance);
    else if (base?.key !== next.base.key || base.epoch !== next.base.epoch)
      this.#parts.clients.backendChanged();
  }

  onDecided(reconciler: InstanceReconciler, before: BackendMemory): void {
    const { state, published, clients, onDecided } = this.#parts;
    const { tools, name } = state;
    const { memory, calls, events, step } = reconciler.decision;
    if (step?.kind === "start") state.isStartRequested = false;
    const { override } = memory.routes;
    if (override !== before.routes.override) tools.routeOverrides?.keep(name, override);
    onDecided(reconciler);
    published.publish(reconciler.decision);
    for (const event of events) {
      if (event.kind === "asked_done" || event.kind === "asked_failed") this.#completeRequested(event);
      else
        tools.announce(eventTransition(name, event, (id) => reconciler.instances.get(id)?.instance ?? null));
    }
    const mayStart = calls.kind === "serve";
    if (mayStart === this.#mayStart) return;
    this.#mayStart = mayStart;
    clients.backendChanged();
  }

  onRest({ decision: { phase: to, reason } }: InstanceReconciler): void {
    const { state } = this.#parts;
    const { name: from, since, reason: before } = this.phase;
    // A failed backend announces each new reason.
    if (to !== from || (to === "Failed" && reason !== before)) {
      const now = state.now();
      this.phase = { name: to, since: to === from ? since : now, reason };
      const took_ms = Math.round(now.monotonicMs - since.monotonicMs);
      state.tools.announce({ name: "backend.phase", backend: state.name, from, to, reason, took_ms });
    }
    state.changed();
  }

  onListings(reconciler: InstanceReconciler, serving: PoolInstance): void {
    const { published } = this.#parts;
    published.relist(serving);
    published.publish(reconciler.decision);
  }

  unavailable({ decision }: InstanceReconciler): string {
    return this.#parts.state.unavailable(decision);
  }

  /** Switches to the route `to`. null: ends the override. Never rejects. */
  async switchRoute(
    reconciler: InstanceReconciler,
    to: string | null,
    signal: AbortSignal,
  ): Promise<SwitchOutcome> {
    const { state } = this.#parts;
    const failed = (reason: string): SwitchOutcome => ({ ok: false, reason });
    const names = routesOf(state.config).map(({ name }) => name);
    const used = reconciler.decision.memory.routes.used ?? names[0] ?? "";
    if (!state.hasChoice) return failed(ONE_ROUTE);
    if (to !== null && !names.includes(to)) return failed(`it has the routes ${names.join(", ")}`);
    if (!state.isWanted) return failed(reconciler.unavailable);
    if (to === null) {
      this.#release(reconciler);
      return { ok: true, route: used, changed: false };
    }
    if (signal.aborted) return failed(GIVEN_UP);
    state.refuseRequested("another route was asked for");
    const { promise, resolve } = Promise.withResolvers<SwitchOutcome>();
    const requested = { route: to, complete: resolve };
    const onAbort = (): void => {
      if (state.requestedRoute !== requested) return;
      state.refuseRequested(GIVEN_UP);
      reconciler.trigger("user");
    };
    signal.addEventListener("abort", onAbort, { once: true });
    state.requestedRoute = requested;
    reconciler.trigger("user");
    return promise;
  }

  /** Ends the override: the backend chooses its route automatically again. */
  #release(reconciler: InstanceReconciler): void {
    const { state } = this.#parts;
    const { decision } = reconciler;
    const { memory } = decision;
    if (memory.routes.override === null) return;
    const routes = { ...memory.routes, override: null };
    reconciler.decision = { ...decision, memory: { ...memory, routes } };
    state.tools.routeOverrides?.keep(state.name, null);
    reconciler.trigger("user");
  }

  #completeRequested(event: RequestedEvent): void {
    const { state } = this.#parts;
    const { requestedRoute } = state;
    state.requestedRoute = null;
    requestedRoute?.complete(
      event.kind === "asked_done"
        ? { ok: true, route: event.route, changed: event.changed }
        : { ok: false, reason: event.reason },
    );
  }
}

type RequestedEvent = Extract<BackendEvent, { readonly kind: "asked_done" | "asked_failed" }>;

function eventTransition(
  backend: string,
  event: Exclude<BackendEvent, RequestedEvent>,
  find: (id: number) => BackendInstance | null,
): GatewayTransition {
  if (event.kind === "ended") {
    const { reason, retryInMs } = event;
    const retry_in_ms = retryInMs === null ? null : Math.round(retryInMs);
    return { name: "backend.ended", backend, reason, retry_in_ms };
  }
  if (event.kind === "change_failed") return { name: "backend.change_failed", backend, reason: event.reason };
  if ("from" in event) {
    const { kind, ...change } = event;
    return { name: `backend.${kind}`, backend, ...change };
  }
  if ("route" in event) {
    const { kind, ...ready } = event;
    return { name: `backend.${kind}`, backend, ...ready };
  }
  if (event.kind === "replaced") {
    return { name: "backend.replaced", backend, draining: find(event.id)?.observed.inFlight ?? 0 };
  }
  const instance = find(event.id);
  const { tools, resources, prompts } = instance?.listings ?? NO_LISTINGS;
  const took = (instance?.observed.readyAtMs ?? 0) - (instance?.observed.startedAtMs ?? 0);
  return {
    name: "backend.ready",
    backend,
    tools: tools.length,
    resources: resources.length,
    prompts: prompts.length,
    took_ms: Math.round(took),
  };
}
