// The impact of a share's or server's state on programs that use it: fine, waited or failed. Pure.
import type { BackendStatus, MovesStatus, ShareStatus } from "../contract/contract.ts";
import { isAwaitingApproval } from "./backend-labels.ts";
import { type Tone, troublesOf } from "./label.ts";
import { isOffNetwork } from "./share-labels.ts";

/** Work continued, waited, or failed; `unused`: no program used it. */
export type Impact = "fine" | "waited" | "failed" | "unused";

/** A legend: what each means, and its tone. */
export const IMPACT_LABELS: Readonly<Record<Impact, { readonly text: string; readonly tone: Tone }>> = {
  fine: { text: "Fine", tone: "good" },
  waited: { text: "Programs waited", tone: "warning" },
  failed: { text: "Programs failed", tone: "bad" },
  unused: { text: "Not in use", tone: "plain" },
};

export function shareImpact(share: ShareStatus): Impact {
  const { mount_state: state, mount_alive: isAlive, moves, override } = share;
  if (state !== "mounted") {
    if (override === "unmounted" || isOffNetwork(share)) return "unused";
    // Without a reason the share has not been tried yet, as at a start.
    const isTried = state === "error" || share.last_error !== null || troublesOf(share.conditions).length > 0;
    return isTried ? "failed" : "unused";
  }
  if (moves !== undefined && moves.phase !== "serving") return isFailing(moves.phase) ? "failed" : "waited";
  return isAlive ? "fine" : "failed";
}

/** Whether programs get errors. */
export function isFailing(phase: MovesStatus["phase"]): boolean {
  return phase === "over" || phase === "refused" || phase === "away";
}

export function backendImpact(backend: BackendStatus): Impact {
  const { enabled, phase, conditions } = backend;
  if (!enabled) return isAwaitingApproval(backend) ? "waited" : "unused";
  return conditions.some(({ code }) => code === "share_away") ? "failed" : phaseImpact(phase);
}

export function phaseImpact(phase: string): Impact {
  if (phase === "Ready" || phase === "Degraded") return "fine";
  if (phase === "Failed") return "failed";
  return phase === "ShuttingDown" || phase === "Asleep" ? "unused" : "waited";
}
