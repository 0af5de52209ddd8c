// Approves entries while no daemon runs, for the next daemon.
import type { InProcessApprovals, InProcessOptions } from "../api/in-process.ts";
import { askOf } from "../api/operations/operations.ts";
import { findPlace } from "../config/locate.ts";
import type { ConfigSnapshot, MountaineerConfig } from "../config/snapshot.ts";
import { ensurePrivateFolder } from "../runtime/files/durable-file.ts";
import { silentLogger } from "../runtime/log/log.ts";
import { acquireHomeLock } from "../runtime/process/home-lock.ts";
import { systemClock as clock } from "../runtime/time/clock.ts";
import { createApprovalKeeper } from "./approvals/approval-keeper.ts";
import { groundOf, openApprovals, startApprovals } from "./approvals/start-approvals.ts";
import { openHome } from "./compose/home.ts";
import { keptLayerOf } from "./fleet-part.ts";
import { approvalsReport, requireWaiting } from "./reload/approvals.ts";

/** Longest wait for another command's lock, ms. */
const LOCK_WAIT_MS = 10_000;

/**
 * Opens the approvals. A command that only reads takes no lock and writes nothing. Rejects with the same errors as
 * the start of a daemon.
 */
export async function openApprovalsInProcess(options: InProcessOptions): Promise<InProcessApprovals> {
  const { home, configPath, intent, command, signal } = options;
  const writes = intent === "change";
  const environment = process.env;
  if (writes) await ensurePrivateFolder(home);
  const lock = writes ? await acquireHomeLock(home, { command, waitMs: LOCK_WAIT_MS, clock, signal }) : null;
  try {
    const keptLayer = keptLayerOf(home, () => {});
    const { place, snapshot } = await openHome({ home, configPath, keptLayer });
    const parts = { place, environment, snapshot, clock, logger: silentLogger, publish: () => {}, writes };
    const { keeper } = await startApprovals(parts, signal);
    return {
      ask: askOf<"approvals" | "approve">({
        approvals: () => approvalsReport(keeper, snapshot),
        async approve({ entries, loosen = false }) {
          const ids = requireWaiting(keeper, entries);
          const judged = await keeper.judge(snapshot, null, { ids, loosens: loosen });
          keeper.applied(judged);
          return { approved: [...ids], reload: null, now: approvalsReport(keeper, snapshot) };
        },
      }),
      async [Symbol.asyncDispose]() {
        await keeper[Symbol.asyncDispose]();
        await lock?.[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await lock?.[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Approves the entries that an edit changed, if the home has approvals; resolves with the number of entries that wait. The
 * home's lock must be held. Rejects with `secret_unavailable`.
 */
export async function approveEdited(
  home: string,
  before: MountaineerConfig,
  snapshot: ConfigSnapshot,
  signal: AbortSignal,
): Promise<number> {
  const environment = process.env;
  const place = findPlace({ ...environment, MOUNTAINEER_HOME: home });
  const opened = await openApprovals({ home, clock, environment }, signal);
  // In a home without approvals, the next daemon approves the whole file.
  if (opened.loaded.approvals === null) return 0;
  const ground = groundOf(place, snapshot.path);
  const parts = { ...opened, ...ground, clock, logger: silentLogger, publish: () => {}, writes: true };
  await using keeper = createApprovalKeeper(parts);
  const { ids, ...grant } = keeper.edited(before, snapshot.config, null);
  const whole = await withKeptLayer(home, snapshot);
  // Entries that only the fleet's layer contains are not approved by an edit of the file.
  const unseen = new Set(whole.config.layer?.brings ?? []);
  const seen = new Set([...ids].filter((id) => !unseen.has(id)));
  const judged = await keeper.judge(whole, null, { ...grant, ids: seen });
  return judged.held.waiting.length;
}

/**
 * Adds the fleet's layer, as the next daemon does. Without it, the layer's approved entries would be taken
 * for removed ones.
 */
async function withKeptLayer(home: string, own: ConfigSnapshot): Promise<ConfigSnapshot> {
  if ((own.config.fleet?.operator ?? null) === null) return own;
  const keptLayer = keptLayerOf(home, () => {});
  const { snapshot } = await openHome({ home, configPath: own.path, keptLayer });
  return snapshot.sha256 === own.sha256 ? snapshot : own;
}
