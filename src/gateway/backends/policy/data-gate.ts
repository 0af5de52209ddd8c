// Decides whether calls may reach a backend while the shares that it requires are away. Pure.
import type { ServedBackend } from "../../../config/snapshot.ts";
import { requiredShare } from "../../../config/values/requirement.ts";
import type { BackendMemory, BackendSituation, BackendSpec } from "./backend-situation.ts";
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

export const ABSENCE_RULES = {
  hide: "hide its tools",
  stop: "stop without its data",
  error: "refuse calls",
} as const;

const OPEN: Gate = { kind: "open" };

/** True if the backend's local programs have to end so that their share can be remounted. */
export function mustStopForRemount({ needs, hasPrograms, wanted }: BackendSpec): boolean {
  return hasPrograms && needs?.data.kind === "moving" && wanted.kind !== "nothing";
}

function endAll(
  situation: BackendSituation,
  why: DataReason,
  waitReason: BackendMemory["waitReason"],
): BackendSituation {
  return situation.drainServing(why).remember({ waitReason }).dropAttempts();
}

/**
 * While required data is away, calls wait for a time. After that they are refused, and with `when_unavailable =
 * "stop"` the server ends.
 */
export function dataGate({ spec, now }: Pick<BackendSituation, "spec" | "now">): Gate {
  const { needs } = spec;
  if (needs === null || needs.data.kind === "there" || spec.wanted.kind === "nothing") return OPEN;
  const { data, whenUnavailable: mode } = needs;
  const untilMs = waitsUntilMs(needs);
  if (untilMs === null || now.monotonicMs < untilMs) return { kind: "wait" };
  return { kind: "refuse", reason: unavailableText(data), mode, share: requiredShare(data.requirement) };
}

function waitsUntilMs({ data, unavailableAfterMs }: NonNullable<BackendSpec["needs"]>): number | null {
  return data.kind === "there" || data.sinceMs === null ? null : data.sinceMs + unavailableAfterMs;
}

/** Ends what may not run while its data is away. */
export function updateNeeds(before: BackendSituation): BackendSituation {
  const { spec, memory } = before;
  const gate = dataGate(before);
  const waitReason = memory.serving === null ? memory.waitReason : "replacement";
  const next = mustStopForRemount(spec) ? endAll(before, "data_moves", waitReason) : before;
  const untilMs = spec.needs && waitsUntilMs(spec.needs);
  if (gate.kind === "wait" && untilMs !== null && spec.needs !== null && spec.needs.data.kind !== "there") {
    const rule = ABSENCE_RULES[spec.needs.whenUnavailable];
    return next.runAt(untilMs, "window_end").passOver(rule, unavailableText(spec.needs.data), untilMs);
  }
  return gate.kind === "refuse" && gate.mode === "stop" ? endAll(next, "data_away", null) : next;
}
