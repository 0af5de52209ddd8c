// Reads an issuer's keys, from an address in its metadata or from the place in the configuration.

import { readFile, stat } from "node:fs/promises";
import type { SignedTokensConfig } from "../../config/snapshot.ts";
import { isLoopbackUrl } from "../../config/values/host.ts";
import { errorText } from "../../runtime/errors.ts";
import { TEXT_BOUNDS } from "../../runtime/text/bounds.ts";
import { isObject, type JsonMembers, jsonObject } from "../../runtime/text/json-object.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { boundedRequest } from "../bounded-request.ts";

const MOST_KEYS = 100;

export type LoadedKeys =
  | { readonly ok: true; readonly keys: readonly JsonMembers[]; readonly maxAgeMs: number | null }
  /** `reason`: a sentence without a full stop. */
  | { readonly ok: false; readonly reason: string };

/** Never rejects. */
export type KeySource = (signal: AbortSignal) => Promise<LoadedKeys>;

export function createKeySource({ issuer, keys }: SignedTokensConfig, clock: Clock): KeySource {
  switch (keys.kind) {
    case "file":
      return () => keysOfFile(keys.path);
    case "address":
      return (signal) => keysAt(keys.url, clock, signal);
    case "discovery":
      return async (signal) => {
        const found = await discover(issuer, clock, signal);
        return found.ok ? keysAt(found.url, clock, signal) : found;
      };
  }
}

/**
 * The two addresses of an issuer's metadata: that of OpenID Connect Discovery, and that of RFC 8414, in which
 * the issuer's path comes last.
 */
export function metadataAddresses(issuer: string): readonly string[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, "");
  return [
    `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path}`,
  ];
}

async function discover(issuer: string, clock: Clock, signal: AbortSignal) {
  const failed = (reason: string) => ({ ok: false, reason }) as const;
  let first = "";
  for (const address of metadataAddresses(issuer)) {
    const fetched = await fetchDocument(address, { clock, signal });
    if (!fetched.ok) {
      first ||= `${address} ${fetched.reason}`;
      continue;
    }
    const { issuer: named, jwks_uri: url } = fetched.document;
    if (named !== issuer) return failed(`${address} is the metadata of another issuer than ${issuer}`);
    if (typeof url === "string" && isSafeAddress(url)) return { ok: true, url } as const;
    return failed(`${address} names no jwks_uri that is safe to use (https)`);
  }
  return failed(first);
}

function isSafeAddress(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || url.username !== "" || url.password !== "") return false;
  return url.protocol === "https:" || (url.protocol === "http:" && isLoopbackUrl(url));
}

async function keysAt(url: string, clock: Clock, signal: AbortSignal): Promise<LoadedKeys> {
  const fetched = await fetchDocument(url, { clock, signal });
  if (!fetched.ok) return { ok: false, reason: `${withoutQuery(url)} ${fetched.reason}` };
  return keySetOf(fetched.document, withoutQuery(url), fetched.maxAgeMs);
}

function withoutQuery(url: string): string {
  return url.replace(/[?#].*$/s, "");
}

async function keysOfFile(path: string): Promise<LoadedKeys> {
  try {
    const { size } = await stat(path);
    if (size > TEXT_BOUNDS.keys.most) return { ok: false, reason: `${path} is larger than any key set` };
    const text = await readFile(path, "utf8");
    const document = jsonObject(text);
    if (document !== null) return keySetOf(document, path, null);
    return { ok: true, keys: [await keyOfPem(text)], maxAgeMs: null };
  } catch (error) {
    return { ok: false, reason: `${path} holds no usable keys: ${errorText(error)}` };
  }
}

/** Reads a public key or a certificate in PEM. Throws for anything else, also for a private key. */
async function keyOfPem(text: string): Promise<JsonMembers> {
  if (/PRIVATE KEY/.test(text)) throw new Error("it is a private key; the public one belongs here");
  const { createPublicKey } = await import("node:crypto");
  return { ...createPublicKey(text).export({ format: "jwk" }) };
}

function keySetOf(document: JsonMembers, from: string, maxAgeMs: number | null): LoadedKeys {
  const { keys } = document;
  if (!Array.isArray(keys) || !keys.every(isObject)) return { ok: false, reason: `${from} is not a JWKS` };
  // Symmetric and private keys are ignored: anyone who can check tokens with them could also sign tokens.
  const usable = keys.filter(({ kty, d }) => kty !== "oct" && d === undefined);
  if (usable.length === 0) return { ok: false, reason: `${from} has no public key` };
  if (usable.length > MOST_KEYS) return { ok: false, reason: `${from} has more than ${MOST_KEYS} keys` };
  return { ok: true, keys: usable, maxAgeMs };
}

interface FetchOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Never rejects. `maxAgeMs` is null if the server sets no max-age. `reason` is the end of a sentence that begins with
 * the address, such as "answers 500".
 */
export async function fetchDocument(address: string, { clock, signal }: FetchOptions) {
  const failed = (reason: string) => ({ ok: false, reason }) as const;
  const headers = { accept: "application/json", "accept-encoding": "identity" };
  const answer = await boundedRequest({ address, headers, clock, signal, mostBytes: TEXT_BOUNDS.keys.most });
  if (answer.kind !== "answered") return failed(answer.reason);
  const { status } = answer;
  if (status >= 300 && status < 400)
    return failed(`redirects elsewhere (${status}), and that is not followed`);
  if (status !== 200) return failed(`answers ${status}`);
  const document = jsonObject(answer.text);
  if (document === null) return failed("answers, but not with a JSON object");
  return { ok: true, document, maxAgeMs: maxAgeOf(answer.headers["cache-control"]) } as const;
}

function maxAgeOf(header: string | undefined): number | null {
  const seconds = /(?:^|[\s,])max-age=(\d{1,9})(?:[\s,]|$)/i.exec(header ?? "")?.[1];
  return seconds === undefined ? null : Number(seconds) * 1000;
}
