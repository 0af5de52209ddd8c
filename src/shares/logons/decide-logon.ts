// Whether a login may be tried now. Pure. Many servers lock an account after a few refused logons.

const HOUR_MS = 3_600_000;
/** Of one account, in any hour, without a person's word. */
const REFUSALS_AT_MOST = 2;
/** How long a person's word is for logins that have not had their turn. */
const ASKED_FOR_MS = 60_000;

export interface Refusal {
  /** Monotonic ms. */
  readonly atMs: number;
  /** Which login of the account it was; null: not known, as it was before this process, or of a mount of before. */
  readonly login: string | null;
  /** Why, in words. */
  readonly text: string;
}

interface LogonInput {
  readonly nowMs: number;
  /** Of the account, oldest first. */
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
  /** One try, and no other until that has ended, as long as the login is in doubt. */
  readonly may: boolean;
  /** What keeps it from being tried, or the newest of this login that was not accepted since; null: neither. */
  readonly refusal: Refusal | null;
}

export function decideLogon(input: LogonInput): LogonDecision {
  const { nowMs, login, acceptedAtMs, awayAtMs } = input;
  const refusals = input.refusals.filter((one) => isRecent(one, nowMs));
  // It stands until the login is accepted, however long ago it was.
  const newestOwn = input.refusals.findLast((one) => one.login === login) ?? null;
  const own = newestOwn === null || isSince(acceptedAtMs, newestOwn) ? null : newestOwn;
  const newest = refusals.at(-1);
  const isGood = acceptedAtMs !== null && own === null;
  if (newest === undefined || isGood || isAsked(input, newest, own)) return { may: true, refusal: own };
  if (refusals.length >= REFUSALS_AT_MOST) return { may: false, refusal: own ?? newest };
  const isDue = own === null || !isRecent(own, nowMs) || isSince(awayAtMs, own);
  return { may: isDue, refusal: own };
}

/** A person asks for a try of each login of the account: one that is refused then takes no other's. */
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
