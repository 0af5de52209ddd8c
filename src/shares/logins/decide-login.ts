// Whether a login may be tried now: many servers lock an account after a few refusals. Pure.

const HOUR_MS = 3_600_000;
/** Maximum number of refusals of one account in any hour, unless a person asks for a try. */
const REFUSALS_AT_MOST = 2;
/** After a person's request, each login of the account may be tried once within this time, ms. */
const REQUEST_VALID_MS = 60_000;

export interface Refusal {
  /** Monotonic ms. */
  readonly atMs: number;
  /**
   * Id of the refused login; null: unknown, because the login was used by an earlier daemon, or by a mount that such
   * a daemon made.
   */
  readonly login: string | null;
  /** The server's reason. */
  readonly text: string;
}

interface LoginInput {
  readonly nowMs: number;
  /** All refusals of the account, oldest first. */
  readonly refusals: readonly Refusal[];
  readonly login: string;
  /** When the login was last accepted, monotonic ms as the times below; null: never. */
  readonly acceptedAtMs: number | null;
  /** When a person last asked for a try, or changed the login. */
  readonly requestedAtMs: number | null;
  /** When it was last seen that no route to the server answers. */
  readonly unreachableAtMs: number | null;
}

interface LoginDecision {
  /** Whether the login may be tried now. */
  readonly may: boolean;
  /**
   * The newest refusal of this login since it was last accepted. If there is none, but too many refusals of the
   * account forbid a try, the account's newest refusal; else null.
   */
  readonly refusal: Refusal | null;
}

export function decideLogin(input: LoginInput): LoginDecision {
  const { nowMs, login, acceptedAtMs, unreachableAtMs } = input;
  const refusals = input.refusals.filter((one) => isRecent(one, nowMs));
  // The newest refusal of this login counts until the login is accepted, even if it is older than an hour.
  const newestOwn = input.refusals.findLast((one) => one.login === login) ?? null;
  const own = newestOwn === null || isSince(acceptedAtMs, newestOwn) ? null : newestOwn;
  const newest = refusals.at(-1);
  const isGood = acceptedAtMs !== null && own === null;
  if (newest === undefined || isGood || isRequested(input, newest, own)) return { may: true, refusal: own };
  if (refusals.length >= REFUSALS_AT_MOST) return { may: false, refusal: own ?? newest };
  const isDue = own === null || !isRecent(own, nowMs) || isSince(unreachableAtMs, own);
  return { may: isDue, refusal: own };
}

/**
 * Whether a person's request allows a try. Each request allows one try of each login of the account; a refusal of
 * another login does not use up the try of this login.
 */
function isRequested({ requestedAtMs }: LoginInput, newest: Refusal, own: Refusal | null): boolean {
  if (requestedAtMs === null || (own !== null && own.atMs >= requestedAtMs)) return false;
  return newest.atMs - requestedAtMs < REQUEST_VALID_MS;
}

export function isRecent({ atMs }: Refusal, nowMs: number): boolean {
  return nowMs - atMs < HOUR_MS;
}

function isSince(atMs: number | null, refusal: Refusal): boolean {
  return atMs !== null && atMs > refusal.atMs;
}
