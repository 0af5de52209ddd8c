// The operations of the management API for entries that wait for approval.
import type { ApprovalsReport } from "../../api/approval-contract.ts";
import type { Control } from "../../api/operations.ts";
import { entrySummary, entryText, waitingText } from "../../config/approval/entry-text.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { ConfigWatcher } from "../../sync/config-watcher.ts";
import { type ApprovalKeeper, waitingDigest } from "../approvals/approval-keeper.ts";
import type { Holding } from "./holding.ts";
import { reportOf } from "./reload-report.ts";

/** The id under which the file itself waits, if it looks like half a file. */
const WHOLE_FILE = "config_file";

export function createApprovals(watcher: ConfigWatcher<ConfigSnapshot>, holding: Holding) {
  const heldFile = () => {
    const { lastError } = watcher.state;
    if (lastError?.kind !== "cut_short") return [];
    const { reason } = lastError;
    const name = { id: WHOLE_FILE, name: WHOLE_FILE, kind: "guards" };
    return [{ ...name, summary: reason, approved: "", waiting: `# ${reason}\n`, digest: sha256Of(reason) }];
  };
  const report = (): ApprovalsReport => {
    const ofEntries = approvalsReport(holding.keeper, holding.file);
    return { ...ofEntries, waiting: [...heldFile(), ...ofEntries.waiting] };
  };
  return {
    approvals: report,
    async approve({ entries: given, loosen = false }) {
      const [held] = heldFile();
      const isShown = ({ id, digest }: { id: string; digest: string }) =>
        id === held?.id && digest === held.digest;
      const entries = given.filter((one) => !isShown(one));
      if (entries.length < given.length) {
        const reload = reportOf(await watcher.reloadNow(), watcher.running, false, holding.waiting);
        if (entries.length === 0) return { approved: [WHOLE_FILE], reload, now: report() };
      }
      return watcher.inTurn(async (turn) => {
        const ids = requireWaiting(holding.keeper, entries);
        holding.grant(holding.file.sha256, { ids, loosens: loosen });
        const outcome = await turn.applyAgain("approve");
        const reload = reportOf(outcome, watcher.running, false, holding.waiting);
        if (reload.failure !== null) {
          await holding.withdraw();
          throw new MountaineerError("secret_unavailable", `nothing was approved: ${reload.failure}`, {
            retry: "later",
          });
        }
        return { approved: given.map(({ id }) => id), reload, now: report() };
      });
    },
  } satisfies Partial<Control>;
}

export function approvalsReport(keeper: ApprovalKeeper, file: ConfigSnapshot): ApprovalsReport {
  return {
    mode: keeper.mode,
    asked: file.config.trust.approve,
    lost: keeper.lostBecause,
    waiting: keeper.waiting.map((entry) => ({
      ...{ id: entry.id, name: entry.name, kind: entry.kind, summary: entrySummary(entry) },
      approved: entryText(entry.approved),
      waiting: waitingText(entry),
      digest: waitingDigest(entry),
    })),
  };
}

/**
 * Checks the entries to approve, and returns their ids. Throws `entry_unknown`, and `config_changed` if a
 * waiting entry differs from the one that was shown.
 */
export function requireWaiting(
  keeper: ApprovalKeeper,
  entries: readonly { readonly id: string; readonly digest: string }[],
): ReadonlySet<string> {
  const waiting = new Map(keeper.waiting.map((entry) => [entry.id, entry]));
  for (const { id, digest } of entries) {
    const entry = waiting.get(id);
    if (entry === undefined) {
      throw new MountaineerError("entry_unknown", `nothing called ${JSON.stringify(id)} waits for approval`, {
        hint: "mountaineer approve --list",
      });
    }
    if (waitingDigest(entry) === digest) continue;
    throw new MountaineerError(
      "config_changed",
      `${id} is not what was shown any more; nothing was approved`,
      {
        hint: "look at it again: mountaineer approve",
        retry: "now",
      },
    );
  }
  return new Set(entries.map(({ id }) => id));
}
