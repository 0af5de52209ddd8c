// Holds a link to one of several servers: when it ends, another begins, after a pause. It never gives up.
import type { FleetConfig } from "../config/snapshot.ts";
import { unlessAborted } from "../runtime/abort.ts";
import { errorText } from "../runtime/errors.ts";
import type { Logger } from "../runtime/log/log.ts";
import { backoffMs } from "../runtime/time/backoff.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { LinkFailure } from "./link-failure.ts";

const RETRY_MS = { first: 100, most: 15_000 };
/** A link that held so long was a good one, ms. */
const GOOD_LINK_MS = 10_000;

export interface LinkOptions {
  readonly config: Pick<FleetConfig, "servers">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** From 0 to 1, for pauses that differ from one machine to the next. */
  readonly random?: () => number;
}

interface Holding {
  readonly signal: AbortSignal;
  /** Resolves with why the link is over; rejects with why it could not begin. */
  readonly hold: (server: string, signal: AbortSignal) => Promise<LinkFailure>;
  readonly onLost: (server: string, failure: LinkFailure) => void;
}

/** Resolves when the signal aborts. */
export async function holdLink(options: LinkOptions, holding: Holding): Promise<void> {
  const { clock, logger, random = Math.random } = options;
  const { servers } = options.config;
  const { signal, onLost } = holding;
  let failures = 0;
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    const server = servers[attempt % servers.length] ?? "";
    const startedMs = clock.monotonicMs();
    const failure = await held(server, holding, logger);
    if (failure === null) return;
    onLost(server, failure);
    failures = clock.monotonicMs() - startedMs > GOOD_LINK_MS ? 0 : failures + 1;
    // All addresses are tried before a longer pause.
    const rounds = Math.floor(failures / servers.length);
    const pauseMs = backoffMs(RETRY_MS, rounds + 1);
    const pause = clock.sleep(pauseMs * (0.5 + random() / 2), signal);
    await unlessAborted(Promise.all([pause, failure.leftover]), signal).catch(() => {});
  }
}

/** Null: the signal has aborted. */
async function held(server: string, { hold, signal }: Holding, logger: Logger): Promise<LinkFailure | null> {
  try {
    return await hold(server, signal);
  } catch (error) {
    if (signal.aborted) return null;
    if (error instanceof LinkFailure) return error;
    // Nothing that goes wrong here may end the trying.
    logger.error("the fleet's link broke", { server, reason: errorText(error) });
    return new LinkFailure(`the link broke: ${errorText(error)}`);
  }
}

/** Does `work` every `everyMs` until the link is over; resolves with why. Rejects as the signal says. */
export async function workUntilEnd(
  ended: Promise<LinkFailure>,
  {
    clock,
    everyMs,
    signal,
  }: Pick<LinkOptions, "clock"> & Pick<Holding, "signal"> & { readonly everyMs: number },
  work: () => void,
): Promise<LinkFailure> {
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  const working = (async () => {
    for (;;) {
      await clock.sleep(everyMs, until);
      work();
    }
  })();
  working.catch(() => {});
  try {
    return await unlessAborted(ended, signal);
  } finally {
    over.abort();
  }
}
