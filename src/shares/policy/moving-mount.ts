// The facts about a mount that moves, from what its program reports: whether it is dead, and whether its route is gone.
import type { MountReport } from "../drivers/moving-mounts.ts";
import type { RouteName } from "../share-spec.ts";
import { type ConditionDraft, SHARE_CONDITIONS } from "./condition-rows.ts";
import type { DecideInput } from "./decide-input.ts";
import { answers, hostOf } from "./hosts.ts";
import { isDeadErrno, SILENT_CHECK_MS } from "./mount-errno.ts";
import type { MountFact, MountUse } from "./mount-fact.ts";
import type { RouteFact } from "./route-fact.ts";
import type { MountObservation } from "./share-observation.ts";
import { announce, clearPending, type Situation, setMemory, setOverride, setState } from "./situation.ts";

type Input = Pick<DecideInput, "observed" | "policy">;

/** The report on a mount that moves; null: the mount stays on its route. */
export function reportOn(mount: MountObservation | null): MountReport | null {
  return mount?.moving ?? null;
}

/** Whether a change of the route keeps the mount. */
export function canMove({ observed }: Pick<DecideInput, "observed">): boolean {
  return reportOn(observed.mount) !== null;
}

/**
 * Only a program that is gone makes such a mount dead: its open files would be lost with it. One that gives no answer is a
 * condition, and is replaced once nothing is open.
 */
export function movingMountFact(
  { observed, policy }: Input,
  { found, check }: MountObservation,
  { phase, heardAtMs, silentSinceMs }: MountReport,
): MountFact {
  const fact = (verdict: MountFact["verdict"], use: MountUse, condition: ConditionDraft | null = null) => ({
    ...{ verdict, use, condition, recheckAtMs: null },
    learned: verdict.state === "alive" ? { answeredMount: found.id } : {},
  });
  const unusable = (why: Extract<MountUse, { state: "unusable" }>["why"]) =>
    ({ state: "unusable", why }) as const;
  const isGone = found.processGone || (check.state === "answered" && check.errno === "ENOTCONN");
  if (isGone) return fact({ state: "dead", reason: "the mount's process is gone" }, unusable("no_answer"));
  if (isSilent({ observed, policy }, check, silentSinceMs)) {
    const condition = SHARE_CONDITIONS.program_silent(policy.mountHangMs);
    return fact({ state: "unproven", why: "silent" }, unusable("no_answer"), condition);
  }
  if (phase.is === "unheard") return fact({ state: "unproven", why: "unchecked" }, unusable("unchecked"));
  if (phase.is !== "serving") return fact({ state: "unproven", why: "no_route" }, unusable("waiting"));
  if (check.state === "never") return fact({ state: "unproven", why: "unchecked" }, unusable("unchecked"));
  if (check.state === "pending") {
    const hasAnswered = heardAtMs !== null && heardAtMs >= check.startedAtMs;
    const isLate = observed.atMs - check.startedAtMs >= SILENT_CHECK_MS;
    if (hasAnswered || !isLate) return fact({ state: "alive" }, { state: "usable" });
    return fact({ state: "unproven", why: "pending" }, unusable("no_answer"));
  }
  if (isDeadErrno(check.errno)) return fact({ state: "unproven", why: "failed" }, unusable("no_answer"));
  const denied = check.errno === null ? null : SHARE_CONDITIONS.mount_denied(found.path, check.errno);
  return fact({ state: "alive" }, { state: "usable" }, denied);
}

/** Whether both the program and a check of its mount have been without an answer for `mount_hang_secs`. */
function isSilent(
  { observed, policy }: Input,
  check: MountObservation["check"],
  silentSinceMs: number | null,
): boolean {
  const isLate = (sinceMs: number): boolean => observed.atMs - sinceMs >= policy.mountHangMs;
  return (
    silentSinceMs !== null && isLate(silentSinceMs) && check.state === "pending" && isLate(check.startedAtMs)
  );
}

/** The program knows first whether its route is gone: it has the connection. */
export function movingRouteFact(
  input: Pick<DecideInput, "observed">,
  { phase }: MountReport,
  route: RouteName,
): RouteFact {
  const fact = (state: RouteFact["state"]): RouteFact => ({
    route,
    state,
    suspectedLoss: null,
    recheckAtMs: null,
  });
  switch (phase.is) {
    case "unheard":
      return fact("waiting");
    case "waiting":
    case "over":
    case "away":
      return fact("gone");
    case "serving":
    case "refused":
      return fact(answers(input, route) ? "answers" : "slow");
  }
}

/** Why a program left its route, in words. */
const ROUTE_LOST: Readonly<Record<string, string>> = {
  link_down: "its link is down",
  ended: "the connection ended",
  silent: "it does not answer",
  blocked: "it answers, but large messages do not pass",
  not_allowed: "it is not to be used on this network",
  returned: "it did not answer",
};

/** Announces a move that the program has made by its own decision. A move that was asked for is announced by its operation. */
export function updateMoves(before: Situation): Situation {
  const { mount } = before.observed;
  const report = reportOn(mount);
  if (mount === null || report === null || report.phase.is === "unheard") return before;
  const { count, last } = report.moves;
  const { observedMoves } = before.state;
  const mountId = mount.found.id;
  let now = setState(before, { observedMoves: { mountId, count } });
  if (observedMoves === null || observedMoves.mountId !== mountId || observedMoves.count === count)
    return now;
  if (last === null || last.isRequested) return now;
  const { from, to, reason, quiet, tookMs } = last;
  const why = `${from === null ? "its route" : hostOf(now, from)} is gone: ${ROUTE_LOST[reason] ?? reason}`;
  now = announce(clearPending(now, "moved"), {
    ...{ name: "share.failover", from: from ?? "unknown", to, host: hostOf(now, to), reason: why },
    ...{ duration_ms: Math.round(tookMs), moved: true, quiet, connections: report.connections },
  });
  now = setMemory(now, { lastSwitchAt: last.at });
  return to === "tb" && now.memory.override === "fallback" ? setOverride(now, null) : now;
}
