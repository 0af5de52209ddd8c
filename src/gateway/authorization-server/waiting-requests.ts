// Requests for access: each waits for a person, and then for its client, which exchanges a code. In memory only, and bounded: an
// address that sends many evicts only its own.
import { createHash, randomBytes } from "node:crypto";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { senderNetwork } from "../../runtime/http/sender-network.ts";
import { newCode, plainCode } from "../../runtime/text/typed-code.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { GrantLimits, GrantOrigin, NewGrant } from "../client-sign-in/grants.ts";
import type { ClientRecord } from "./client-record.ts";
import { answersTo } from "./redirect-uri.ts";

const WAIT_MS = 10 * 60_000;
const MOST_REQUESTS = 50;
const MOST_OF_ADDRESS = 5;
const TYPED_LENGTH = 6;
const CODE_LIFE_MS = 60_000;
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
export type Consent = GrantOrigin & GrantLimits;

export interface WaitingRequest extends AccessRequest {
  readonly id: string;
  /** A person types it in a terminal or in the dashboard. */
  readonly typedCode: string;
  /** Wall ms. */
  readonly openedMs: number;
  /** Digest of the cookie of the browser that opened the page. */
  readonly cookieSha256: string;
  endsAtMs: number;
  /** "no": a person refused. */
  answer: Consent | "no" | null;
  /** Digest of the code that the client exchanges. */
  codeSha256: string | null;
  /** What the code was exchanged for. */
  refreshToken: string | null;
  /** Wrong tokens typed in this page. */
  wrong: number;
  /** The user whose token was typed in this page, and the entry by that token. */
  typed: GrantOrigin | null;
  /** The servers that this page showed to that user. */
  shown: readonly string[];
}

export class WaitingRequests {
  readonly #clock: Clock;
  readonly #requests = new Map<string, WaitingRequest>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `cookie`: only the browser that sends it sees and answers the request. */
  open(request: AccessRequest): { readonly waiting: WaitingRequest; readonly cookie: string } {
    const all = this.#living();
    const networkOf = ({ remote }: AccessRequest): string => senderNetwork(remote ?? "");
    const ofAddress = Map.groupBy(all, networkOf);
    const own = ofAddress.get(networkOf(request)) ?? [];
    const [most] = [...ofAddress.values()].toSorted((one, other) => other.length - one.length);
    if (own.length >= MOST_OF_ADDRESS) this.#requests.delete(own[0]?.id ?? "");
    else if (all.length >= MOST_REQUESTS) this.#requests.delete(most?.[0]?.id ?? "");
    const cookie = randomBytes(32).toString("base64url");
    const taken = new Set(all.map(({ typedCode }) => typedCode));
    let typedCode = newCode(TYPED_LENGTH);
    while (taken.has(typedCode)) typedCode = newCode(TYPED_LENGTH);
    const waiting: WaitingRequest = {
      ...request,
      ...{ typedCode, cookieSha256: sha256Of(cookie), id: randomBytes(16).toString("base64url") },
      ...{ openedMs: this.#clock.wallMs(), endsAtMs: this.#clock.monotonicMs() + WAIT_MS },
      ...{ answer: null, codeSha256: null, refreshToken: null, wrong: 0, typed: null, shown: [] },
    };
    this.#requests.set(waiting.id, waiting);
    return { waiting, cookie };
  }

  /** null: the request is unknown or too old, was answered, or belongs to another browser. */
  find(id: string, cookie: string): WaitingRequest | null {
    const digest = sha256Of(cookie);
    return this.#first((one) => one.id === id && one.cookieSha256 === digest && one.codeSha256 === null);
  }

  /** The request whose page shows this code; null: no page shows it now. */
  byTypedCode(typed: string): WaitingRequest | null {
    const code = plainCode(typed);
    return this.#first((one) => one.typedCode === code && one.answer === null);
  }

  /** null: the code is unknown or too old. A code that was exchanged stays known for ten minutes. */
  byCode(code: string): WaitingRequest | null {
    const digest = sha256Of(code);
    return this.#first(({ codeSha256 }) => codeSha256 === digest);
  }

  /** Returns a code for the client; null if a person refused. */
  issueCode(waiting: WaitingRequest): string | null {
    if (waiting.answer === "no") {
      this.#requests.delete(waiting.id);
      return null;
    }
    const code = randomBytes(32).toString("base64url");
    waiting.codeSha256 = sha256Of(code);
    waiting.endsAtMs = this.#clock.monotonicMs() + CODE_LIFE_MS;
    return code;
  }

  /** Notes what the code was exchanged for. */
  exchanged(waiting: WaitingRequest, refreshToken: string): void {
    waiting.refreshToken = refreshToken;
    waiting.endsAtMs = this.#clock.monotonicMs() + USED_LIFE_MS;
  }

  #first(isMeant: (one: WaitingRequest) => boolean): WaitingRequest | null {
    return this.#living().find(isMeant) ?? null;
  }

  #living(): readonly WaitingRequest[] {
    const nowMs = this.#clock.monotonicMs();
    for (const { id, endsAtMs } of this.#requests.values()) if (endsAtMs <= nowMs) this.#requests.delete(id);
    return [...this.#requests.values()];
  }
}

/** The grant that a person's consent makes. */
export function grantOf({ client, redirectUri, resource }: AccessRequest, consent: Consent): NewGrant {
  const named = { id_sha256: sha256Of(client.id), name: client.name, answers_to: answersTo(redirectUri) };
  return { ...consent, resource, client: named };
}

/** Whether the verifier is the one whose digest the client sent (PKCE, S256). */
export function provesChallenge(verifier: string, challenge: string): boolean {
  if (!/^[\w.~-]{43,128}$/.test(verifier)) return false;
  return createHash("sha256").update(verifier).digest("base64url") === challenge;
}
