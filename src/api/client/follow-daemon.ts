// Follows a daemon across restarts: connects, yields its events, and reconnects.

import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { type Clock, systemClock } from "../../runtime/time/clock.ts";
import type { StreamEvent } from "../contract/contract.ts";
import { connectToDaemon, type DaemonClient } from "./client.ts";

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 2_000;
/** A connection that lasted this long resets the pause between attempts to the shortest one, ms. */
const GOOD_AFTER_MS = 5_000;

export type FollowNotice =
  | {
      readonly kind: "connected";
      readonly client: DaemonClient;
      /**
       * True: the daemon is the same as before, and all events since the break follow. False: the caller
       * reads the state again.
       */
      readonly resumed: boolean;
    }
  | { readonly kind: "event"; readonly id: number; readonly event: StreamEvent }
  /** No daemon answers. Yielded again only when the reason changes. */
  | { readonly kind: "lost"; readonly reason: string };

interface FollowOptions {
  /** Ends the generator without an error. */
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/**
 * `of`: the home, or a function that connects and resolves with null if no daemon runs. The generator ends only when
 * the signal aborts, and never rejects before that. It yields "lost" when the first attempt or a connection fails.
 * After a `gap` the caller must read the state again, because events were lost.
 */
export async function* followDaemon(
  of: string | (() => Promise<DaemonClient | null>),
  { signal, clock = systemClock }: FollowOptions,
): AsyncGenerator<FollowNotice, void, undefined> {
  const connect = typeof of === "string" ? () => connectToDaemon(of, { clock }) : of;
  let waitMs = FIRST_WAIT_MS;
  let lastReason: string | null = null;
  let last: { readonly life: string; readonly id: number } | null = null;
  while (!signal.aborted) {
    let reason = "no daemon runs for this home";
    let connectedAtMs: number | null = null;
    try {
      const client = await connect();
      if (client !== null) {
        const life = lifeOf(client);
        const resumed: boolean = last !== null && last.life === life;
        using stream = await client.openEvents(signal, {
          afterId: resumed && last !== null ? last.id : null,
        });
        connectedAtMs = clock.monotonicMs();
        lastReason = null;
        yield { kind: "connected", client, resumed };
        for await (const { id, event } of stream.events) {
          if (life !== null) last = { life, id };
          yield { kind: "event", id, event };
        }
        reason = "the daemon ended the connection";
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof MountaineerError)) throw error;
      reason = errorText(error);
    }
    if (connectedAtMs !== null && clock.monotonicMs() - connectedAtMs >= GOOD_AFTER_MS)
      waitMs = FIRST_WAIT_MS;
    if (reason !== lastReason) yield { kind: "lost", reason };
    lastReason = reason;
    try {
      await clock.sleep(waitMs, signal);
    } catch {
      // Only an aborted signal interrupts the pause.
      return;
    }
    waitMs = Math.min(LONGEST_WAIT_MS, waitMs * 2);
  }
}

/** Identifies one run of a daemon; null if the daemon does not say. */
function lifeOf({ pid, startedAt }: DaemonClient): string | null {
  return pid === null || startedAt === null ? null : `${pid} ${startedAt}`;
}
