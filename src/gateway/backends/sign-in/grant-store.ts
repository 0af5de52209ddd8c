// The grants of a home, one for each backend with a sign-in, and the last challenge of each server.
import { join } from "node:path";
import { MountaineerError, systemErrorCode } from "../../../runtime/errors.ts";
import { ensurePrivateFolder, readIfPresent, writeDurably } from "../../../runtime/files/durable-file.ts";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import {
  list,
  nullable,
  number,
  numberThat,
  object,
  reader,
  type TypeOf,
  text,
} from "../../../runtime/shape.ts";
import { jsonObject, objectOf } from "../../../runtime/text/json-object.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { openEncryptedFiles } from "../../../secrets/encrypted-files.ts";
import type { SecretStore } from "../../../secrets/secret-store.ts";
import { type BearerChallenge, scopeList } from "./challenge.ts";
import { clientShape } from "./client.ts";

/** Longest wait for a renewal by another process, ms: a renewal may take two request deadlines. */
const TURN_WAIT_MS = 45_000;
const LONGEST_ADDRESS = 2_048;

/** The stored challenge of a refused request; contains no secret. */
export interface KeptChallenge extends BearerChallenge {
  readonly status: 401 | 403;
}

export type GrantStore = ReturnType<typeof openGrantStore>;

interface GrantStoreOptions {
  readonly home: string;
  readonly clock: Clock;
  readonly openStore: () => Promise<SecretStore>;
}

/** Opens the secret store at the first access to a grant. */
export function openGrantStore({ home, clock, openStore }: GrantStoreOptions) {
  const folder = join(home, "sign-in");
  // The hash keeps names apart that differ only in letter case, for file systems that ignore case.
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
    store: {
      get: async (...args) => (await store()).get(...args),
      set: async (...args) => (await store()).set(...args),
    },
  });
  return {
    /** Rejects with `secret_unavailable`; `retry` is "never" if the grant can never be read again. */
    async read(backend: string, signal: AbortSignal): Promise<Grant | null> {
      const content = await files.read(fileName(backend), signal);
      return content === null ? null : parseGrant(content);
    },
    /** True if there is a grant, readable or not. Creates no file. */
    has: (backend: string) => files.has(fileName(backend)),
    /** Resolves when the grant is durable. */
    write: (backend: string, grant: Grant, signal: AbortSignal) =>
      files.write(fileName(backend), JSON.stringify({ version: VERSION, ...grant }), signal),
    remove: (backend: string) => files.remove(fileName(backend)),
    /** Runs `work` alone for this backend, across processes. Rejects with `lock_held`. */
    alone: <T>(backend: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> =>
      files.alone(fileName(backend), TURN_WAIT_MS, signal, work),
    /**
     * Does not reject if the challenge cannot be written, for instance to a full disk: at worst a person has
     * to name the scopes at the sign-in.
     */
    async keepChallenge(backend: string, serverUrl: string, challenge: KeptChallenge): Promise<void> {
      const content = JSON.stringify({ server: sha256Of(serverUrl), ...challenge });
      const path = challengePath(backend);
      try {
        if ((await readIfPresent(path)) === content) return;
        await ensurePrivateFolder(folder);
        await writeDurably(path, content, { mode: 0o600 });
      } catch (error) {
        if (!(error instanceof MountaineerError) && systemErrorCode(error) === null) throw error;
      }
    },
    async readChallenge(backend: string, serverUrl: string): Promise<KeptChallenge | null> {
      const content = await readIfPresent(challengePath(backend)).catch(() => null);
      const kept = content === null ? null : jsonObject(content);
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

/**
 * True if the address has the server's origin. The stored challenge is not sealed, and even an edited one
 * must not lead a sign-in to another server.
 */
function isOfServer(address: unknown, serverUrl: string): address is string {
  if (typeof address !== "string" || address.length > LONGEST_ADDRESS) return false;
  const origin = URL.parse(address)?.origin;
  return origin !== undefined && origin === URL.parse(serverUrl)?.origin;
}

const VERSION = 1;

const grantShape = object({
  version: numberThat("1", (version) => version === VERSION),
  /** The backend's address at the sign-in; the tokens are for no other address. */
  serverUrl: text,
  resource: text,
  issuer: text,
  tokenEndpoint: text,
  /** Null: the server cannot revoke tokens. */
  revocationEndpoint: nullable(text),
  client: clientShape,
  /** The redirect address of a registered client. */
  redirectUri: nullable(text),
  /** The requested scopes; null: the request named none. */
  scopes: nullable(list(text)),
  accessToken: text,
  /** Wall ms; null: the server does not say. */
  expiresAtMs: nullable(number),
  refreshToken: nullable(text),
  /** Wall ms. */
  obtainedAtMs: number,
  /** Start of a renewal without a known outcome, wall ms; null: none. */
  renewingSinceMs: nullable(number),
  /** Why a person has to sign in again; null: not necessary. */
  ended: nullable(text),
});
export type Grant = Readonly<Omit<TypeOf<typeof grantShape>, "version" | "scopes">> & {
  readonly scopes: readonly string[] | null;
};
const readGrant = reader(grantShape);
/** Defaults for keys that earlier versions left out. */
const DEFAULTS = {
  revocationEndpoint: null,
  redirectUri: null,
  scopes: null,
  expiresAtMs: null,
  refreshToken: null,
  renewingSinceMs: null,
  ended: null,
};
const NO_SECRET = { secret: null, secretEndsAtMs: null };

/**
 * Remaining lifetime below which a token is not used, because it must outlive its request: the shorter of a
 * time and a part of its whole lifetime.
 */
const LEAST_LEFT = { ms: 5_000, part: 0.1 };

/** True if the token has enough lifetime left. Times are wall ms; `expiresAtMs` is null if unknown. */
export function isUsable(
  { obtainedAtMs, expiresAtMs }: Pick<Grant, "obtainedAtMs" | "expiresAtMs">,
  wallMs: number,
): boolean {
  if (expiresAtMs === null) return true;
  const leastMs = Math.min(LEAST_LEFT.ms, (expiresAtMs - obtainedAtMs) * LEAST_LEFT.part);
  return wallMs < expiresAtMs - leastMs;
}

/** True if a stored grant can never be read again. */
export function isUnreadable(error: unknown): error is MountaineerError {
  return error instanceof MountaineerError && error.code === "secret_unavailable" && error.retry === "never";
}

/** Null: not a grant of a known version. */
function parseGrant(content: string): Grant | null {
  const { client, ...said } = jsonObject(content) ?? {};
  const found = readGrant({ ...DEFAULTS, ...said, client: { ...NO_SECRET, ...objectOf(client) } });
  if (found === null) return null;
  const { version: _, ...grant } = found;
  return grant;
}
