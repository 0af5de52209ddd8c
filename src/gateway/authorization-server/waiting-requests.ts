// Requests for access that wait for a person, and the codes that approved clients exchange. In memory only, and bounded: an address
// that sends many evicts only its own.
import { createHash, randomBytes } from "node:crypto";
import { dropOldest } from "../../runtime/bounded-map.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { newCode, plainCode } from "../../runtime/text/typed-code.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { Grant, NewGrant } from "../client-sign-in/grants.ts";
import type { ClientRecord } from "./client-record.ts";
import { answersTo } from "./redirect-uri.ts";

const WAIT_MS = 10 * 60_000;
const MOST_WAITING = 50;
const MOST_OF_ADDRESS = 5;
const CODE_LENGTH = 6;
const CODE_LIFE_MS = 60_000;
const MOST_CODES = 1_000;
/** How long a code that was exchanged is known, so that its second use ends the grant. */
const USED_LIFE_MS = 10 * 60_000;

/** A client's request for access. */
export interface AccessRequest {
  readonly client: ClientRecord;
  readonly redirectUri: string;
  readonly state: string | null;
  /** The SHA-256 digest of the client's verifier (PKCE), in base64url. */
  readonly challenge: string;
  readonly resource: string;
  readonly issuer: string;
  /** The sender's address; null: unknown. */
  readonly remote: string | null;
}

/** A person's consent. */
export type Consent = Pick<Grant, "user" | "entry" | "backends" | "read_only">;

type Answer =
  | { readonly kind: "waiting" }
  | { readonly kind: "allowed"; readonly consent: Consent }
  | { readonly kind: "refused" };

export interface WaitingRequest extends AccessRequest {
  readonly id: string;
  /** A person types it in a terminal or in the dashboard. */
  readonly code: string;
  /** Wall ms. */
  readonly openedMs: number;
  /** Digest of the cookie of the browser that opened the page. */
  readonly cookieSha256: string;
  readonly endsAtMs: number;
  answer: Answer;
  /** Wrong tokens typed in this page. */
  wrong: number;
  /** The user whose token was typed in this page. */
  typed: string | null;
}

interface IssuedCode {
  readonly grant: NewGrant;
  readonly request: AccessRequest;
  readonly endsAtMs: number;
  /** The refresh token that the code was exchanged for; null: it was not. */
  givenToken: string | null;
}

export class WaitingRequests {
  readonly #clock: Clock;
  readonly #waiting = new Map<string, WaitingRequest>();
  readonly #codes = new Map<string, IssuedCode>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `cookie`: only the browser that sends it sees and answers the request. */
  open(request: AccessRequest): { readonly waiting: WaitingRequest; readonly cookie: string } {
    const all = this.#living();
    const own = all.filter(({ remote }) => remote === request.remote);
    if (own.length >= MOST_OF_ADDRESS) this.#waiting.delete(own[0]?.id ?? "");
    else if (all.length >= MOST_WAITING) this.#evict(all);
    const cookie = randomBytes(32).toString("base64url");
    const taken = new Set(all.map(({ code }) => code));
    let code = newCode(CODE_LENGTH);
    while (taken.has(code)) code = newCode(CODE_LENGTH);
    const waiting: WaitingRequest = {
      ...request,
      id: randomBytes(16).toString("base64url"),
      code,
      openedMs: this.#clock.wallMs(),
      cookieSha256: sha256Of(cookie),
      endsAtMs: this.#clock.monotonicMs() + WAIT_MS,
      answer: { kind: "waiting" },
      wrong: 0,
      typed: null,
    };
    this.#waiting.set(waiting.id, waiting);
    return { waiting, cookie };
  }

  /** null: the request is unknown or too old, or belongs to another browser. */
  find(id: string, cookie: string): WaitingRequest | null {
    const found = this.#living().find((one) => one.id === id);
    return found !== undefined && found.cookieSha256 === sha256Of(cookie) ? found : null;
  }

  /** The request whose page shows this code; null: no page shows it now. */
  byCode(typed: string): WaitingRequest | null {
    const code = plainCode(typed);
    return this.#living().find((one) => one.code === code && one.answer.kind === "waiting") ?? null;
  }

  /** Ends a request that was answered. Returns a code for the client if it was allowed. */
  close(waiting: WaitingRequest): string | null {
    this.#waiting.delete(waiting.id);
    if (waiting.answer.kind !== "allowed") return null;
    const { client, redirectUri, resource } = waiting;
    const code = randomBytes(32).toString("base64url");
    const grant: NewGrant = {
      ...waiting.answer.consent,
      resource,
      client: { id_sha256: sha256Of(client.id), name: client.name, answers_to: answersTo(redirectUri) },
    };
    const endsAtMs = this.#clock.monotonicMs() + CODE_LIFE_MS;
    this.#codes.set(sha256Of(code), { grant, request: waiting, endsAtMs, givenToken: null });
    dropOldest(this.#codes, MOST_CODES);
    return code;
  }

  /** null: the code is unknown or too old. A code that was exchanged stays known for ten minutes. */
  issued(code: string): IssuedCode | null {
    const found = this.#codes.get(sha256Of(code)) ?? null;
    const livesMs = found?.givenToken === null ? 0 : USED_LIFE_MS;
    return found === null || found.endsAtMs + livesMs <= this.#clock.monotonicMs() ? null : found;
  }

  #living(): readonly WaitingRequest[] {
    const nowMs = this.#clock.monotonicMs();
    for (const { id, endsAtMs } of this.#waiting.values()) if (endsAtMs <= nowMs) this.#waiting.delete(id);
    return [...this.#waiting.values()];
  }

  /** Drops the oldest request of the address that has most. */
  #evict(all: readonly WaitingRequest[]): void {
    const ofAddress = Map.groupBy(all, ({ remote }) => remote).values();
    const [most] = [...ofAddress].toSorted((one, other) => other.length - one.length);
    this.#waiting.delete(most?.[0]?.id ?? "");
  }
}

/** Whether the verifier is the one whose digest the client sent (PKCE, S256). */
export function provesChallenge(verifier: string, challenge: string): boolean {
  if (!/^[\w.~-]{43,128}$/.test(verifier)) return false;
  return createHash("sha256").update(verifier).digest("base64url") === challenge;
}
