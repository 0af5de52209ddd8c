// A gateway that hands over: those who are there go on to the next one, and what cannot run twice ends in between.
import { type Clock, settledWithin } from "../../runtime/time/clock.ts";
import type { PassConnection } from "../front/http/passed-connections.ts";

/** How long requests on their way to a server that cannot run twice have to arrive, ms. */
const LAST_REQUESTS_MS = 1_000;
/** How long `mountaineer mcp` has to change over, ms. */
const LAST_LINES_MS = 6_000;

/** Between two clients that change over, where nobody waits for their end; and for all of them, ms. */
const APART_MS = 100;
const LEAST_APART_MS = 10;
const ALL_MOVED_MS = 1_000;
const NEVER = new AbortController().signal;

interface Leaving {
  readonly clock: Clock;
  readonly http: { leave(): void; forwardedAnswered(): Promise<void> };
  readonly lines: Iterable<{ readonly closed: Promise<void>; moveOn(): void }>;
  readonly modern: { endListening(): void };
  readonly suspended: { none(): Promise<unknown> };
  readonly listener: {
    leave(graceMs: number, pass: PassConnection | null, allAtOnce: boolean): Promise<unknown>;
    closeIdle(): void;
  };
  readonly pool: { readonly runsOnce: boolean; endWhatRunsOnce(graceMs: number): Promise<unknown> };
}

/** As `Gateway.leave`. */
export async function leaveGateway(
  { clock, http, lines, modern, suspended, listener, pool }: Leaving,
  graceMs: number,
  onEnded: () => Promise<void>,
  pass: PassConnection | null,
): Promise<void> {
  http.leave();
  const there = [...lines];
  // What cannot run twice ends soon: whoever is here by then would be refused. Nor is there time without a grace.
  const allAtOnce = pool.runsOnce || graceMs <= ALL_MOVED_MS;
  // Told before the streams end: who goes over to the next daemon listens there without its client's noticing.
  const moved = moveOn(lines, there.length, allAtOnce ? null : clock).then(() => modern.endListening());
  const gone = Promise.all(there.map(({ closed }) => closed));
  // Each connection brings one more request at most; who waits for the next one must not wait for idle clients.
  const served = listener.leave(graceMs, pass, allAtOnce);
  const left = Promise.all([served, suspended.none(), gone, http.forwardedAnswered()]);
  const endOnce = async (): Promise<void> => {
    await settledWithin(clock, LAST_REQUESTS_MS, left);
    if (pool.runsOnce) {
      // Whoever comes later than that would be refused here, and is served there.
      if (pass === null) listener.closeIdle();
      await settledWithin(clock, LAST_LINES_MS, gone);
    }
    await pool.endWhatRunsOnce(graceMs);
    await onEnded();
  };
  // A connection that is on its way to the next gateway would be cut off here.
  await Promise.all([served, moved, settledWithin(clock, graceMs, left), endOnce()]);
}

/** Clock null: all at once. Whoever goes over is work for the next gateway and for itself, and others wait for that. */
async function moveOn(clients: Leaving["lines"], size: number, clock: Clock | null): Promise<void> {
  const apartMs = Math.max(LEAST_APART_MS, Math.min(APART_MS, ALL_MOVED_MS / size));
  const atOnce = Math.ceil((size * apartMs) / ALL_MOVED_MS);
  let told = 0;
  for (const client of clients) {
    if (clock !== null && told > 0 && told % atOnce === 0) await clock.sleep(apartMs, NEVER);
    client.moveOn();
    told += 1;
  }
}
