// A gateway that hands over: those who are there go on to the next one, and what cannot run twice ends in between.
import { type Clock, settledWithin } from "../../runtime/time/clock.ts";

/** How long requests on their way to a server that cannot run twice have to arrive, ms. */
const LAST_REQUESTS_MS = 1_000;
/** How long `mountaineer mcp` has to change over, ms. */
const LAST_LINES_MS = 6_000;

interface Leaving {
  readonly clock: Clock;
  readonly http: { leave(): void };
  readonly lines: Iterable<{ readonly closed: Promise<void>; moveOn(): void }>;
  readonly modern: { endListening(): void };
  readonly holds: { none(): Promise<unknown> };
  readonly keeper: { leave(graceMs: number): Promise<unknown>; closeIdle(): void };
  readonly pool: { readonly runsOnce: boolean; endWhatRunsOnce(graceMs: number): Promise<unknown> };
}

/** As `Gateway.leave`. */
export async function leaveGateway(
  { clock, http, lines, modern, holds, keeper, pool }: Leaving,
  graceMs: number,
  onEnded: () => Promise<void>,
): Promise<void> {
  http.leave();
  // Before their streams end: who goes over to the next daemon listens there without its client's noticing.
  for (const client of lines) client.moveOn();
  modern.endListening();
  const gone = Promise.all([...lines].map(({ closed }) => closed));
  // Each connection brings one more request at most; who waits for the next one must not wait for idle clients.
  const left = Promise.all([keeper.leave(graceMs), holds.none(), gone]);
  const endOnce = async (): Promise<void> => {
    await settledWithin(clock, LAST_REQUESTS_MS, left);
    if (pool.runsOnce) {
      // Whoever comes later than that would be refused here, and is served there.
      keeper.closeIdle();
      await settledWithin(clock, LAST_LINES_MS, gone);
    }
    await pool.endWhatRunsOnce(graceMs);
    await onEnded();
  };
  await Promise.all([settledWithin(clock, graceMs, left), endOnce()]);
}
