// Whether calls may reach a backend, by what it works on. Pure.
import type { ServedBackend } from "../../../config/snapshot.ts";
import type { BackendSpec, DecisionBuilder } from "./backend-decision-builder.ts";
import { dropStandbys } from "./decide-routes.ts";
import { awayText } from "./required-data.ts";

/** What becomes of calls for the sake of the data, whatever serves. */
export type Gate =
  | { readonly kind: "open" }
  | { readonly kind: "wait" }
  | { readonly kind: "refuse"; readonly reason: string; readonly mode: ServedBackend["whenUnavailable"] };

const OPEN: Gate = { kind: "open" };

/** Programs end while their data is mounted anew; what has no process here holds nothing of it. */
export function makesRoom({ needs, origin, wanted, routes = null }: BackendSpec): boolean {
  if (needs?.data.kind !== "moving" || wanted.kind === "nothing") return false;
  // Of several routes some may be programs.
  return origin === null || routes !== null;
}

/** What serves finishes its calls and ends; its names stay. */
function makeRoom(builder: DecisionBuilder): void {
  const { serving, holding } = builder.memory;
  builder.drainServing("data_moves");
  builder.remember({ candidate: null, holding: serving === null ? holding : "replacement" });
  dropStandbys(builder);
}

/** Short absences make no noise: calls wait. After that they are refused, and `stop` ends the server. */
export function foldNeeds(builder: DecisionBuilder): Gate {
  const { spec, now } = builder;
  const { needs } = spec;
  if (needs === null || needs.data.kind === "there" || spec.wanted.kind === "nothing") return OPEN;
  const { data, unavailableAfterMs, whenUnavailable: mode } = needs;
  if (makesRoom(spec)) makeRoom(builder);
  if (data.sinceMs === null) return { kind: "wait" };
  const untilMs = data.sinceMs + unavailableAfterMs;
  if (now.monotonicMs < untilMs) {
    builder.wakeAt(untilMs, "window_end");
    return { kind: "wait" };
  }
  if (mode === "stop") {
    builder.drainServing("data_away");
    builder.remember({ candidate: null, holding: null });
    dropStandbys(builder);
  }
  return { kind: "refuse", reason: awayText(data), mode };
}
