// A link to one of several servers, begun anew for ever: the pauses between attempts.
import { unlessAborted } from "../runtime/abort.ts";
import type { Clock } from "../runtime/time/clock.ts";
import type { LinkFailure } from "./link-failure.ts";

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 15_000;
/** A link that held so long was a good one, ms. */
const GOOD_LINK_MS = 10_000;

interface HoldOptions {
  readonly servers: readonly string[];
  readonly clock: Clock;
  /** From 0 to 1, for pauses that differ from one machine to the next. */
  readonly random?: () => number;
  readonly signal: AbortSignal;
  /** Resolves with why the link is over, or could not begin; null: there shall be none any more. */
  readonly hold: (server: string, signal: AbortSignal) => Promise<LinkFailure | null>;
  readonly onLost: (server: string, failure: LinkFailure) => void;
}

/** Resolves when the signal aborts, or `hold` says so. */
export async function holdLink(options: HoldOptions): Promise<void> {
  const { servers, clock, random = Math.random, signal, hold, onLost } = options;
  let failures = 0;
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    const server = servers[attempt % servers.length] ?? "";
    const startedMs = clock.monotonicMs();
    const failure = await hold(server, signal);
    if (failure === null) return;
    onLost(server, failure);
    failures = clock.monotonicMs() - startedMs > GOOD_LINK_MS ? 0 : failures + 1;
    // All addresses are tried before a longer pause.
    const rounds = Math.floor(failures / servers.length);
    const pauseMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(rounds, 10));
    const pause = clock.sleep(pauseMs * (0.5 + random() / 2), signal);
    await unlessAborted(Promise.all([pause, failure.leftover]), signal).catch(() => {});
  }
}
