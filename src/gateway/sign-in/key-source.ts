// Where an issuer's keys are read: its metadata says where, or the configuration does.
import { readFile, stat } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import type { SignedTokensConfig } from "../../config/snapshot.ts";
import { isLoopbackUrl } from "../../config/values/host.ts";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import { isObject, type JsonMembers, jsonObject } from "../../runtime/text/json-object.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { boundedRequest } from "../bounded-request.ts";

const LARGEST_FILE_BYTES = 256 * 1024;
const MOST_KEYS = 100;

export type LoadedKeys =
  | { readonly ok: true; readonly keys: readonly JsonMembers[]; readonly maxAgeMs: number | null }
  /** A whole sentence without its stop. */
  | { readonly ok: false; readonly reason: string };

/** Reads the keys anew; never rejects. */
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

/** Of OpenID Connect Discovery, and of RFC 8414, whose path goes before that of the issuer. */
export function metadataAddresses(issuer: string): readonly string[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, "");
  return [
    `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path}`,
  ];
}

type Discovered =
  | { readonly ok: true; readonly url: string }
  | { readonly ok: false; readonly reason: string };

async function discover(issuer: string, clock: Clock, signal: AbortSignal): Promise<Discovered> {
  let reason = "";
  for (const address of metadataAddresses(issuer)) {
    const fetched = await fetchDocument(address, { clock, signal });
    if (!fetched.ok) {
      reason ||= `${address} ${fetched.reason}`;
      continue;
    }
    const { issuer: named, jwks_uri: url } = fetched.document;
    if (named !== issuer)
      return { ok: false, reason: `${address} is the metadata of another issuer than ${issuer}` };
    if (typeof url === "string" && isSafeAddress(url)) return { ok: true, url };
    return { ok: false, reason: `${address} names no jwks_uri that is safe to use (https)` };
  }
  return { ok: false, reason };
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
  return url.replace(/[?#].*$/, "");
}

async function keysOfFile(path: string): Promise<LoadedKeys> {
  try {
    const { size } = await stat(path);
    if (size > LARGEST_FILE_BYTES) return { ok: false, reason: `${path} is larger than any key set` };
    const text = await readFile(path, "utf8");
    const document = jsonObject(text);
    if (document !== null) return keySetOf(document, path, null);
    return { ok: true, keys: [await keyOfPem(text)], maxAgeMs: null };
  } catch (error) {
    return { ok: false, reason: `${path} holds no usable keys: ${errorText(error)}` };
  }
}

/** A public key or a certificate. Throws for anything else, a private key too. */
async function keyOfPem(text: string): Promise<JsonMembers> {
  if (/PRIVATE KEY/.test(text)) throw new Error("it is a private key; the public one belongs here");
  const { createPublicKey } = await import("node:crypto");
  return { ...createPublicKey(text).export({ format: "jwk" }) };
}

function keySetOf(document: JsonMembers, from: string, maxAgeMs: number | null): LoadedKeys {
  const { keys } = document;
  if (!Array.isArray(keys) || !keys.every(isObject)) return { ok: false, reason: `${from} is no JWKS` };
  // One that everybody who can check a token could sign with is never used.
  const usable = keys.filter(({ kty, d }) => kty !== "oct" && d === undefined);
  if (usable.length === 0) return { ok: false, reason: `${from} has no public key` };
  if (usable.length > MOST_KEYS) return { ok: false, reason: `${from} has more than ${MOST_KEYS} keys` };
  return { ok: true, keys: usable, maxAgeMs };
}

// Reads one JSON document from an authorization server: bounded in time and size, never redirected.

const LARGEST_BYTES = 256 * 1024;

type Fetched =
  | {
      readonly ok: true;
      readonly document: JsonMembers;
      /** How long its server says it is good for; null: it does not. */
      readonly maxAgeMs: number | null;
    }
  /** `reason` goes after an address: "answers 500". */
  | { readonly ok: false; readonly reason: string };

interface FetchOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Never rejects. Proxies in the environment are not looked at. */
export function fetchDocument(address: string, { clock, signal }: FetchOptions): Promise<Fetched> {
  return boundedRequest<Fetched>({
    address,
    options: { headers: { accept: "application/json", "accept-encoding": "identity" } },
    clock,
    signal,
    givenUp: (reason) => ({ ok: false, reason }),
    failed: (error) => ({ ok: false, reason: reachText(error) }),
    refused: (error) => ({ ok: false, reason: errorText(error) }),
    read,
  });
}

function read(response: IncomingMessage, settle: (fetched: Fetched) => void): void {
  const { statusCode = 0, headers } = response;
  const fail = (reason: string): void => settle({ ok: false, reason });
  response.on("error", () => fail("broke off"));
  if (statusCode >= 300 && statusCode < 400) {
    fail(`redirects elsewhere (${statusCode}), and that is not followed`);
    return;
  }
  if (statusCode !== 200) {
    fail(`answers ${statusCode}`);
    return;
  }
  const chunks: Buffer[] = [];
  let size = 0;
  response.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size > LARGEST_BYTES) fail(`answers more than ${LARGEST_BYTES / 1024} KiB`);
    else chunks.push(chunk);
  });
  response.on("end", () => {
    const document = jsonObject(Buffer.concat(chunks).toString("utf8"));
    if (document === null) fail("answers something other than a JSON object");
    else settle({ ok: true, document, maxAgeMs: maxAgeOf(headers["cache-control"]) });
  });
  response.on("close", () => fail("broke off"));
}

function maxAgeOf(header: string | undefined): number | null {
  const seconds = /(?:^|[\s,])max-age=(\d{1,9})(?:[\s,]|$)/i.exec(header ?? "")?.[1];
  return seconds === undefined ? null : Number(seconds) * 1000;
}

function reachText(error: unknown): string {
  const code = systemErrorCode(error);
  if (code === "ECONNREFUSED") return "refuses connections";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "has a name that is not known";
  return `cannot be reached: ${errorText(error)}`;
}
