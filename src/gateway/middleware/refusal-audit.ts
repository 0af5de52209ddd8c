// Audits refused requests: those that no session served, and those that a policy denied. Most of them are only counted, because
// anybody can send any number of them and so fill the audit's files.
import { senderNetwork } from "../../runtime/http/sender-network.ts";
import { shortened } from "../../runtime/text/safe-line.ts";
import { type Clock, isoTime, type Timer } from "../../runtime/time/clock.ts";
import type { AuditRecord } from "./audit.ts";

export interface RefusedRequest {
  /** HTTP status: invalid message, unknown token, foreign origin, unknown session, or no way to check the token now. */
  readonly status: 400 | 401 | 403 | 404 | 503;
  /** One of a few constant texts, without any part of the request. */
  readonly reason: string;
  /** The sender's address; null: the connection had closed. */
  readonly remote: string | null;
  /** The principal's name; null: unknown. */
  readonly principal: string | null;
}

/** One line of the audit's file. */
export interface RefusalRecord {
  /** ISO 8601 UTC. */
  readonly time: string;
  /** null: unknown, or several. */
  readonly principal: string | null;
  /** null: unknown, or several. */
  readonly remote: string | null;
  /** `refused:STATUS` */
  readonly outcome: string;
  readonly reason: string;
  readonly count: number;
  /** ISO 8601 UTC: the time of the first counted request; absent: one request, logged at once. */
  readonly since?: string;
}

interface RefusalAuditOptions {
  readonly write: (record: RefusalRecord | AuditRecord) => void;
  readonly clock: Clock;
  /** Removes registered secrets from a text. */
  readonly clean: (text: string) => string;
}

const COUNT_MS = 60_000;
/** Beyond this number of kinds of denied requests, each request has a line: the rate limit bounds them. */
const MOST_DENIALS = 1_000;
/** For each reason, at most this many senders get a separate line within `NAMED_MS`. */
export const MOST_NAMED = 32;
export const NAMED_MS = 3_600_000;
const MAX_PRINCIPAL = 200;

/** The refusals with one reason. */
interface Kind {
  readonly named: Set<string>;
  namedSinceMs: number;
  counts: RefusalCounts | null;
}

interface Denials {
  readonly timer: Timer;
  /** The line of the first. */
  readonly record: AuditRecord;
  /** Further ones. */
  count: number;
}

interface RefusalCounts {
  readonly timer: Timer;
  readonly sinceMs: number;
  /** What all counted requests have in common; members in which they differ are null. */
  like: RefusedRequest;
  count: number;
}

/**
 * For each reason, writes the first request of a sender at once, for at most 32 senders an hour. All other requests
 * are only counted; one line with their number follows a minute after the first counted request.
 */
export class RefusalAudit {
  readonly #options: RefusalAuditOptions;
  readonly #kinds = new Map<string, Kind>();
  /** Denied requests within a minute of the first, by what they have in common. */
  readonly #denials = new Map<string, Denials>();

  constructor(options: RefusalAuditOptions) {
    this.#options = options;
  }

  record(request: RefusedRequest): void {
    const { clock } = this.#options;
    const kind = this.#kindOf(request);
    if (this.#isNamed(kind, request)) this.#write(request, { count: 1 });
    else if (kind.counts === null) {
      const timer = clock.setTimer(COUNT_MS, () => this.#writeCountsOf(kind));
      kind.counts = { timer, sinceMs: clock.wallMs(), like: request, count: 1 };
    } else {
      kind.counts.count += 1;
      kind.counts.like = alike(kind.counts.like, request);
    }
  }

  /**
   * Writes a denied request at once; further ones of the same principal and target, by the same rule, follow as one line with
   * their number a minute after the first.
   */
  denied(record: AuditRecord, rule: string): void {
    const { clock, write } = this.#options;
    const { principal, subject, issuer, method, target, consent } = record;
    const key = JSON.stringify([principal, subject, issuer, method, target, consent, rule]);
    const known = this.#denials.get(key);
    if (known !== undefined) {
      known.count += 1;
      return;
    }
    write(record);
    if (this.#denials.size >= MOST_DENIALS) return;
    const timer = clock.setTimer(COUNT_MS, () => this.#writeDenials(key));
    this.#denials.set(key, { timer, record, count: 0 });
  }

  /** Writes the counts now, before the audit's file is replaced or closed. */
  writeCounts(): void {
    for (const kind of this.#kinds.values()) this.#writeCountsOf(kind);
    for (const key of [...this.#denials.keys()]) this.#writeDenials(key);
  }

  #writeDenials(key: string): void {
    const denials = this.#denials.get(key);
    if (denials === undefined) return;
    const { timer, record, count } = denials;
    timer[Symbol.dispose]();
    this.#denials.delete(key);
    const { arguments: _, time: since, ...alike } = record;
    const { write, clock } = this.#options;
    if (count > 0) write({ ...alike, time: isoTime(clock.wallMs()), count, since });
  }

  #kindOf({ reason }: RefusedRequest): Kind {
    let kind = this.#kinds.get(reason);
    if (kind === undefined) {
      kind = { named: new Set(), namedSinceMs: this.#options.clock.monotonicMs(), counts: null };
      this.#kinds.set(reason, kind);
    }
    return kind;
  }

  /** Whether this is the sender's first request within NAMED_MS, and fewer than MOST_NAMED senders have a line. */
  #isNamed(kind: Kind, { remote, principal }: RefusedRequest): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - kind.namedSinceMs >= NAMED_MS) {
      kind.named.clear();
      kind.namedSinceMs = nowMs;
    }
    const sender = `${senderNetwork(remote ?? "")} ${principal}`;
    if (kind.named.has(sender) || kind.named.size >= MOST_NAMED) return false;
    kind.named.add(sender);
    return true;
  }

  #writeCountsOf(kind: Kind): void {
    if (kind.counts === null) return;
    const { timer, like, count, sinceMs } = kind.counts;
    timer[Symbol.dispose]();
    kind.counts = null;
    this.#write(like, { count, since: isoTime(sinceMs) });
  }

  #write(request: RefusedRequest, counts: Pick<RefusalRecord, "count" | "since">): void {
    const { write, clock, clean } = this.#options;
    const { status, reason, remote, principal } = request;
    write({
      time: isoTime(clock.wallMs()),
      principal: principal === null ? null : shortened(clean(principal), MAX_PRINCIPAL),
      remote,
      outcome: `refused:${status}`,
      reason,
      ...counts,
    });
  }
}

function alike(one: RefusedRequest, other: RefusedRequest): RefusedRequest {
  return {
    ...one,
    remote: one.remote === other.remote ? one.remote : null,
    principal: one.principal === other.principal ? one.principal : null,
  };
}
