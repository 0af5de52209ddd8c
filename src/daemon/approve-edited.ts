// Approves what a command has edited while no daemon runs, for the next daemon.
import { findHomeContext } from "../config/home-context.ts";
import type { ConfigSnapshot, MountaineerConfig } from "../config/snapshot.ts";
import { noopLogger } from "../runtime/log/log.ts";
import { systemClock as clock } from "../runtime/time/clock.ts";
import { createApprovalStore } from "./approvals/approval-store.ts";
import { groundOf, openApprovals } from "./approvals/start-approvals.ts";
import { openHome } from "./compose/home.ts";
import { acceptedLayerOf } from "./fleet-part.ts";

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
  await using keeper = createApprovalStore(parts);
  const { ids, ...grant } = keeper.edited(before, snapshot.config, null);
  const whole = await withKeptLayer(home, snapshot);
  // Entries that only the fleet's layer contains are not approved by an edit of the file.
  const unseen = new Set(whole.config.layer?.brings ?? []);
  const seen = new Set([...ids].filter((id) => !unseen.has(id)));
  const judged = await keeper.judge(whole, null, { ...grant, ids: seen });
  return judged.outcome.waiting.length;
}

/**
 * Adds the fleet's layer, as the next daemon does. Without it, the layer's approved entries would be taken
 * for removed ones.
 */
async function withKeptLayer(home: string, own: ConfigSnapshot): Promise<ConfigSnapshot> {
  if ((own.config.fleet?.operator ?? null) === null) return own;
  const keptLayer = acceptedLayerOf(home, () => {});
  const { snapshot } = await openHome({ home, configPath: own.path, keptLayer });
  return snapshot.sha256 === own.sha256 ? snapshot : own;
}
