// The menu's data from the daemon: events, and a fresh status when they ask for one, at most every 50 ms.
import type { DaemonClient } from "../../api/client/client.ts";
import { followDaemon } from "../../api/client/follow-daemon.ts";
import type { StatusReport, StreamEvent } from "../../api/contract.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { MenuConnection, SyncState } from "./world.ts";

/** However many events come: more looks a second than this cannot be seen. */
const BETWEEN_LOOKS_MS = 50;
/** A daemon answers within milliseconds; one that does not is shown as silent, with its last state. */
const LOOK_DEADLINE_MS = 2_000;
/** The errors of following a daemon that mean: no daemon is there. */
const GONE: readonly string[] = ["no daemon runs for this home", "the daemon ended the connection"];
const RETRY_FIRST_MS = 500;
const RETRY_LONGEST_MS = 8_000;

interface DaemonGlance {
  readonly connection: MenuConnection;
  /** null: no daemon. */
  readonly status: StatusReport | null;
  readonly sync: SyncState | null;
}

interface MenuSourceOptions {
  readonly home: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onGlance: (glance: DaemonGlance) => void;
}

/** Follows the home's daemon over its restarts until `signal` aborts. */
export function startMenuSource({ home, clock, signal, onGlance }: MenuSourceOptions) {
  let client: DaemonClient | null = null;
  let glance: DaemonGlance = { connection: { kind: "connecting" }, status: null, sync: null };
  let asked = false;
  let isLooking = false;
  let lastLookMs = Number.NEGATIVE_INFINITY;
  let failures = 0;
  let timer: Timer | null = null;
  /** Ends the looks at a daemon that is gone. */
  let life = new AbortController();

  const update = (changes: Partial<DaemonGlance>): void => {
    glance = { ...glance, ...changes };
    if (!signal.aborted) onGlance(glance);
  };
  const unschedule = (): void => {
    timer?.[Symbol.dispose]();
    timer = null;
  };
  const schedule = (delayMs: number): void => {
    unschedule();
    timer = clock.setTimer(delayMs, () => {
      timer = null;
      void look();
    });
  };
  const lookAgain = (): void => {
    if (client === null || signal.aborted) return;
    asked = true;
    // A silent daemon's next look has its own timer.
    if (isLooking || (timer !== null && failures === 0)) return;
    if (failures > 0 && timer !== null) return;
    schedule(Math.max(0, lastLookMs + BETWEEN_LOOKS_MS - clock.monotonicMs()));
  };
  const look = async (): Promise<void> => {
    const looked = client;
    if (looked === null || isLooking) return;
    isLooking = true;
    asked = false;
    lastLookMs = clock.monotonicMs();
    const own = life.signal;
    const limit = new AbortController();
    const limitTimer = clock.setTimer(LOOK_DEADLINE_MS, () => limit.abort());
    try {
      const either = AbortSignal.any([own, limit.signal]);
      const status = await looked.ask("status", null, either);
      const { events: _events, ...sync } = await looked.ask("sync", null, either);
      failures = 0;
      if (client === looked) update({ connection: { kind: "connected" }, status, sync });
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      if (client === looked && !own.aborted) {
        failures += 1;
        const reason = limit.signal.aborted ? "The daemon does not answer" : errorText(error);
        update({ connection: { kind: "silent", reason } });
      }
    } finally {
      limitTimer[Symbol.dispose]();
      isLooking = false;
    }
    if (client === null || signal.aborted) return;
    if (failures > 0) schedule(Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** (failures - 1)));
    else if (asked) lookAgain();
  };

  const follow = async (): Promise<void> => {
    for await (const notice of followDaemon(home, { signal, clock })) {
      switch (notice.kind) {
        case "connected":
          client = notice.client;
          failures = 0;
          life = new AbortController();
          lookAgain();
          break;
        case "lost":
          client = null;
          failures = 0;
          life.abort();
          unschedule();
          update({ connection: withoutDaemon(notice.reason), status: null, sync: null });
          break;
        case "event":
          if (notice.event.kind === "sync_state") update({ sync: notice.event.sync });
          if (concernsStatus(notice.event)) lookAgain();
      }
    }
  };

  const ended = follow().finally(() => {
    client = null;
    life.abort();
    unschedule();
  });
  return {
    /** Asks for a look; many calls are one. */
    lookAgain /** Settles when the signal aborts; rejects with a mistake in the program only. */,
    ended,
  };
}

/** A daemon that exists but hangs must not be started again. */
function withoutDaemon(reason: string): MenuConnection {
  return { kind: GONE.includes(reason) ? "absent" : "silent", reason };
}

/** The state of the sync comes with its event; any other event may have changed the status. */
function concernsStatus(event: StreamEvent): boolean {
  return event.kind !== "sync_state";
}
