// The state behind the Approve screen: the waiting entries, read again when the sync changes, and the approvals sent.
import type { CallOperation } from "../../api/operations/operations.ts";
import { coalesce } from "../../runtime/coalesce.ts";
import { isOwnError, recoverFrom } from "../../runtime/errors.ts";
import { createStore, type Readable } from "../../runtime/store.ts";
import { attempt, errorLine } from "../terminal/attempt.ts";
import type { Key } from "../terminal/key.ts";
import { createScroller } from "../terminal/scroller.ts";
import {
  type ApproveAction,
  EMPTY_APPROVE,
  isQuestion,
  pressApproveKey,
  questionEntry,
  withApprovals,
} from "./approve-state.ts";

export type ApproveSession = ReturnType<typeof startApproveSession>;

/** Starts the state, which reads the waiting entries again at each notification of `changes`. */
export function startApproveSession(
  call: CallOperation<"approvals" | "approve" | "questions" | "answer">,
  changes: Pick<Readable<unknown>, "subscribe">,
  signal: AbortSignal,
) {
  const state = createStore(EMPTY_APPROVE);
  const refresh = coalesce(async () => {
    // Ignores a failed request: the frame shows the lost connection, and the next connection notifies again.
    const [approvals, asked] = await Promise.all([
      call("approvals", null, signal).catch(recoverFrom(isOwnError, null)),
      call("questions", null, signal).catch(recoverFrom(isOwnError, { questions: [] })),
    ]);
    if (approvals === null) return;
    const waiting = [...asked.questions.map(questionEntry), ...approvals.waiting];
    state.set(withApprovals(state.get(), { ...approvals, waiting }));
  }, signal);
  const unsubscribe = changes.subscribe(refresh);
  signal.addEventListener("abort", unsubscribe, { once: true });

  /** Resolves with the reason of a failure, or with null. */
  let approving: Promise<string | null> = Promise.resolve(null);
  const approve = async (entry: ApproveAction): Promise<string | null> => {
    let reason: string | null = null;
    const { id, digest, denies = false } = entry;
    await attempt(
      async () => {
        if (isQuestion(entry)) {
          await call("answer", { code: id, allow: !denies, from: "tui" }, signal);
          state.put({ isBusy: false, notice: { kind: "approved", ids: denies ? [] : [id] } });
          return refresh();
        }
        const { approved, now } = await call("approve", { entries: [{ id, digest }] }, signal);
        const notice = { kind: "approved", ids: approved } as const;
        state.set({ ...withApprovals(state.get(), now), isBusy: false, notice });
      },
      (error) => {
        reason = errorLine(error);
        state.put({ isBusy: false, notice: { kind: "failed", reason } });
        refresh();
      },
      signal,
    );
    return reason;
  };

  return {
    state,
    /** Waits for the approval under way, and resolves with the reason of its failure; null: none failed. */
    approved: async (): Promise<string | null> => (state.get().isBusy ? approving : null),
    /** Sets the size of the area for the difference; a changed size scrolls back to the start. */
    sized(width: number, height: number): void {
      const { text } = state.get();
      if (text.size.width !== width || text.size.height !== height)
        state.put({ text: createScroller(text.text, { width, height }) });
    },
    onKey(key: Key): boolean {
      const step = pressApproveKey(state.get(), key);
      state.set(step.state);
      if (step.action !== null) approving = approve(step.action);
      return step.used;
    },
  };
}
