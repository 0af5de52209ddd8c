// The right of one tab of the page to change what runs: asked for by the tab, granted by who types its code in a terminal.
// In memory alone, so that it ends with the daemon.
import { randomBytes, randomInt } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { hostName, isLoopbackHost } from "../../runtime/http/host-guard.ts";
import type { Clock } from "../../runtime/time/clock.ts";

/** Of the code, from the asking to the typing. */
const OWNER_CODE_LIFE_MS = 3 * 60_000;
const OWNER_RIGHT_LIFE_MS = 15 * 60_000;
/** None that looks like another one. */
const CODE_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789";
const CODE_LENGTH = 8;
const MOST = 16;

interface Right {
  readonly sha256: string;
  /** The secret of the session that asked, hashed: the right is no use to another one. */
  readonly session: string;
  /** Null: it was granted. */
  readonly code: string | null;
  /** Monotonic ms. */
  readonly endsAtMs: number;
}

export class OwnerRights {
  readonly #clock: Clock;
  #rights: readonly Right[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A secret that is good for nothing until its code was typed. What the session asked for before is gone. */
  ask(session: string): { readonly right: string; readonly code: string } {
    const right = randomBytes(32).toString("base64url");
    const code = Array.from({ length: CODE_LENGTH }, () => CODE_LETTERS[randomInt(CODE_LETTERS.length)]).join(
      "",
    );
    const mine = sha256Of(session);
    const others = this.#living().filter((each) => each.session !== mine);
    const endsAtMs = this.#clock.monotonicMs() + OWNER_CODE_LIFE_MS;
    this.#rights = [...others, { sha256: sha256Of(right), session: mine, code, endsAtMs }].slice(-MOST);
    return { right, code };
  }

  /** Until when it is good, Unix ms. `typed`: in any case, with any dashes and spaces. Throws `permission_denied`. */
  grant(typed: string): number {
    const code = typed.replace(/[\s-]/g, "").toUpperCase();
    const found = this.#living().find((each) => each.code === code);
    if (found === undefined) {
      throw new MountaineerError("permission_denied", "no open page shows this code now", {
        hint: "a code is good for three minutes, once; ask for another one in the page",
      });
    }
    const granted = { ...found, code: null, endsAtMs: this.#clock.monotonicMs() + OWNER_RIGHT_LIFE_MS };
    this.#rights = this.#rights.map((each) => (each === found ? granted : each));
    return this.#clock.wallMs() + OWNER_RIGHT_LIFE_MS;
  }

  /** Until when this session holds this right, Unix ms; null: it does not. */
  heldUntilMs(session: string, right: string): number | null {
    const [hash, mine] = [sha256Of(right), sha256Of(session)];
    const found = this.#living().find((each) => each.sha256 === hash && each.session === mine);
    if (found === undefined || found.code !== null) return null;
    return this.#clock.wallMs() + found.endsAtMs - this.#clock.monotonicMs();
  }

  /** The session gives it up. */
  drop(session: string): void {
    const mine = sha256Of(session);
    this.#rights = this.#rights.filter((each) => each.session !== mine);
  }

  #living(): readonly Right[] {
    const nowMs = this.#clock.monotonicMs();
    return this.#rights.filter(({ endsAtMs }) => endsAtMs > nowMs);
  }
}

const OF_PROXIES = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/** Asked from this machine, by a name of it: no proxy has brought it from elsewhere, also none that hides its name. */
export function isOnLoopback({ socket, headers }: IncomingMessage): boolean {
  if (OF_PROXIES.some((name) => headers[name] !== undefined)) return false;
  const name = hostName(headers.host ?? "");
  return isLoopbackHost(socket.remoteAddress ?? "") && name !== null && isLoopbackHost(name);
}
