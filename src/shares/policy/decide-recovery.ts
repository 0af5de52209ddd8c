// Owns the way back to Thunderbolt: the stability window, and the table of the two toggles and open files.
import { stableFrom } from "../../reconcile/route-health.ts";
import { canMove, mayMoveSoon } from "./decide-carry.ts";
import { checkedOpenFiles, startErrand, whyNotMountable } from "./decide-errand.ts";
import { deferRecovery } from "./decide-errand-end.ts";
import { answers, type Draft, setEpisode } from "./draft.ts";
import type { MountSeen, OpenFilesSeen } from "./share-seen.ts";
import type { Step } from "./step.ts";

/** Called for a share mounted over fallback, whose mount answers. Never recovers over open files. */
export function decideRecovery(draft: Draft, mount: MountSeen): Step | null {
  if (draft.memory.held !== null || !answers(draft, "tb") || mayMoveSoon(draft, "tb")) return null;
  if (!canMove(draft, "tb") && whyNotMountable(draft) !== null) return null;
  const stableAtMs = stableFrom(draft.episode.health.tb, draft.policy.stableMs);
  if (stableAtMs === null) return null;
  const dueAtMs = Math.max(stableAtMs, draft.episode.recoveryBackoff.notBeforeMs);
  if (dueAtMs > draft.seen.atMs) {
    draft.wakes.push({ atMs: dueAtMs, reason: "window_end" });
    return null;
  }
  return isTableDue(draft) ? readTable(draft, mount) : null;
}

function toggles({ policy }: Draft): string {
  return `${policy.autoFailback} ${policy.lsofRecheck}`;
}

/** At the window's end, when either toggle changes, and, with re-checks on, each cycle while pending. */
function isTableDue(draft: Draft): boolean {
  if (draft.episode.tableReadWith !== toggles(draft)) return true;
  return draft.memory.tbRecoveryPending && draft.policy.lsofRecheck;
}

/**
 * | auto_failback | lsof_recheck | nothing open | files open |
 * | on | on | switch | pending, re-checked each cycle |
 * | on | off | switch | pending, a person switches |
 * | off | on | pending; the next re-check switches | pending, re-checked each cycle |
 * | off | off | pending, a person switches | pending, a person switches |
 *
 * What is carried moves beneath open files, so for it they count as closed.
 */
function readTable(draft: Draft, mount: MountSeen): Step | null {
  const { autoFailback, lsofRecheck } = draft.policy;
  const recheck = draft.memory.tbRecoveryPending && lsofRecheck;
  if (!autoFailback && !recheck) {
    setEpisode(draft, { tableReadWith: toggles(draft) });
    deferRecovery(draft, lsofRecheck ? "waiting for the next check of open files" : "a person switches");
    return null;
  }
  if (canMove(draft, "tb")) {
    setEpisode(draft, { tableReadWith: toggles(draft) });
    return startErrand(draft, {
      kind: "recovery",
      reason: `Thunderbolt has answered for ${Math.round(draft.policy.stableMs / 1000)} s`,
      mode: "plain",
      plan: ["tb"],
      goal: "tb",
      moves: true,
    });
  }
  const { lastStep } = draft.seen;
  if (lastStep?.kind === "unmount" && !lastStep.outcome.ok) {
    // EBUSY means open, whatever a check saw or would see now.
    if (lastStep.outcome.reason === "busy") deferRecovery(draft, lastStep.outcome.text);
    return null;
  }
  const files = checkedOpenFiles(draft);
  if (files === null) return { kind: "check_open_files", mount: mount.found };
  setEpisode(draft, { tableReadWith: toggles(draft) });
  announceCheck(draft, files);
  if (files.state === "none") {
    return startErrand(draft, {
      kind: "recovery",
      reason: `Thunderbolt has answered for ${Math.round(draft.policy.stableMs / 1000)} s and nothing is open`,
      mode: "plain",
      plan: ["tb", "fallback"],
      goal: "tb",
    });
  }
  deferRecovery(draft, describe(files));
  return null;
}

/** Said once per result: the check itself runs each cycle. */
function announceCheck(draft: Draft, files: OpenFilesSeen): void {
  if (draft.episode.announcedBusy && files.state === "none") return;
  const reason = describe(files);
  if (draft.episode.announcedOpenFiles === reason) return;
  setEpisode(draft, { announcedOpenFiles: reason });
  draft.transitions.push({
    name: "share.open_files_checked",
    result: files.state,
    open_files: files.holders.length,
    unsent_files: files.unsent.length,
    reason,
  });
}

function describe(files: OpenFilesSeen): string {
  if (files.state === "none") return "nothing is open";
  if (files.state === "unknown") return files.text ?? "the check of open files failed";
  const holders = [...new Set(files.holders.map(({ command, pid }) => `${command} (${pid})`))].slice(0, 5);
  const parts = [
    ...(files.holders.length > 0 ? [`${files.holders.length} open: ${holders.join(", ")}`] : []),
    ...(files.unsent.length > 0 ? [`${files.unsent.length} unsent`] : []),
  ];
  return parts.join("; ");
}
