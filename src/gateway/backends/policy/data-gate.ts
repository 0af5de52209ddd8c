// Decides whether calls may reach a backend while the shares that it requires are away. Pure.
import type { ServedBackend } from "../../../config/snapshot.ts";
import { requirementOf } from "../../../config/values/requirement.ts";
import type { BackendDecisionBuilder, BackendMemory, BackendSpec } from "./backend-decision-builder.ts";
import type { DataReason } from "./draining.ts";
import { unavailableText } from "./required-data.ts";

export type Gate =
  | { readonly kind: "open" }
  | { readonly kind: "wait" }
  | {
      readonly kind: "refuse";
      readonly reason: string;
      readonly mode: ServedBackend["whenUnavailable"];
      readonly share: string;
    };

const OPEN: Gate = { kind: "open" };

/** True if the backend's local programs have to end so that their share can be remounted. */
export function mustStopForRemount({ needs, hasPrograms, wanted }: BackendSpec): boolean {
  return hasPrograms && needs?.data.kind === "moving" && wanted.kind !== "nothing";
}

function endAll(
  builder: BackendDecisionBuilder,
  why: DataReason,
  waitReason: BackendMemory["waitReason"],
): void {
  builder.drainServing(why);
  builder.remember({ waitReason });
  builder.dropAttempts();
}

/**
 * While required data is away, calls wait for a time. After that they are refused, and with `when_unavailable =
 * "stop"` the server ends.
 */
export function updateNeeds(builder: BackendDecisionBuilder): Gate {
  const { spec, now, memory } = builder;
  const { needs } = spec;
  if (needs === null || needs.data.kind === "there" || spec.wanted.kind === "nothing") return OPEN;
  const { data, unavailableAfterMs, whenUnavailable: mode } = needs;
  if (mustStopForRemount(spec))
    endAll(builder, "data_moves", memory.serving === null ? memory.waitReason : "replacement");
  if (data.sinceMs === null) return { kind: "wait" };
  const untilMs = data.sinceMs + unavailableAfterMs;
  if (now.monotonicMs < untilMs) {
    builder.runAt(untilMs, "window_end");
    return { kind: "wait" };
  }
  if (mode === "stop") endAll(builder, "data_away", null);
  const { share } = requirementOf(data.requirement);
  return { kind: "refuse", reason: unavailableText(data), mode, share };
}
