// The menu's data from the daemon: its events, and its status after each of them, at most every 50 ms.
import type { DaemonClient } from "../../api/client/client.ts";
import { followDaemon } from "../../api/client/follow-daemon.ts";
import { coalesce } from "../../runtime/coalesce.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { backoffMs } from "../../runtime/time/backoff.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { withDeadline } from "./deadline.ts";
import type { MenuConnection, MenuWorld } from "./world.ts";

/** Least time between two reads of the status, ms. */
const BETWEEN_CHECKS_MS = 50;
/** A daemon answers within milliseconds; one that needs longer is shown as silent, with its last state. */
const CHECK_DEADLINE_MS = 2_000;
/** The reasons of `followDaemon` that mean: no daemon runs. */
const GONE: readonly string[] = ["no daemon runs for this home", "the daemon ended the connection"];
/** Pause before a silent daemon is asked again. */
const RETRY_MS = { first: 500, most: 8_000 };

/** `status` and `sync` are null without a daemon. */
type DaemonGlance = Pick<MenuWorld, "connection" | "status" | "sync">;

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
  let failures = 0;
  /** Aborts when the daemon is gone. */
  let life = new AbortController();

  const update = (changes: Partial<DaemonGlance>): void => {
    glance = { ...glance, ...changes };
    onGlance(glance);
  };
  const refresh = coalesce(async () => {
    const current = client;
    const own = life.signal;
    if (current === null) return;
    const late = new MountaineerError("timed_out", "The daemon does not answer");
    try {
      await withDeadline({ clock, limitMs: CHECK_DEADLINE_MS, late }, own, async (until) => {
        const status = await current.call("status", null, until);
        const { events: _events, ...sync } = await current.call("sync", null, until);
        failures = 0;
        if (!own.aborted) update({ connection: { kind: "connected" }, status, sync });
      });
    } catch (error) {
      if (own.aborted) return;
      if (!(error instanceof MountaineerError)) throw error;
      failures += 1;
      update({ connection: { kind: "silent", reason: errorText(error) } });
      refresh();
    }
    await clock
      .sleep(failures === 0 ? BETWEEN_CHECKS_MS : backoffMs(RETRY_MS, failures), own)
      .catch(() => {});
  }, signal);

  const follow = async (): Promise<void> => {
    for await (const notice of followDaemon(home, { signal, clock })) {
      switch (notice.kind) {
        case "connected":
          client = notice.client;
          failures = 0;
          life = new AbortController();
          refresh();
          break;
        case "lost":
          life.abort();
          update({ connection: withoutDaemon(notice.reason), status: null, sync: null });
          break;
        case "event":
          // A `sync_state` event contains the new state. After any other event, the status is read again, because it
          // may have changed.
          if (notice.event.kind === "sync_state") update({ sync: notice.event.sync });
          else refresh();
      }
    }
  };

  const ended = follow().finally(() => life.abort());
  /** Resolves when the signal aborts; rejects only for a bug. */
  return { ended };
}

/** A daemon that exists but hangs is `silent`: it must not be started again. */
function withoutDaemon(reason: string): MenuConnection {
  return { kind: GONE.includes(reason) ? "absent" : "silent", reason };
}
