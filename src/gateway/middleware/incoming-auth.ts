// Authentication of requests: everybody is anonymous, or a configured user by the token in the headers.
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { AuthUser, IncomingAuthConfig } from "../../config/snapshot.ts";
import { referenceKey, resolveReference } from "../../secrets/reference.ts";
import { ANONYMOUS, type Principal } from "../client-port.ts";
import type { Authentication } from "./middleware.ts";

export interface Authenticator {
  authenticate(headers: IncomingHttpHeaders): Authentication;
  /** The same person under this configuration; null: not let in any more. */
  refresh(principal: Principal): Principal | null;
  /** References that should give a token and give none, or an empty one: their users cannot come in. */
  readonly missing: readonly string[];
}

/** `redact` gets each token, so that no log line ever shows one. */
export function createAuthentication(
  config: IncomingAuthConfig,
  environment: Readonly<Record<string, string | undefined>>,
  redact: (secret: string) => void = () => {},
): Authenticator {
  return config.type === "anonymous" ? ANYBODY : authenticateUsers(config.users, environment, redact);
}

const WELCOME: Authentication = { ok: true, principal: ANONYMOUS };

const ANYBODY: Authenticator = {
  authenticate: () => WELCOME,
  refresh: (principal) => (principal.kind === "owner" ? principal : ANONYMOUS),
  missing: [],
};

interface KnownUser {
  readonly digest: Buffer;
  readonly answer: Authentication;
}

function authenticateUsers(
  users: readonly AuthUser[],
  environment: Readonly<Record<string, string | undefined>>,
  redact: (secret: string) => void,
): Authenticator {
  // Digests of one length compare in constant time, and under a random key they reveal nothing.
  const key = randomBytes(32);
  const digestOf = (token: Buffer): Buffer => createHmac("sha256", key).update(token).digest();
  const known: KnownUser[] = [];
  const byName = new Map<string, Principal>();
  const missing = new Set<string>();
  for (const { name, token, roles } of users) {
    const secret = resolveReference(token, environment);
    if (!secret.ok || secret.value === "") {
      missing.add(referenceKey(token));
      continue;
    }
    redact(secret.value);
    const principal: Principal = { kind: "user", name, roles };
    known.push({ digest: digestOf(Buffer.from(secret.value, "utf8")), answer: { ok: true, principal } });
    if (!byName.has(name)) byName.set(name, principal);
  }
  return {
    authenticate(headers) {
      const token = bearerToken(headers.authorization);
      if (token === null) return { ok: false, reason: "a bearer token is required" };
      const digest = digestOf(token);
      let answer: Authentication = { ok: false, reason: "the bearer token is not accepted" };
      // All of them, so that the time tells nothing about which it was; of two users with one token the first counts.
      for (const user of known) {
        if (timingSafeEqual(user.digest, digest) && !answer.ok) answer = user.answer;
      }
      return answer;
    },
    refresh(principal) {
      if (principal.kind === "owner") return principal;
      return principal.kind === "user" ? (byName.get(principal.name) ?? null) : null;
    },
    missing: [...missing],
  };
}

/** The bytes of the token as they came: a header is read as Latin-1, whatever was meant. */
function bearerToken(header: string | undefined): Buffer | null {
  const token = header === undefined ? undefined : /^Bearer +(\S(?:.*\S)?) *$/i.exec(header)?.[1];
  return token === undefined || hasWideUnit(token) ? null : Buffer.from(token, "latin1");
}

function hasWideUnit(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0xff) return true;
  return false;
}
