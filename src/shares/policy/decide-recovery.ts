// The rule for a recovery, the move back to Thunderbolt: the stability window, and the table of `auto_failback`,
// `lsof_recheck` and open files.
import { stableFrom } from "../../reconcile/route-health.ts";
import { routesOf, type SharePolicy } from "../share-spec.ts";
import type { DecideInput } from "./decide-input.ts";
import { answers, hostOf } from "./hosts.ts";
import { canMove } from "./moving-mount.ts";
import { describe, programsWait } from "./open-files.ts";
import { checkedOpenFiles, mountObstacle } from "./operation.ts";
import type { ReconcileState } from "./reconcile-state.ts";
import { type Answer, type Rule, recheck } from "./rule.ts";
import { targetObstacle } from "./server-check.ts";
import type { MountObservation, OpenFilesObservation } from "./share-observation.ts";

/**
 * Begins the return to Thunderbolt when it is due, for a share that is mounted over the fallback and whose mount
 * answers. Never closes open files.
 */
export const recovery: Rule = {
  name: "return to the preferred route",
  answer: (now, { mount, routeFact }) => {
    if (routeFact?.route !== "fallback" || !routesOf(now.spec).includes("tb")) return null;
    const { memory, state, policy, observed } = now;
    if (memory.override !== null)
      return { why: `you asked for ${memory.override}; \`mountaineer switch --to auto\` ends that` };
    if (!answers(now, "tb"))
      return { why: `${hostOf(now, "tb")} does not answer: ${observed.routes.tb.probe.text}` };
    const obstacle = canMove(now) ? null : mountObstacle(now);
    if (obstacle !== null) return { why: obstacle };
    const target = canMove(now) ? null : targetObstacle(now, "tb");
    if (target !== null) return target;
    const stableAtMs = stableFrom(state.health.tb, policy.stableMs);
    if (stableAtMs === null) return { why: "the preferred route has not answered twice yet" };
    const untilMs = Math.max(stableAtMs, state.recoveryBackoff.notBeforeMs);
    if (untilMs <= observed.atMs) {
      const { openFiles } = observed;
      if (isTableDue(now)) return applyTable(now, mount);
      return { why: mayBeOpen(openFiles) ? describe(openFiles) : explainWait(policy) };
    }
    const why =
      untilMs === stableAtMs
        ? `the preferred route has to answer for ${Math.round(policy.stableMs / 1000)} s`
        : `the last try failed: ${state.recoveryFailure ?? "unknown"}`;
    return { why, untilMs, ...recheck(untilMs, "window_end") };
  },
};

/** What a return that is due waits for, unless files are open. */
function waitOf({ lsofRecheck }: SharePolicy): string {
  return lsofRecheck ? "waiting for the next check of open files" : "waiting for you to switch";
}

function explainWait(policy: SharePolicy): string {
  const wait = waitOf(policy);
  if (policy.lsofRecheck) return wait;
  return `${wait}: ${policy.autoFailback ? "lsof_recheck is off" : "auto_failback and lsof_recheck are off"}`;
}

/** Whether files are known to be open, or might be. */
function mayBeOpen(files: OpenFilesObservation | null): files is OpenFilesObservation {
  return files !== null && files.state !== "none";
}

function toggles({ policy }: DecideInput): string {
  return `${policy.autoFailback} ${policy.lsofRecheck}`;
}

/**
 * Whether to call `applyTable` now: at the end of the stability window, after a change of either toggle, and, with
 * `lsof_recheck` on, in each cycle while a recovery is pending.
 */
function isTableDue(input: DecideInput): boolean {
  if (input.state.tableAppliedWith !== toggles(input)) return true;
  return input.memory.tbRecoveryPending && input.policy.lsofRecheck;
}

/**
 * | auto_failback | lsof_recheck | nothing open | files open |
 * | on | on | switch | pending, re-checked each cycle |
 * | on | off | switch | pending, a person switches |
 * | off | on | pending; the next re-check switches | pending, re-checked each cycle |
 * | off | off | pending, a person switches | pending, a person switches |
 *
 * A mount that moves keeps its files open, so they do not count.
 */
function applyTable(now: DecideInput, mount: MountObservation): Answer {
  const { autoFailback, lsofRecheck, stableMs } = now.policy;
  const applied = { tableAppliedWith: toggles(now) };
  const isRechecked = now.memory.tbRecoveryPending && lsofRecheck;
  if (!autoFailback && !isRechecked)
    return { why: explainWait(now.policy), defers: waitOf(now.policy), learned: applied };
  const reason = `the preferred route has answered for ${Math.round(stableMs / 1000)} s`;
  const start = { kind: "recovery", mode: "plain", target: "tb" } as const;
  if (canMove(now)) return { start: { ...start, reason, plan: ["tb"], moves: true }, learned: applied };
  const { lastStep } = now.observed;
  // EBUSY means open files, even if the check found none.
  if (lastStep?.kind === "unmount" && !lastStep.outcome.ok) {
    const { reason: failure, text: why } = lastStep.outcome;
    return failure === "busy" ? { why, defers: why } : { why };
  }
  const files = checkedOpenFiles(now);
  if (files === null) return { step: { kind: "check_open_files", mount: mount.found } };
  const checked = announceCheck(now, files, applied);
  if (mayBeOpen(files)) return { why: describe(files), defers: describe(files), ...checked };
  // Mountaineer's own programs on the share have to end first. Until then, calls in flight of these programs count as
  // open files.
  const plan = ["tb", "fallback"] as const;
  return (
    programsWait(now) ?? {
      start: { ...start, reason: `${reason} and nothing is open`, plan },
      stopPrograms: true,
      ...checked,
    }
  );
}

/** Announces each result once, although the check runs in each cycle. */
function announceCheck(
  { state }: DecideInput,
  files: OpenFilesObservation,
  learned: Partial<ReconcileState>,
): Pick<Answer, "learned" | "transitions"> {
  const reason = describe(files);
  if (state.announcedOpenFiles === reason) return { learned };
  return {
    learned: { ...learned, announcedOpenFiles: reason },
    transitions: [
      {
        name: "share.open_files_checked",
        result: files.state,
        open_files: files.holders.length,
        reason,
      },
    ],
  };
}
