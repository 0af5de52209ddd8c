// The state behind the Approve screen: what waits, looked at afresh whenever the sync changes, and the answers to it.
import type { ApprovalsReport, ApproveReport, ApproveRequest } from "../../api/approval-contract.ts";
import { errorText, expecting, isOwnError, MountaineerError } from "../../runtime/errors.ts";
import { onceMore } from "../../runtime/once-more.ts";
import type { Key } from "../terminal/key.ts";
import { createStore, type Readable } from "../terminal/store.ts";
import { EMPTY_APPROVE, pressApproveKey, withApprovals } from "./approve-state.ts";

/** Every call rejects with a MountaineerError. */
export interface ApprovalsSource {
  approvals(signal: AbortSignal): Promise<ApprovalsReport>;
  approve(request: ApproveRequest, signal: AbortSignal): Promise<ApproveReport>;
}

export type ApproveSession = ReturnType<typeof startApproveSession>;

/** `changes`: told whenever something else may wait. */
export function startApproveSession(
  source: ApprovalsSource,
  changes: Pick<Readable<unknown>, "subscribe">,
  signal: AbortSignal,
) {
  const state = createStore(EMPTY_APPROVE);
  const look = onceMore(async () => {
    // The frame tells of a daemon that is gone; its next one is looked at again.
    const approvals = await source.approvals(signal).catch(expecting(isOwnError, null));
    if (approvals !== null) state.set(withApprovals(state.get(), approvals));
  }, signal);
  const unsubscribe = changes.subscribe(look);
  signal.addEventListener("abort", unsubscribe, { once: true });

  /** Settles when the newest approval is answered: what kept it from being given, or null. */
  let approving: Promise<string | null> = Promise.resolve(null);
  const approve = async (entry: { readonly id: string; readonly digest: string }): Promise<string | null> => {
    const { id, digest } = entry;
    try {
      const { approved, now } = await source.approve({ entries: [{ id, digest }] }, signal);
      state.set({
        ...withApprovals(state.get(), now),
        isBusy: false,
        note: { kind: "approved", ids: approved },
      });
      return null;
    } catch (error) {
      if (signal.aborted) return null;
      if (!(error instanceof MountaineerError)) throw error;
      const [reason = ""] = errorText(error).split("\n", 1);
      state.set({ ...state.get(), isBusy: false, note: { kind: "failed", reason } });
      look();
      return reason;
    }
  };

  return {
    state,
    /** Resolves when what was approved last is answered, with what kept it from being approved, or null. */
    approved: async (): Promise<string | null> => (state.get().isBusy ? approving : null),
    /** How much of the difference can be shown. */
    sized(width: number, height: number): void {
      const { size } = state.get();
      if (size.width !== width || size.height !== height)
        state.set({ ...state.get(), size: { width, height }, top: 0 });
    },
    onKey(key: Key): boolean {
      const step = pressApproveKey(state.get(), key);
      state.set(step.state);
      if (step.approve !== null) approving = approve(step.approve);
      return step.used;
    },
  };
}
