// A home's grants, one for each backend that a person signed in to, and what the servers asked for last.
import { join } from "node:path";
import { MountaineerError, systemErrorCode } from "../../../runtime/errors.ts";
import { ensurePrivateFolder, readIfPresent, writeDurably } from "../../../runtime/files/durable-file.ts";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import { type JsonMembers, jsonObject } from "../../../runtime/text/json-object.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { openEncryptedFiles } from "../../../secrets/encrypted-files.ts";
import type { SecretStore } from "../../../secrets/secret-store.ts";
import { type BearerChallenge, scopeList } from "./challenge.ts";
import type { ClientIdentity } from "./client.ts";

/** A renewal may take two deadlines of a request; who waits for another process waits no longer. */
const TURN_WAIT_MS = 45_000;
const LONGEST_ADDRESS = 2_048;

/** What a server asked for when it refused a request; no secret. */
export interface KeptChallenge extends BearerChallenge {
  readonly status: 401 | 403;
}

export interface GrantStore {
  /** Rejects with `secret_unavailable`: `retry` is "never" where what is kept can never be read again. */
  read(backend: string, signal: AbortSignal): Promise<Grant | null>;
  /** Whether anything is kept, readable or not. Makes no file. */
  has(backend: string): Promise<boolean>;
  /** Durable when it resolves. */
  write(backend: string, grant: Grant, signal: AbortSignal): Promise<void>;
  remove(backend: string): Promise<boolean>;
  /** One at a time for each backend, in whatever process. Rejects with `lock_held`. */
  alone<T>(backend: string, signal: AbortSignal, work: () => Promise<T>): Promise<T>;
  /** Never rejects: without it a person may have to name the scopes. */
  keepChallenge(backend: string, serverUrl: string, challenge: KeptChallenge): Promise<void>;
  readChallenge(backend: string, serverUrl: string): Promise<KeptChallenge | null>;
}

interface GrantStoreOptions {
  readonly home: string;
  readonly clock: Clock;
  readonly openStore: () => Promise<SecretStore>;
}

/** Opens nothing before it is asked. */
export function openGrantStore({ home, clock, openStore }: GrantStoreOptions): GrantStore {
  const folder = join(home, "sign-in");
  // Names that differ in letter case alone must not meet in one file on a disk that takes them for equal.
  const fileName = (backend: string): string => `${backend}-${sha256Of(backend).slice(0, 8)}`;
  const challengePath = (backend: string): string => join(folder, `${fileName(backend)}.asked.json`);
  let opening: Promise<SecretStore> | null = null;
  const store = (): Promise<SecretStore> => {
    opening ??= openStore();
    return opening;
  };
  const files = openEncryptedFiles({
    folder,
    clock,
    // Loaded when a grant is there, and not before.
    store: {
      get: async (...args) => (await store()).get(...args),
      set: async (...args) => (await store()).set(...args),
    },
  });
  return {
    async read(backend, signal) {
      const text = await files.read(fileName(backend), signal);
      return text === null ? null : parseGrant(text);
    },
    has: (backend) => files.has(fileName(backend)),
    write: (backend, grant, signal) => files.write(fileName(backend), grantText(grant), signal),
    remove: (backend) => files.remove(fileName(backend)),
    alone: (backend, signal, work) => files.alone(fileName(backend), TURN_WAIT_MS, signal, work),
    async keepChallenge(backend, serverUrl, challenge) {
      const text = JSON.stringify({ server: sha256Of(serverUrl), ...challenge });
      const path = challengePath(backend);
      try {
        if ((await readIfPresent(path)) === text) return;
        await ensurePrivateFolder(folder);
        await writeDurably(path, text, { mode: 0o600 });
      } catch (error) {
        if (!(error instanceof MountaineerError) && systemErrorCode(error) === null) throw error;
      }
    },
    async readChallenge(backend, serverUrl) {
      const text = await readIfPresent(challengePath(backend)).catch(() => null);
      const kept = text === null ? null : jsonObject(text);
      if (kept === null || kept["server"] !== sha256Of(serverUrl)) return null;
      const { status, resourceMetadata, scopes, error } = kept;
      return {
        status: status === 403 ? 403 : 401,
        resourceMetadata: isOfServer(resourceMetadata, serverUrl) ? resourceMetadata : null,
        scopes: Array.isArray(scopes) ? scopeList(scopes.join(" ")) : null,
        error: typeof error === "string" ? error : null,
      };
    },
  };
}

/** The file is not sealed: whoever can write it must not lead a sign-in to a server of their own. */
function isOfServer(address: unknown, serverUrl: string): address is string {
  if (typeof address !== "string" || address.length > LONGEST_ADDRESS) return false;
  const origin = URL.parse(address)?.origin;
  return origin !== undefined && origin === URL.parse(serverUrl)?.origin;
}

// What is kept of one sign-in: the tokens, whom they are for, and who renews them.

export interface Grant {
  /** The backend's address as it was configured then: for no other are the tokens. */
  readonly serverUrl: string;
  readonly resource: string;
  readonly issuer: string;
  readonly tokenEndpoint: string;
  /** Null: the server revokes no tokens. */
  readonly revocationEndpoint: string | null;
  readonly client: ClientIdentity;
  /** Of a registered client: what it was registered with. */
  readonly redirectUri: string | null;
  /** As they were asked for; null: none were named. */
  readonly scopes: readonly string[] | null;
  readonly accessToken: string;
  /** Wall ms; null: the server does not say. */
  readonly expiresAtMs: number | null;
  readonly refreshToken: string | null;
  /** Wall ms. */
  readonly obtainedAtMs: number;
  /** Wall ms at which a renewal was begun whose outcome is not known; null: none is open. */
  readonly renewingSinceMs: number | null;
  /** Why a person has to sign in again; null: nobody has to. */
  readonly ended: string | null;
}

/** A token that is about to expire would not outlive the request. */
const LEAST_LEFT = { ms: 5_000, part: 0.1 };

/** Whether a token can still be used; times are wall ms, `expiresAtMs` null where the server does not say. */
export function isUsable(
  { obtainedAtMs, expiresAtMs }: Pick<Grant, "obtainedAtMs" | "expiresAtMs">,
  wallMs: number,
): boolean {
  if (expiresAtMs === null) return true;
  const leastMs = Math.min(LEAST_LEFT.ms, (expiresAtMs - obtainedAtMs) * LEAST_LEFT.part);
  return wallMs < expiresAtMs - leastMs;
}

const VERSION = 1;

function grantText(grant: Grant): string {
  return JSON.stringify({ version: VERSION, ...grant });
}

/** Null: it is no grant that this version knows. */
function parseGrant(text: string): Grant | null {
  const found = jsonObject(text);
  if (found === null || found["version"] !== VERSION) return null;
  const client = parseClient(found["client"]);
  const texts = textMembers(found, ["serverUrl", "resource", "issuer", "tokenEndpoint", "accessToken"]);
  const { scopes, obtainedAtMs } = found;
  if (client === null || texts === null || typeof obtainedAtMs !== "number") return null;
  return {
    ...texts,
    client,
    obtainedAtMs,
    scopes: Array.isArray(scopes) ? scopes.filter((one) => typeof one === "string") : null,
    revocationEndpoint: textOrNull(found["revocationEndpoint"]),
    redirectUri: textOrNull(found["redirectUri"]),
    refreshToken: textOrNull(found["refreshToken"]),
    ended: textOrNull(found["ended"]),
    expiresAtMs: numberOrNull(found["expiresAtMs"]),
    renewingSinceMs: numberOrNull(found["renewingSinceMs"]),
  };
}

function parseClient(value: unknown): ClientIdentity | null {
  const { source, id, method, secret, secretEndsAtMs } = Object(value) as JsonMembers;
  if (source !== "configured" && source !== "document" && source !== "registered") return null;
  if (method !== "none" && method !== "client_secret_basic" && method !== "client_secret_post") return null;
  if (typeof id !== "string") return null;
  return { source, id, method, secret: textOrNull(secret), secretEndsAtMs: numberOrNull(secretEndsAtMs) };
}

function textMembers<const Keys extends readonly string[]>(
  found: JsonMembers,
  keys: Keys,
): { readonly [Key in Keys[number]]: string } | null {
  const entries = keys.map((key) => [key, found[key]] as const);
  if (!entries.every(([, value]) => typeof value === "string")) return null;
  return Object.fromEntries(entries) as { [Key in Keys[number]]: string };
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function numberOrNull(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
