// The newest events of the daemon, in a ring of fixed size, whatever comes in.
import type { FollowNotice } from "../../api/client/follow-daemon.ts";
import type { StreamEvent } from "../../api/contract.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { createStore, type Readable } from "../terminal/store.ts";

const KEPT = 2_000;
/** Of one event's text; what is longer is cut. */
const TEXT_LIMIT = 2_000;

export interface KeptEvent {
  /** Grows by one with each event that came here, over restarts of the daemon. */
  readonly order: number;
  /** When it came here, wall time, ms since the epoch. */
  readonly atMs: number;
  /** `share.switched`, `sync.changed`, `gap`. */
  readonly name: string;
  /** The share or backend it is about; null: neither. */
  readonly subject: string | null;
  readonly event: StreamEvent;
}

export interface EventRing {
  /** Replaced with each event: how many came in all. */
  readonly count: Readable<number>;
  /** Newest first. */
  newest(): Iterable<KeptEvent>;
  /** null: none like that is kept any more. */
  at(order: number): KeptEvent | null;
}

/** Listens until `signal` aborts. States of sync are no events. */
export function createEventRing(
  listen: (listener: (notice: FollowNotice) => void) => () => void,
  clock: Clock,
  signal: AbortSignal,
): EventRing {
  const kept: KeptEvent[] = [];
  const count = createStore(0);
  const add = (event: StreamEvent): void => {
    const order = count.get();
    kept[order % KEPT] = {
      order,
      atMs: clock.wallMs(),
      name: nameOf(event),
      subject: subjectOf(event),
      event,
    };
    count.set(order + 1);
  };
  const unregister = listen((notice) => {
    if (notice.kind === "event" && notice.event.kind !== "sync_state") add(notice.event);
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

function nameOf(event: StreamEvent): string {
  if (event.kind === "transition") return event.transition.name;
  return event.kind === "sync" ? `sync.${event.event.type}` : event.kind;
}

function subjectOf(event: StreamEvent): string | null {
  if (event.kind !== "transition") return null;
  const { share, backend } = event.transition as { readonly share?: unknown; readonly backend?: unknown };
  const subject = share ?? backend;
  return typeof subject === "string" ? subject : null;
}

const TEXTS = new WeakMap<KeptEvent, string>();

/** What it says beside its name and its subject, in one line: `from=tb to=fallback`. Foreign text, not made harmless. */
export function eventText(kept: KeptEvent): string {
  const known = TEXTS.get(kept);
  if (known !== undefined) return known;
  const text = textOf(kept.event).slice(0, TEXT_LIMIT);
  TEXTS.set(kept, text);
  return text;
}

function textOf(event: StreamEvent): string {
  switch (event.kind) {
    case "sync":
      return event.event.details;
    case "gap":
      return "some events did not reach this view; everything was read afresh";
    case "sync_state":
      return "";
    case "transition": {
      const { name: _, share, backend, ...fields } = event.transition as Record<string, unknown>;
      const all = share === undefined || backend === undefined ? fields : { ...fields, backend };
      return Object.entries(all)
        .map(([field, value]) => `${field}=${typeof value === "string" ? value : JSON.stringify(value)}`)
        .join(" ");
    }
  }
}
