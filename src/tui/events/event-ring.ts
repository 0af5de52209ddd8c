// The newest events of the daemon, in a ring of fixed size, whatever comes in.
import type { DaemonClient } from "../../api/client/client.ts";
import type { FollowNotice } from "../../api/client/follow-daemon.ts";
import type { StreamEvent } from "../../api/contract.ts";
import { type EventWords, eventWords, transitionOf } from "../../api/words/event-words.ts";
import { expecting, isOwnError } from "../../runtime/errors.ts";
import { padded } from "../../runtime/text/plain-text.ts";
import { type Clock, localClock } from "../../runtime/time/clock.ts";
import { cutLine, cutText, type Line, span } from "../terminal/line.ts";
import { createStore, type Readable } from "../terminal/store.ts";
import { toneMark, type View } from "../terminal/terminal-style.ts";

const KEPT = 2_000;
/** Lines of the log that are looked through for what happened before this view began. */
const BEFORE = 500;
/** Of one event's text; what is longer is cut. */
const TEXT_LIMIT = 2_000;

/** As people read it, in one line. Foreign text, not made harmless. */
export interface KeptEvent extends EventWords {
  /** Grows by one with each event, over restarts of the daemon. */
  readonly order: number;
  /** When it came here, or was logged, wall time, ms since the epoch. */
  readonly atMs: number;
  readonly event: StreamEvent;
}

const GAP: EventWords = {
  name: "gap",
  about: null,
  text: "some events did not reach this view; everything was read afresh",
  tone: "warning",
};

export interface EventRing {
  /** Replaced with each event: how many came in all. */
  readonly count: Readable<number>;
  /** Newest first. */
  newest(): Iterable<KeptEvent>;
  /** null: none like that is kept any more. */
  at(order: number): KeptEvent | null;
}

/** Begins with what the log has, and listens until `signal` aborts. What tells people nothing is not kept. */
export function createEventRing(
  listen: (listener: (notice: FollowNotice) => void) => () => void,
  clock: Clock,
  signal: AbortSignal,
): EventRing {
  const kept: KeptEvent[] = [];
  const count = createStore(0);
  /** Events that come while the log is read; null: they are kept at once. */
  let waiting: { readonly event: StreamEvent; readonly atMs: number }[] | null = null;
  const add = (event: StreamEvent, atMs: number): void => {
    const words = event.kind === "gap" ? GAP : eventWords(event);
    if (words === null) return;
    const order = count.get();
    const text = words.text.slice(0, TEXT_LIMIT);
    kept[order % KEPT] = { ...words, text, order, atMs, event };
    count.set(order + 1);
  };
  const begin = async (daemon: Pick<DaemonClient, "ask">): Promise<void> => {
    const sinceMs = clock.wallMs();
    const arrived: NonNullable<typeof waiting> = [];
    waiting = arrived;
    const report = await daemon
      .ask("daemonLog", { limit: BEFORE }, signal)
      .catch(expecting(isOwnError, null));
    for (const line of report?.lines.toReversed() ?? []) {
      const atMs = Date.parse(line.at);
      const transition = transitionOf(line);
      // What is newer comes as an event, too.
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
    count,
    *newest() {
      for (let order = count.get() - 1; order >= Math.max(0, count.get() - KEPT); order -= 1) {
        const event = kept[order % KEPT];
        if (event !== undefined) yield event;
      }
    },
    at(order) {
      const event = kept[order % KEPT];
      return event?.order === order ? event : null;
    },
  };
}

const NAME_WIDTH = 24;
/** Columns; on fewer the words need its room, and the details have it. */
const NAMED_FROM = 100;

/** `14:32:05  share.switched  core  Switched from Thunderbolt to Fallback` */
export function eventLine(event: KeptEvent, isChosen: boolean, { width, symbols }: View): Line {
  const kind =
    width < NAMED_FROM
      ? `${toneMark(event.tone, symbols)} `
      : padded(cutText(span(event.name).text, NAME_WIDTH - 1, symbols.ellipsis), NAME_WIDTH);
  return cutLine(
    [
      span(isChosen ? `${symbols.focus} ` : "  ", "accent"),
      span(`${localClock(new Date(event.atMs))}  `, "faint"),
      span(kind, event.tone === "plain" ? "accent" : event.tone),
      ...(event.about === null ? [] : [span(`${event.about}  `, "strong")]),
      span(event.text),
    ],
    width,
    symbols.ellipsis,
  );
}
