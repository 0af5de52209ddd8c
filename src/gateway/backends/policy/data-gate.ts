// Decides whether calls may reach a backend while the shares that it requires are away. Pure.
import type { ServedBackend } from "../../../config/snapshot.ts";
import type { BackendMemory, BackendSpec, DecisionBuilder } from "./backend-decision-builder.ts";
import type { DataReason } from "./draining.ts";
import { awayText } from "./required-data.ts";

export type Gate =
  | { readonly kind: "open" }
  | { readonly kind: "wait" }
  | { readonly kind: "refuse"; readonly reason: string; readonly mode: ServedBackend["whenUnavailable"] };

const OPEN: Gate = { kind: "open" };

/** True if the backend's local programs have to end so that their share can be remounted. */
export function makesRoom({ needs, hasPrograms, wanted }: BackendSpec): boolean {
  return hasPrograms && needs?.data.kind === "moving" && wanted.kind !== "nothing";
}

function endAll(builder: DecisionBuilder, why: DataReason, holding: BackendMemory["holding"]): void {
  builder.drainServing(why);
  builder.remember({ holding });
  builder.dropAttempts();
}

/**
 * While required data is away, calls wait for a time. After that they are refused, and with `when_unavailable =
 * "stop"` the server ends.
 */
export function foldNeeds(builder: DecisionBuilder): Gate {
  const { spec, now, memory } = builder;
  const { needs } = spec;
  if (needs === null || needs.data.kind === "there" || spec.wanted.kind === "nothing") return OPEN;
  const { data, unavailableAfterMs, whenUnavailable: mode } = needs;
  if (makesRoom(spec))
    endAll(builder, "data_moves", memory.serving === null ? memory.holding : "replacement");
  if (data.sinceMs === null) return { kind: "wait" };
  const untilMs = data.sinceMs + unavailableAfterMs;
  if (now.monotonicMs < untilMs) {
    builder.wakeAt(untilMs, "window_end");
    return { kind: "wait" };
  }
  if (mode === "stop") endAll(builder, "data_away", null);
  return { kind: "refuse", reason: awayText(data), mode };
}
