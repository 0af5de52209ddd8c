// Whether calls may reach a backend, by what it works on. Pure.
import type { BackendConfig } from "../../../config/snapshot.ts";
import type { DecisionBuilder } from "./backend-decision-builder.ts";
import { dropStandbys } from "./decide-routes.ts";
import { awayText } from "./required-data.ts";

/** What becomes of calls for the sake of the data, whatever serves. */
export type Gate =
  | { readonly kind: "open" }
  /** `makesRoom`: programs end meanwhile. */
  | { readonly kind: "wait"; readonly makesRoom: boolean }
  | { readonly kind: "refuse"; readonly reason: string; readonly mode: BackendConfig["whenUnavailable"] };

const OPEN: Gate = { kind: "open" };

/** What serves finishes its calls and ends; its names stay. */
function makeRoom(builder: DecisionBuilder): void {
  const { serving, holding } = builder.memory;
  builder.drainServing("data_moves");
  builder.remember({ candidate: null, holding: serving === null ? holding : "replacement" });
}

/** Short absences make no noise: calls wait. After that they are refused, and `stop` ends the server. */
export function foldNeeds(builder: DecisionBuilder): Gate {
  const { spec, now } = builder;
  const { needs } = spec;
  if (needs === null || needs.data.kind === "there" || spec.wanted.kind === "nothing") return OPEN;
  const { data, unavailableAfterMs, whenUnavailable: mode } = needs;
  if (data.kind === "moving") {
    // What has no process here holds nothing of the share.
    const makesRoom = spec.origin === null;
    if (makesRoom) makeRoom(builder);
    return { kind: "wait", makesRoom };
  }
  const untilMs = data.sinceMs + unavailableAfterMs;
  if (now.monotonicMs < untilMs) {
    builder.wakeAt(untilMs, "window_end");
    return { kind: "wait", makesRoom: false };
  }
  if (mode === "stop") {
    builder.drainServing("data_away");
    builder.remember({ candidate: null, holding: null });
    dropStandbys(builder);
  }
  return { kind: "refuse", reason: awayText(data), mode };
}
