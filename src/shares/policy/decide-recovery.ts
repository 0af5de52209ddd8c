// The rules for a recovery, the move back to Thunderbolt: the stability window, and the table of `auto_failback`,
// `lsof_recheck` and open files.
import { stableFrom } from "../../reconcile/route-health.ts";
import { canMove, mayMoveAfterProof } from "./decide-eligibility.ts";
import { checkedOpenFiles, mountObstacle, startOperation } from "./decide-operation.ts";
import { deferRecovery } from "./decide-operation-end.ts";
import {
  answers,
  areProgramsStopped,
  type DecisionBuilder,
  hostOf,
  passOver,
  recheckAt,
  setState,
} from "./decision-builder.ts";
import type { MountObservation, OpenFilesObservation } from "./share-observation.ts";
import type { Step } from "./step.ts";

/**
 * Begins the return to Thunderbolt when it is due, for a share that is mounted over the fallback and whose mount
 * answers. Never closes open files.
 */
export function decideRecovery(builder: DecisionBuilder, mount: MountObservation): Step | null {
  const { memory, state, policy, observed } = builder;
  const pass = (why: string, untilMs: number | null = null): null =>
    passOver(builder, "return to Thunderbolt", why, untilMs);
  if (memory.override !== null)
    return pass(`you asked for ${memory.override}; \`mountaineer switch --to auto\` ends that`);
  if (!answers(builder, "tb"))
    return pass(`${hostOf(builder, "tb")} does not answer: ${observed.routes.tb.probe.text}`);
  if (mayMoveAfterProof(builder, "tb"))
    return pass("it is being proved that Thunderbolt leads to the same server");
  const obstacle = canMove(builder, "tb") ? null : mountObstacle(builder);
  if (obstacle !== null) return pass(obstacle);
  const stableAtMs = stableFrom(state.health.tb, policy.stableMs);
  if (stableAtMs === null) return pass("Thunderbolt has not answered twice yet");
  const dueAtMs = Math.max(stableAtMs, state.recoveryBackoff.notBeforeMs);
  if (dueAtMs > observed.atMs) {
    recheckAt(builder, dueAtMs, "window_end");
    return pass(
      dueAtMs === stableAtMs
        ? `Thunderbolt has to answer for ${Math.round(policy.stableMs / 1000)} s`
        : `the last try failed: ${state.recoveryFailure ?? "unknown"}`,
      dueAtMs,
    );
  }
  const step = isTableDue(builder) ? applyTable(builder, mount) : null;
  if (step === null && builder.state.operation === null) pass(deferredBecause(builder));
  return step;
}

/** Why the return is due and waits. */
function deferredBecause({ policy, observed, programsRun }: DecisionBuilder): string {
  const { autoFailback, lsofRecheck } = policy;
  const files = observed.openFiles;
  if (files !== null && files.state !== "none") return describe(files);
  if (programsRun === true) return "MCP servers that use the share have to end first";
  if (!autoFailback && !lsofRecheck) return "auto_failback and lsof_recheck are off: you switch";
  return autoFailback && !lsofRecheck
    ? "files were open, and lsof_recheck is off: you switch"
    : "the next check of open files decides";
}

function toggles({ policy }: DecisionBuilder): string {
  return `${policy.autoFailback} ${policy.lsofRecheck}`;
}

/**
 * Whether to call `applyTable` now: at the end of the stability window, after a change of either toggle, and, with
 * `lsof_recheck` on, in each cycle while a recovery is pending.
 */
function isTableDue(builder: DecisionBuilder): boolean {
  if (builder.state.tableAppliedWith !== toggles(builder)) return true;
  return builder.memory.tbRecoveryPending && builder.policy.lsofRecheck;
}

/**
 * | auto_failback | lsof_recheck | nothing open | files open |
 * | on | on | switch | pending, re-checked each cycle |
 * | on | off | switch | pending, a person switches |
 * | off | on | pending; the next re-check switches | pending, re-checked each cycle |
 * | off | off | pending, a person switches | pending, a person switches |
 *
 * A relayed mount moves without closing files, so its open files do not count.
 */
function applyTable(builder: DecisionBuilder, mount: MountObservation): Step | null {
  const { autoFailback, lsofRecheck } = builder.policy;
  const recheck = builder.memory.tbRecoveryPending && lsofRecheck;
  if (!autoFailback && !recheck) {
    setState(builder, { tableAppliedWith: toggles(builder) });
    const wait = lsofRecheck ? "waiting for the next check of open files" : "waiting for you to switch";
    return deferRecovery(builder, wait);
  }
  const reason = `Thunderbolt has answered for ${Math.round(builder.policy.stableMs / 1000)} s`;
  const recovery = { kind: "recovery", mode: "plain", target: "tb" } as const;
  if (canMove(builder, "tb")) {
    setState(builder, { tableAppliedWith: toggles(builder) });
    return startOperation(builder, { ...recovery, reason, plan: ["tb"], moves: true });
  }
  const { lastStep } = builder.observed;
  if (lastStep?.kind === "unmount" && !lastStep.outcome.ok) {
    // EBUSY means open files, even if the check found none.
    return lastStep.outcome.reason === "busy" ? deferRecovery(builder, lastStep.outcome.text) : null;
  }
  const files = checkedOpenFiles(builder);
  if (files === null) return { kind: "check_open_files", mount: mount.found };
  // Mountaineer's own programs on the share have to end first. Until then, calls in flight of these programs count as
  // open files.
  if (files.state === "none" && !areProgramsStopped(builder)) return null;
  setState(builder, { tableAppliedWith: toggles(builder) });
  announceCheck(builder, files);
  if (files.state !== "none") return deferRecovery(builder, describe(files));
  const plan = ["tb", "fallback"] as const;
  return startOperation(builder, { ...recovery, reason: `${reason} and nothing is open`, plan });
}

/** Announces each result once, although the check runs in each cycle. */
function announceCheck(builder: DecisionBuilder, files: OpenFilesObservation): void {
  const reason = describe(files);
  if (builder.state.announcedOpenFiles === reason) return;
  setState(builder, { announcedOpenFiles: reason });
  builder.transitions.push({
    name: "share.open_files_checked",
    result: files.state,
    open_files: files.holders.length,
    unsent_files: files.unsent.length,
    reason,
  });
}

function describe(files: OpenFilesObservation): string {
  if (files.state === "none") return "nothing is open";
  if (files.state === "unknown") return files.text ?? "the check of open files failed";
  const holders = [...new Set(files.holders.map(({ command, pid }) => `${command} (${pid})`))].slice(0, 5);
  const parts = [
    ...(files.holders.length > 0 ? [`${files.holders.length} open: ${holders.join(", ")}`] : []),
    ...(files.unsent.length > 0 ? [`${files.unsent.length} unsent`] : []),
  ];
  return parts.join("; ");
}
