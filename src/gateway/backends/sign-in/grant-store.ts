// A home's grants, one for each backend that a person signed in to, and what the servers asked for last.
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
      const content = await files.read(fileName(backend), signal);
      return content === null ? null : parseGrant(content);
    },
    has: (backend) => files.has(fileName(backend)),
    write: (backend, grant, signal) => files.write(fileName(backend), grantText(grant), signal),
    remove: (backend) => files.remove(fileName(backend)),
    alone: (backend, signal, work) => files.alone(fileName(backend), TURN_WAIT_MS, signal, work),
    async keepChallenge(backend, serverUrl, challenge) {
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
    async readChallenge(backend, serverUrl) {
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

/** The file is not sealed: whoever can write it must not lead a sign-in to a server of their own. */
function isOfServer(address: unknown, serverUrl: string): address is string {
  if (typeof address !== "string" || address.length > LONGEST_ADDRESS) return false;
  const origin = URL.parse(address)?.origin;
  return origin !== undefined && origin === URL.parse(serverUrl)?.origin;
}

// What is kept of one sign-in: the tokens, whom they are for, and who renews them.

const VERSION = 1;

const grantShape = object({
  version: numberThat("1", (version) => version === VERSION),
  /** The backend's address as it was configured then: for no other are the tokens. */
  serverUrl: text,
  resource: text,
  issuer: text,
  tokenEndpoint: text,
  /** Null: the server revokes no tokens. */
  revocationEndpoint: nullable(text),
  client: clientShape,
  /** Of a registered client: what it was registered with. */
  redirectUri: nullable(text),
  /** As they were asked for; null: none were named. */
  scopes: nullable(list(text)),
  accessToken: text,
  /** Wall ms; null: the server does not say. */
  expiresAtMs: nullable(number),
  refreshToken: nullable(text),
  /** Wall ms. */
  obtainedAtMs: number,
  /** Wall ms at which a renewal was begun whose outcome is not known; null: none is open. */
  renewingSinceMs: nullable(number),
  /** Why a person has to sign in again; null: nobody has to. */
  ended: nullable(text),
});
export type Grant = Readonly<Omit<TypeOf<typeof grantShape>, "version" | "scopes">> & {
  readonly scopes: readonly string[] | null;
};
const readGrant = reader(grantShape);
/** What an earlier version may have left out. */
const NOT_SAID = {
  revocationEndpoint: null,
  redirectUri: null,
  scopes: null,
  expiresAtMs: null,
  refreshToken: null,
  renewingSinceMs: null,
  ended: null,
};
const NO_SECRET = { secret: null, secretEndsAtMs: null };

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

function grantText(grant: Grant): string {
  return JSON.stringify({ version: VERSION, ...grant });
}

/** Null: it is no grant that this version knows. */
function parseGrant(content: string): Grant | null {
  const { client, ...said } = jsonObject(content) ?? {};
  const found = readGrant({ ...NOT_SAID, ...said, client: { ...NO_SECRET, ...objectOf(client) } });
  if (found === null) return null;
  const { version: _, ...grant } = found;
  return grant;
}
