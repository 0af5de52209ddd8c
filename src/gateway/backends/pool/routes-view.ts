// The routes of one backend, as people are shown them.
import { routesOf } from "../../../config/backend-routes.ts";
import { shownArguments, shownText, shownUrl } from "../../../config/shown-values.ts";
import type { ServedBackend } from "../../../config/snapshot.ts";
import { stableFrom } from "../../../reconcile/route-health.ts";
import { missingText } from "../../../secrets/reference.ts";
import type { RoutesView } from "../policy/backend-pool-contract.ts";
import { NEW_ROUTE } from "../policy/route-memory.ts";
import type { LaneState } from "./lane-state.ts";

/** Null: it has one alone. */
export function routesView(state: LaneState): RoutesView | null {
  if (!state.hasRoutes) return null;
  const { routes, serving } = state.decision.memory;
  const now = state.now();
  const { stableMs } = state.tools.failback();
  const { held, pending } = routes;
  const keyOf = (index: number): string | null => {
    const outcome = state.outcomes[index]?.outcome;
    return outcome?.ok === true ? outcome.key : null;
  };
  const known = routesOf(state.config);
  const usedAt = serving === null ? -1 : known.findIndex((_, index) => keyOf(index) === serving.key);
  const list = known.map((route, index) => {
    const { health, tries, standby } = routes.byName.get(route.name) ?? NEW_ROUTE;
    const outcome = state.outcomes[index]?.outcome;
    const inUse = serving !== null && keyOf(index) === serving.key;
    // Worse ones are left alone, and all are while a person holds one.
    const isTried = usedAt === -1 || (index < usedAt && held === null);
    const missing = outcome?.ok === false ? missingText(outcome.missing) : null;
    const isReady = !inUse && standby !== null && health.healthySince !== null;
    const dueMs = isReady ? stableFrom(health, stableMs) : null;
    const retryMs = tries.notBeforeMs - now.monotonicMs;
    return {
      name: route.name,
      type: route.connection.type,
      target: shownTarget(route.connection),
      inUse,
      healthySinceMs: isReady ? (health.healthySince?.wallMs ?? null) : null,
      stableAtMs: dueMs === null ? null : now.wallMs + dueMs - now.monotonicMs,
      retryAtMs: !isTried || inUse || standby !== null || retryMs <= 0 ? null : now.wallMs + retryMs,
      lastError: missing ?? (inUse || isReady ? null : (tries.failure?.message ?? null)),
    };
  });
  const inUse = list.find((route) => route.inUse)?.name ?? null;
  const waits = pending === null ? null : { route: pending.route, reason: pending.reason };
  return { inUse, held, pending: waits, list };
}

function shownTarget(connection: ServedBackend["connection"]): string {
  if (connection.type === "fleet") return `${connection.backend} on ${connection.machine}`;
  if (connection.type !== "stdio") return shownUrl(connection.url, "log");
  const { command, args } = connection;
  return [shownText(command, "log"), ...shownArguments(command, args, "log")].join(" ");
}
