// The newest events of the daemon, in a ring of fixed size.
import type { DaemonClient } from "../../api/client/client.ts";
import type { FollowNotice } from "../../api/client/follow-daemon.ts";
import type { StreamEvent } from "../../api/contract/contract.ts";
import { type EventLabel, eventLabel, transitionOf } from "../../api/labels/event-labels.ts";
import type { TimedEvent } from "../../api/labels/event-stories.ts";
import { isOwnError, recoverFrom } from "../../runtime/errors.ts";
import { createStore } from "../../runtime/store.ts";
import { toneMark } from "../../runtime/text/paint.ts";
import { type Clock, localClock } from "../../runtime/time/clock.ts";
import { cutLine, type Line, span, type View } from "../terminal/line.ts";
import { rowMark } from "../terminal/list-state.ts";

/** Maximum number of events kept. */
export const CAPACITY = 2_000;
/** Maximum number of log lines that are searched for events from before this view started. */
const BEFORE = 500;
/** In characters. */
const TEXT_LIMIT = 2_000;

/** An event in words. The text is not trusted, so control characters must be escaped before it is drawn. */
export interface StoredEvent extends TimedEvent {
  /** Serial number of the event in this view; a restart of the daemon does not reset it. */
  readonly order: number;
  readonly event: StreamEvent;
}

const GAP: EventLabel = {
  name: "gap",
  about: null,
  text: "some events did not reach this view; everything was read again",
  tone: "warning",
};

export type EventRing = ReturnType<typeof createEventRing>;

/**
 * Collects events until `signal` aborts, beginning with those in the log. Drops events for which there is no text to
 * show.
 */
export function createEventRing(
  listen: (listener: (notice: FollowNotice) => void) => () => void,
  clock: Clock,
  signal: AbortSignal,
) {
  const stored: StoredEvent[] = [];
  const count = createStore(0);
  /** Events that have arrived while the log is being read; null: it is not being read. */
  let waiting: { readonly event: StreamEvent; readonly atMs: number }[] | null = null;
  const add = (event: StreamEvent, atMs: number): void => {
    const label = event.kind === "gap" ? GAP : eventLabel(event);
    if (label === null) return;
    const order = count.get();
    const text = label.text.slice(0, TEXT_LIMIT);
    stored[order % CAPACITY] = { ...label, text, order, atMs, event };
    count.set(order + 1);
  };
  const begin = async (daemon: Pick<DaemonClient, "call">): Promise<void> => {
    const sinceMs = clock.wallMs();
    const arrived: NonNullable<typeof waiting> = [];
    waiting = arrived;
    const report = await daemon
      .call("daemonLog", { limit: BEFORE }, signal)
      .catch(recoverFrom(isOwnError, null));
    for (const line of report?.lines.toReversed() ?? []) {
      const atMs = Date.parse(line.at);
      const transition = transitionOf(line);
      // Skips newer transitions, because they also arrive as events.
      if (atMs < sinceMs && transition !== null) add({ kind: "transition", transition }, atMs);
    }
    for (const { event, atMs } of arrived) add(event, atMs);
    waiting = null;
  };
  let hasBegun = false;
  const unregister = listen((notice) => {
    if (notice.kind === "connected" && !hasBegun) {
      hasBegun = true;
      void begin(notice.client);
    }
    if (notice.kind !== "event") return;
    const atMs = clock.wallMs();
    if (waiting === null) add(notice.event, atMs);
    else waiting.push({ event: notice.event, atMs });
  });
  signal.addEventListener("abort", unregister, { once: true });
  return {
    /** Number of events so far. */
    count,
    /** Newest first. */
    *newest(): Iterable<StoredEvent> {
      for (let order = count.get() - 1; order >= Math.max(0, count.get() - CAPACITY); order -= 1) {
        const event = stored[order % CAPACITY];
        if (event !== undefined) yield event;
      }
    },
  };
}

/** `14:32:05  ● core  Switched from Thunderbolt to Fallback` */
export function eventLine(event: TimedEvent, isChosen: boolean, view: View): Line {
  const { width, symbols } = view;
  return cutLine(
    [
      rowMark(isChosen, view),
      span(`${localClock(new Date(event.atMs))}  `, "faint"),
      span(`${toneMark(event.tone, symbols)} `, event.tone === "plain" ? "accent" : event.tone),
      ...(event.about === null ? [] : [span(`${event.about}  `, "strong")]),
      span(event.text),
    ],
    width,
    symbols.ellipsis,
  );
}
