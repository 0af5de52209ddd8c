// A user's commands for all or some shares: all asked at once, answered one by one.
import type { StepResult, VerifyReport } from "../../api/contract.ts";
import type { ShareSelection } from "../../api/control.ts";
import type { SwitchTarget } from "../../api/requests.ts";
import { selectShares } from "../../api/share-selection.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { ShareEngine } from "../../shares/engine/share-engine.ts";
import type { RequestOutcome, ShareRequest } from "../../shares/policy/share-request.ts";
import { keptUnmountedBy, openFileHolders, shareStatus } from "./share-status.ts";
import { verifyShare } from "./verify.ts";

/** How long unsent writes are waited for, ms: rclone sends them a second after the last close. */
const UNSENT_WAIT_MS = 15_000;

export function createShareControl(engine: ShareEngine, clock: Clock) {
  const select = (selection: ShareSelection): readonly string[] => selectShares(selection, engine.names);

  const askAll = async (
    selection: ShareSelection,
    request: ShareRequest,
    signal: AbortSignal,
  ): Promise<readonly StepResult[]> => {
    const names = select(selection);
    return Promise.all(
      names.map(async (name) => result(name, await engine.ask(name, { ...request }, signal))),
    );
  };

  const isConfigured = (name: string): boolean => engine.names.includes(name);

  const result = (name: string, outcome: RequestOutcome): StepResult => {
    // A reload may have removed it meanwhile.
    const status = isConfigured(name) ? shareStatus(engine.view(name)) : null;
    const standing = outcome.result === "failed" && status !== null ? keptUnmountedBy(status) : null;
    return {
      share: name,
      result: outcome.result,
      active_interface: status?.active_interface ?? "none",
      detail: outcome.detail,
      hint: outcome.hint ?? standing?.hint ?? null,
      holders: openFileHolders(outcome.holders),
      unsent: [...outcome.unsent],
    };
  };

  const waitUntilMs = (): number => clock.monotonicMs() + UNSENT_WAIT_MS;

  return {
    async verify(selection: ShareSelection, signal: AbortSignal): Promise<VerifyReport> {
      const views = await Promise.all(select(selection).map((name) => engine.look(name)));
      signal.throwIfAborted();
      const findings = views.flatMap(verifyShare);
      const looked_at = { shares: views.length, backends: 0 };
      return { ok: findings.every(({ severity }) => severity !== "error"), findings, looked_at };
    },
    async reconcile(selection: ShareSelection, signal: AbortSignal): Promise<readonly StepResult[]> {
      return Promise.all(
        select(selection).map(async (name) => {
          const before = engine.view(name).memory.activeInterface;
          engine.trigger(name, "user");
          await engine.settle(name, signal);
          return isConfigured(name) ? settledResult(engine, name, before) : removedMeanwhile(name);
        }),
      );
    },
    mount: (selection: ShareSelection, signal: AbortSignal): Promise<readonly StepResult[]> =>
      askAll(selection, { kind: "mount", waitUntilMs: waitUntilMs() }, signal),
    unmount: (
      selection: ShareSelection,
      { force, hold }: { force: boolean; hold: boolean },
      signal: AbortSignal,
    ): Promise<readonly StepResult[]> =>
      askAll(selection, { kind: "unmount", force, hold, waitUntilMs: waitUntilMs() }, signal),
    switchRoute: (
      selection: ShareSelection,
      { to, force, wait }: { to: SwitchTarget; force: boolean; wait: boolean },
      signal: AbortSignal,
    ): Promise<readonly StepResult[]> =>
      askAll(
        selection,
        { kind: "switch", to, force, wait, waitUntilMs: wait ? Number.POSITIVE_INFINITY : waitUntilMs() },
        signal,
      ),
  };
}

function removedMeanwhile(share: string): StepResult {
  const detail = "the share was removed from the configuration";
  return { share, result: "failed", active_interface: "none", detail, hint: null, holders: [], unsent: [] };
}

function settledResult(
  engine: ShareEngine,
  name: string,
  before: StepResult["active_interface"],
): StepResult {
  const status = shareStatus(engine.view(name));
  const { active_interface, mount_state, held, last_error, tb_recovery_pending } = status;
  const base = { share: name, active_interface, hint: null, holders: [], unsent: [] };
  if (mount_state === "mounted" && last_error === null) {
    if (tb_recovery_pending)
      return { ...base, result: "pending", detail: "Thunderbolt is ready, files are open" };
    const changed = active_interface !== before;
    return {
      ...base,
      result: changed ? "mounted" : "skipped",
      detail: changed ? "mounted" : "nothing to do",
    };
  }
  if (held === "unmounted") return { ...base, result: "skipped", detail: "held unmounted" };
  const standing = keptUnmountedBy(status);
  if (standing !== null) return { ...base, result: "failed", detail: standing.title, hint: standing.hint };
  return { ...base, result: "failed", detail: last_error ?? "not mounted" };
}
