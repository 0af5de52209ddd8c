// The right of one tab of the page to change what runs. Either the tab shows a code that a terminal takes, or a terminal
// shows one that the tab takes. Rights are in memory only, so they end with the daemon.
import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { hostName, isLoopbackHost, isProxied } from "../../runtime/http/host-guard.ts";
import { newCode, plainCode } from "../../runtime/text/typed-code.ts";
import type { Clock } from "../../runtime/time/clock.ts";

/** How long a code can be typed. */
const OWNER_CODE_LIFE_MS = 3 * 60_000;
/** A right ends once its tab has changed nothing for this long, and at the latest with its session (12 h). */
const UNUSED_LIFE_MS = 15 * 60_000;
const CODE_LENGTH = 8;
const MOST_RIGHTS = 16;
/** Wrong attempts that void a code shown by a terminal. */
const MOST_WRONG = 5;

interface Right {
  readonly sha256: string;
  /** SHA-256 of the session's secret; other sessions cannot use the right. */
  readonly session: string;
  /** The code to type; null: the right is granted. */
  readonly code: string | null;
  /** Monotonic ms. */
  readonly endsAtMs: number;
}

export class OwnerRights {
  readonly #clock: Clock;
  #rights: readonly Right[] = [];
  /** SHA-256 of the code of the last link that a person's terminal asked for while the home had nothing yet. */
  #firstCode: string | null = null;
  /** The code that a terminal shows now. */
  #offer: { readonly code: string; readonly endsAtMs: number; wrong: number } | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Makes a right that becomes valid when its code is typed. Replaces the session's earlier right. */
  request(session: string): { readonly right: string; readonly code: string } {
    const code = newCode(CODE_LENGTH);
    return { right: this.#add(session, code, OWNER_CODE_LIFE_MS), code };
  }

  /** Makes the code that a terminal shows, for whichever tab takes it; the code of an earlier terminal is void then. */
  offer(): { readonly code: string; readonly untilMs: number } {
    const code = newCode(CODE_LENGTH);
    this.#offer = { code, endsAtMs: this.#clock.monotonicMs() + OWNER_CODE_LIFE_MS, wrong: 0 };
    return { code, untilMs: this.#clock.wallMs() + OWNER_CODE_LIFE_MS };
  }

  /** From now on `takeFirst` knows the link with this code. */
  offerFirst(code: string): void {
    this.#firstCode = sha256Of(code);
  }

  /** The right of the session that was begun with the link of this code; null: the link gives none. `isNew`: the home has nothing yet. */
  takeFirst(session: string, code: string, isNew: boolean): { readonly right: string } | null {
    const isFirst = this.#firstCode === sha256Of(code);
    return isFirst && isNew ? { right: this.#add(session, null, UNUSED_LIFE_MS) } : null;
  }

  /** The right of the session in whose tab the code of `offer` was typed. Throws `permission_denied`. */
  take(session: string, typed: string): { readonly right: string } {
    const offer = this.#offer;
    if (offer !== null && offer.endsAtMs > this.#clock.monotonicMs() && offer.wrong < MOST_WRONG) {
      if (offer.code === plainCode(typed)) {
        this.#offer = null;
        return { right: this.#add(session, null, UNUSED_LIFE_MS) };
      }
      offer.wrong += 1;
    }
    throw new MountaineerError("permission_denied", "no terminal shows this code now", {
      hint: "a code is good for three minutes, once; mountaineer open --admin shows another one",
    });
  }

  #add(session: string, code: string | null, lifeMs: number): string {
    const right = randomBytes(32).toString("base64url");
    const mine = sha256Of(session);
    const others = this.#living().filter((each) => each.session !== mine);
    const endsAtMs = this.#clock.monotonicMs() + lifeMs;
    this.#rights = [...others, { sha256: sha256Of(right), session: mine, code, endsAtMs }].slice(
      -MOST_RIGHTS,
    );
    return right;
  }

  /**
   * Grants the right whose code was typed, and returns the time when the right ends, Unix ms. `typed` may have
   * letters of any case, dashes and spaces. Throws `permission_denied`.
   */
  grant(typed: string): number {
    const code = plainCode(typed);
    const found = this.#living().find((each) => each.code === code);
    if (found === undefined) {
      throw new MountaineerError("permission_denied", "no open page shows this code now", {
        hint: "a code is good for three minutes, once; ask for another one in the page",
      });
    }
    const granted = { ...found, code: null, endsAtMs: this.#clock.monotonicMs() + UNUSED_LIFE_MS };
    this.#rights = this.#rights.map((each) => (each === found ? granted : each));
    return this.#clock.wallMs() + UNUSED_LIFE_MS;
  }

  /** When this session's right ends, Unix ms; null: it is not granted. */
  expiresAtMs(session: string, right: string): number | null {
    const found = this.#granted(session, right);
    return found === null ? null : this.#clock.wallMs() + found.endsAtMs - this.#clock.monotonicMs();
  }

  /** Whether this session has the right; if so, it lasts longer, because it is in use. */
  use(session: string, right: string): boolean {
    const found = this.#granted(session, right);
    if (found === null) return false;
    const endsAtMs = this.#clock.monotonicMs() + UNUSED_LIFE_MS;
    this.#rights = this.#rights.map((each) => (each === found ? { ...found, endsAtMs } : each));
    return true;
  }

  #granted(session: string, right: string): Right | null {
    const [hash, mine] = [sha256Of(right), sha256Of(session)];
    const found = this.#living().find((each) => each.sha256 === hash && each.session === mine);
    return found === undefined || found.code !== null ? null : found;
  }

  drop(session: string): void {
    const mine = sha256Of(session);
    this.#rights = this.#rights.filter((each) => each.session !== mine);
  }

  #living(): readonly Right[] {
    const nowMs = this.#clock.monotonicMs();
    return this.#rights.filter(({ endsAtMs }) => endsAtMs > nowMs);
  }
}

/** True if the request comes from this machine, to a loopback name, and through no proxy. */
export function isOnLoopback({ socket, headers }: IncomingMessage): boolean {
  if (isProxied(headers)) return false;
  const name = hostName(headers.host ?? "");
  return isLoopbackHost(socket.remoteAddress ?? "") && name !== null && isLoopbackHost(name);
}
