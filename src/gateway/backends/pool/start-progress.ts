// Reports progress to a client whose call waits for its server to start.
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import { progressTokenOf } from "../instance/calls.ts";
import type { PoolCall } from "../policy/backend-pool-contract.ts";

const EVERY_MS = 5_000;
/** The server's own progress, which follows, must be greater. */
const STEP = 1e-9;

/** Null: the client did not ask for progress. */
export function reportStart(
  clock: Clock,
  backend: string,
  { params, handle }: Pick<PoolCall, "params" | "handle">,
): Disposable | null {
  const progressToken = progressTokenOf(params);
  if (handle === null || progressToken === null) return null;
  let sent = 0;
  let timer: Timer | null = null;
  const report = (): void => {
    const progress = sent * STEP;
    handle.notify("notifications/progress", {
      progressToken,
      progress,
      message: `${backend} is being started`,
    });
    sent += 1;
    timer = clock.setTimer(EVERY_MS, report);
  };
  report();
  return { [Symbol.dispose]: () => timer?.[Symbol.dispose]() };
}
