// A handover: clients move to the next daemon. Backends that cannot run twice end before the next daemon may start
// them.
import { type Clock, settlesWithin } from "../../runtime/time/clock.ts";

/**
 * Longest wait for the answers to requests that clients have already sent, ms. Then the backends that cannot run
 * twice end.
 */
const LAST_REQUESTS_MS = 1_000;
/** Time for `mountaineer mcp` to reconnect, ms. */
const LAST_LINES_MS = 6_000;

/** Clients move in groups, LEAST_APART_MS to APART_MS apart, so that all have moved after ALL_MOVED_MS. */
const APART_MS = 100;
const LEAST_APART_MS = 10;
const ALL_MOVED_MS = 1_000;
const NEVER = new AbortController().signal;

interface Draining {
  readonly clock: Clock;
  readonly http: { leave(): void };
  readonly lines: Iterable<{ readonly closed: Promise<void>; moveOn(): void }>;
  readonly modern: { endListening(): void };
  readonly suspended: { none(): Promise<unknown> };
  readonly listener: { leave(graceMs: number): Promise<unknown>; closeIdle(): void };
  readonly pool: { readonly runsOnce: boolean; endRunOnce(graceMs: number): Promise<unknown> };
}

/** See `Gateway.leave`. */
export async function drainGateway(
  { clock, http, lines, modern, suspended, listener, pool }: Draining,
  graceMs: number,
  onEnded: () => Promise<void>,
): Promise<void> {
  http.leave();
  const clients = [...lines];
  // Clients move all at once in two cases: a backend cannot run twice and would soon refuse clients that have not
  // moved, or the grace is too short for pauses.
  const allAtOnce = pool.runsOnce || graceMs <= ALL_MOVED_MS;
  // First, so that `mountaineer mcp` connects to the next daemon before its streams end.
  const moved = moveOn(lines, clients.length, allAtOnce ? null : clock).then(() => modern.endListening());
  const gone = Promise.all(clients.map(({ closed }) => closed));
  // From now on, a connection serves at most one more request.
  const served = listener.leave(graceMs);
  const left = Promise.all([served, suspended.none(), gone]);
  const endOnce = async (): Promise<void> => {
    await settlesWithin(clock, LAST_REQUESTS_MS, left);
    if (pool.runsOnce) {
      // A later request would be refused here, so its client must connect to the next daemon.
      listener.closeIdle();
      await settlesWithin(clock, LAST_LINES_MS, gone);
    }
    await pool.endRunOnce(graceMs);
    await onEnded();
  };
  await Promise.all([moved, settlesWithin(clock, graceMs, left), endOnce()]);
}

/**
 * Each move takes processor time of the next daemon, so the next daemon can serve in pauses between moves. `clock`
 * null: no pauses.
 */
async function moveOn(clients: Draining["lines"], size: number, clock: Clock | null): Promise<void> {
  const apartMs = Math.max(LEAST_APART_MS, Math.min(APART_MS, ALL_MOVED_MS / size));
  const atOnce = Math.ceil((size * apartMs) / ALL_MOVED_MS);
  let moved = 0;
  for (const client of clients) {
    if (clock !== null && moved > 0 && moved % atOnce === 0) await clock.sleep(apartMs, NEVER);
    client.moveOn();
    moved += 1;
  }
}
