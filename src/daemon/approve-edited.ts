// Approves what a command has edited while no daemon runs, for the next daemon.
import { findHomeContext } from "../config/home-context.ts";
import type { ConfigSnapshot, MountaineerConfig } from "../config/snapshot.ts";
import { noopLogger } from "../runtime/log/log.ts";
import { systemClock as clock } from "../runtime/time/clock.ts";
import { createApprovalStore } from "./approvals/approval-store.ts";
import { groundOf, openApprovals } from "./approvals/start-approvals.ts";

/**
 * Approves the entries that an edit changed, if the home has approvals; resolves with the number of entries that wait.
 * The caller must have the home's lock. Rejects with `secret_unavailable`.
 */
export async function approveEdited(
  home: string,
  before: MountaineerConfig,
  snapshot: ConfigSnapshot,
  signal: AbortSignal,
): Promise<number> {
  const environment = process.env;
  const homeContext = findHomeContext({ ...environment, MOUNTAINEER_HOME: home });
  const opened = await openApprovals({ home, clock, environment }, signal);
  // In a home without approvals, the next daemon approves the whole file.
  if (opened.loaded.approvals === null) return 0;
  const ground = groundOf(homeContext, snapshot.path);
  const parts = { ...opened, ...ground, clock, logger: noopLogger, publish: () => {}, writes: true };
  await using approvalStore = createApprovalStore(parts);
  const judged = await approvalStore.judge(
    snapshot,
    null,
    approvalStore.edited(before, snapshot.config, null),
  );
  return judged.outcome.waiting.length;
}
