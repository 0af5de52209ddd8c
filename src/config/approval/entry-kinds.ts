// In which mode a change of what a key decides waits for a person's approval.
import type { EntryKind } from "../schema/schema-keys.ts";
import type { ApproveMode } from "../snapshot.ts";

const STRICTNESS: readonly ApproveMode[] = ["none", "commands", "all"];

/** True when `one` lets more wait than `other`, or as much. */
export function isAsStrict(one: ApproveMode, other: ApproveMode): boolean {
  return STRICTNESS.indexOf(one) >= STRICTNESS.indexOf(other);
}

export function stricter(one: ApproveMode, other: ApproveMode): ApproveMode {
  return isAsStrict(one, other) ? one : other;
}

export function waits(kind: EntryKind, mode: ApproveMode): boolean {
  if (mode === "none") return false;
  return mode === "all" || kind === "runs" || kind === "approval";
}
