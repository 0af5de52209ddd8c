// Shares that are remounted when their route changes: whether both routes lead to one server, as the server check says. A share that
// moves needs none: its program proves each server itself.
import { type RouteName, routesOf } from "../share-spec.ts";
import { type ConditionDraft, SHARE_CONDITIONS } from "./condition-rows.ts";
import type { DecideInput } from "./decide-input.ts";
import { hostOf } from "./hosts.ts";
import { type Answer, recheck } from "./rule.ts";

/** Interval of cycles while a check is awaited, ms; usually its end causes a cycle sooner. */
const AWAIT_MS = 1_000;

export function isChecking({ observed: { serverCheck } }: DecideInput): boolean {
  return serverCheck?.isChecking === true;
}

/** Why a mount must not be replaced by one over `route`; null: it may, also if nothing could be proved. */
export function targetObstacle(
  input: DecideInput,
  route: RouteName,
): (Answer & { readonly why: string }) | null {
  const { serverCheck = null, atMs } = input.observed;
  if (serverCheck === null) return null;
  const host = hostOf(input, route);
  if (serverCheck.isChecking)
    return { why: `it is being checked whether ${host} is the same server`, ...recheck(atMs + AWAIT_MS) };
  if (serverCheck.state !== "different") return null;
  const why = `${host} is not proved to be the same server: ${serverCheck.text ?? ""}`;
  return { why, error: why };
}

export function checkConditions({ observed: { serverCheck }, spec }: DecideInput): ConditionDraft[] {
  if (!serverCheck || routesOf(spec).length < 2) return [];
  const { state, text, isEmpty } = serverCheck;
  if (state === "different") return [SHARE_CONDITIONS.different_servers(text ?? "")];
  if (state !== "unproved") return [];
  return [isEmpty ? SHARE_CONDITIONS.share_empty() : SHARE_CONDITIONS.server_unproved(text ?? "")];
}
