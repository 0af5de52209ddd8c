// Owns the records of requests that are refused before anything is known of them but where they come from. Anybody can
// make as many of those as they like: they are counted, so that the audit's files keep room for what was done.
import { type Clock, isoTime, type Timer } from "../../runtime/time/clock.ts";
import { shortened } from "./sanitise.ts";

export interface TurnedAway {
  /** Of HTTP: who it is, where it comes from, or the session it names. */
  readonly status: 401 | 403 | 404;
  /** One of a few texts; nothing of the request is in it. */
  readonly reason: string;
  /** The sender's address; null: it has gone. */
  readonly remote: string | null;
  /** The name of who it is; null: not known. */
  readonly principal: string | null;
}

/** One line of the file; keys as they are written. */
export interface RefusalRecord {
  /** ISO 8601 UTC. */
  readonly time: string;
  /** Null: not known, or several. */
  readonly principal: string | null;
  /** Null: several, or gone before it was asked for. */
  readonly remote: string | null;
  /** `refused:STATUS` */
  readonly outcome: string;
  readonly reason: string;
  readonly count: number;
  /** ISO 8601 UTC, of the first of those that are counted; absent: it is one request, told at once. */
  readonly since?: string;
}

/** Disposing writes what is counted. */
export interface RefusalAudit extends Disposable {
  record(request: TurnedAway): void;
  /** Writes what is counted now, as from here on it is written elsewhere or not at all. */
  tellCounted(): void;
}

interface RefusalAuditOptions {
  readonly write: (record: RefusalRecord) => void;
  readonly clock: Clock;
  /** Takes registered secrets out of a text. */
  readonly clean: (text: string) => string;
}

const COUNT_MS = 60_000;
/** So many senders are told of at once, and then so long of none of them again. */
export const MOST_NAMED = 32;
export const NAMED_MS = 3_600_000;
const MAX_PRINCIPAL = 200;

/** Those with one reason. */
interface Kind {
  readonly named: Set<string>;
  namedSinceMs: number;
  counted: Counted | null;
}

interface Counted {
  readonly timer: Timer;
  readonly sinceMs: number;
  /** As far as all are alike. */
  like: TurnedAway;
  count: number;
}

/**
 * For each reason: the first request of a sender is written at once, for at most 32 senders an hour; all others are
 * counted, and written as one line a minute after the first of them.
 */
export function createRefusalAudit({ write, clock, clean }: RefusalAuditOptions): RefusalAudit {
  const kinds = new Map<string, Kind>();

  const tell = (request: TurnedAway, counts: Pick<RefusalRecord, "count" | "since">): void => {
    const { status, reason, remote, principal } = request;
    write({
      time: isoTime(clock.wallMs()),
      principal: principal === null ? null : shortened(clean(principal), MAX_PRINCIPAL),
      remote,
      outcome: `refused:${status}`,
      reason,
      ...counts,
    });
  };
  const tellCountedOf = (kind: Kind): void => {
    if (kind.counted === null) return;
    const { timer, like, count, sinceMs } = kind.counted;
    timer[Symbol.dispose]();
    kind.counted = null;
    tell(like, { count, since: isoTime(sinceMs) });
  };
  const tellCounted = (): void => {
    for (const kind of kinds.values()) tellCountedOf(kind);
  };
  /** Whether it is a sender's first for a while, and there is room to tell of it. */
  const isNamed = (kind: Kind, { remote, principal }: TurnedAway): boolean => {
    const nowMs = clock.monotonicMs();
    if (nowMs - kind.namedSinceMs >= NAMED_MS) {
      kind.named.clear();
      kind.namedSinceMs = nowMs;
    }
    const sender = `${remote} ${principal}`;
    if (kind.named.has(sender) || kind.named.size >= MOST_NAMED) return false;
    kind.named.add(sender);
    return true;
  };

  return {
    record(request) {
      let kind = kinds.get(request.reason);
      if (kind === undefined) {
        kind = { named: new Set(), namedSinceMs: clock.monotonicMs(), counted: null };
        kinds.set(request.reason, kind);
      }
      if (isNamed(kind, request)) {
        tell(request, { count: 1 });
        return;
      }
      const { counted } = kind;
      if (counted === null) {
        const own = kind;
        const timer = clock.setTimer(COUNT_MS, () => tellCountedOf(own));
        kind.counted = { timer, sinceMs: clock.wallMs(), like: request, count: 1 };
        return;
      }
      counted.count += 1;
      counted.like = alike(counted.like, request);
    },
    tellCounted,
    [Symbol.dispose]: tellCounted,
  };
}

function alike(one: TurnedAway, other: TurnedAway): TurnedAway {
  if (one.remote === other.remote && one.principal === other.principal) return one;
  return {
    ...one,
    remote: one.remote === other.remote ? one.remote : null,
    principal: one.principal === other.principal ? one.principal : null,
  };
}
