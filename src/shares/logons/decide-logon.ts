// Whether a login may be tried now. Pure. Many servers lock an account after a few refused logons.

const HOUR_MS = 3_600_000;
/** Of one account in any hour, unless a person asks for a try. */
const REFUSALS_AT_MOST = 2;
/** For how long a person's request counts for logins that have not had their turn. */
const ASKED_FOR_MS = 60_000;

export interface Refusal {
  /** Monotonic ms. */
  readonly atMs: number;
  /**
   * Which login of the account it was; null: unknown, because it happened before this process, or in a mount from
   * before.
   */
  readonly login: string | null;
  /** Why, in words. */
  readonly text: string;
}

interface LogonInput {
  readonly nowMs: number;
  /** All refusals of the account, oldest first. */
  readonly refusals: readonly Refusal[];
  readonly login: string;
  /** When the login was last accepted. Monotonic ms, as the others; null: never. */
  readonly acceptedAtMs: number | null;
  /** When a person last asked for a try, or changed the login. */
  readonly askedAtMs: number | null;
  /** When no route to the server answered last. */
  readonly awayAtMs: number | null;
}

interface LogonDecision {
  /** Whether one try may be made. While the login is in doubt, no other may until that has ended. */
  readonly may: boolean;
  /** What keeps it from being tried, or the newest refusal of this login that was not accepted since; null: neither. */
  readonly refusal: Refusal | null;
}

export function decideLogon(input: LogonInput): LogonDecision {
  const { nowMs, login, acceptedAtMs, awayAtMs } = input;
  const refusals = input.refusals.filter((one) => isRecent(one, nowMs));
  // A refusal counts until the login is accepted, however long ago it was.
  const newestOwn = input.refusals.findLast((one) => one.login === login) ?? null;
  const own = newestOwn === null || isSince(acceptedAtMs, newestOwn) ? null : newestOwn;
  const newest = refusals.at(-1);
  const isGood = acceptedAtMs !== null && own === null;
  if (newest === undefined || isGood || isAsked(input, newest, own)) return { may: true, refusal: own };
  if (refusals.length >= REFUSALS_AT_MOST) return { may: false, refusal: own ?? newest };
  const isDue = own === null || !isRecent(own, nowMs) || isSince(awayAtMs, own);
  return { may: isDue, refusal: own };
}

/** A person asks for a try of each login of the account: if one is refused, the others still have theirs. */
function isAsked({ askedAtMs }: LogonInput, newest: Refusal, own: Refusal | null): boolean {
  if (askedAtMs === null || (own !== null && own.atMs >= askedAtMs)) return false;
  return newest.atMs - askedAtMs < ASKED_FOR_MS;
}

/** It counts for an hour. */
export function isRecent({ atMs }: Refusal, nowMs: number): boolean {
  return nowMs - atMs < HOUR_MS;
}

function isSince(atMs: number | null, refusal: Refusal): boolean {
  return atMs !== null && atMs > refusal.atMs;
}
