// The rules for the values with which clients sign in: addresses of authorization servers, audiences, scopes, claims.
import { readAddress } from "./address.ts";
import { isLoopbackUrl } from "./host.ts";
import { isLine, type TextReading, textReader, wrong } from "./names.ts";
import { parsePath } from "./paths.ts";

const LONGEST_ADDRESS = 2_048;

/** In the `users` of a policy, before the `sub` of a person of an issuer. */
export const SUBJECT_PREFIX = "sub:";

/** The algorithms that sign with a private key: a party that can only check tokens cannot issue any. */
export const SIGNING_ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
] as const;

export const ISSUER_EXPECTED =
  "an address that begins with `https://`; `http://` only on this machine; without query and `#`";

/** Only the server itself can read what is sent there. */
export function isSafeForTokens(url: URL): boolean {
  return url.protocol === "https:" || isLoopbackUrl(url);
}

/** The name of an authorization server; kept exactly as written, because tokens repeat it to the letter. */
export function parseIssuer(text: string): TextReading {
  const reading = readAddress(text, ISSUER_EXPECTED);
  if (!reading.ok) return reading;
  if (text.includes("?")) return wrong(ISSUER_EXPECTED);
  if (isSafeForTokens(reading.url)) return { ok: true, value: text };
  return wrong(ISSUER_EXPECTED, "anyone between here and there could answer with their own keys");
}

export const KEYS_SOURCE_EXPECTED =
  "an address that begins with `https://` (`http://` only on this machine), or the path of a file";

/** Whether the keys are at an address; otherwise they are in a file. */
export function isKeysAddress(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:/i.test(text);
}

/** The place of an issuer's public keys: an address or a file. */
export function parseKeysSource(text: string): TextReading {
  if (!isKeysAddress(text)) {
    const reading = parsePath(text);
    return reading.ok ? reading : wrong(KEYS_SOURCE_EXPECTED, reading.hint);
  }
  const address = readAddress(text, KEYS_SOURCE_EXPECTED);
  if (!address.ok) return address;
  if (isSafeForTokens(address.url)) return { ok: true, value: text };
  return wrong(KEYS_SOURCE_EXPECTED, "anyone between here and there could answer with their own keys");
}

export const PUBLIC_URL_EXPECTED = "an address such as `https://mcp.example.com/mcp`, without query and `#`";

/** The address of the endpoint as clients write it, without a slash at its end. */
export function parsePublicUrl(text: string): TextReading {
  const reading = readAddress(text, PUBLIC_URL_EXPECTED);
  if (!reading.ok) return reading;
  if (text.includes("?")) return wrong(PUBLIC_URL_EXPECTED);
  return { ok: true, value: reading.url.href.replace(/\/$/, "") };
}

export const ORIGIN_EXPECTED =
  "an origin such as `https://inspector.example.com` or `http://localhost:6274`: without a path and without `*`";

/** The origin of web pages, as browsers send it. */
export function parseOrigin(text: string): TextReading {
  const reading = readAddress(text, ORIGIN_EXPECTED);
  if (!reading.ok) return reading;
  const { origin } = reading.url;
  const isOrigin = origin !== "null" && /^https?:\/\/[^/?#@*\\]+$/i.test(text);
  return isOrigin ? { ok: true, value: origin } : wrong(ORIGIN_EXPECTED);
}

export const parseAudience = textReader(
  (text) => isLine(text, LONGEST_ADDRESS),
  "a text, as tokens carry it in `aud`",
);

export const parseScope = textReader(
  (text) => /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/.test(text),
  "a scope: visible ASCII characters without spaces, quotes and backslashes",
);

/** The name of a claim; for a nested claim, all names down to the claim, separated by dots. */
export const parseClaimPath = textReader(
  (text) => isLine(text, 256) && !/\s/.test(text),
  "the name of a claim, such as `roles` or `realm_access.roles`",
);

export const parseClaimValue = textReader(
  (text) => isLine(text, 1_024),
  "a text of at most 1,024 characters",
);

const ALGORITHMS: ReadonlySet<string> = new Set(SIGNING_ALGORITHMS);

export function parseAlgorithm(text: string): TextReading {
  if (ALGORITHMS.has(text)) return { ok: true, value: text };
  const hint = /^(HS|none)/i.test(text)
    ? "a shared secret would let every program that checks tokens make them, and `none` is not a signature"
    : null;
  return wrong(`one of ${SIGNING_ALGORITHMS.map((name) => `"${name}"`).join(", ")}`, hint);
}
