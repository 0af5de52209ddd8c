// Stores one grant for each backend with a sign-in, or for each user with an account there, and each server's last challenge.
import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { MountaineerError, systemErrorCode } from "../../../runtime/errors.ts";
import { ensurePrivateFolder, readIfPresent, writeDurably } from "../../../runtime/files/durable-file.ts";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import {
  list,
  nullable,
  number,
  numberThat,
  object,
  optional,
  reader,
  type TypeOf,
  text,
} from "../../../runtime/shape.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { openEncryptedFiles } from "../../../secrets/encrypted-files.ts";
import type { SecretStore } from "../../../secrets/secret-store.ts";
import { ifMissing, userKey } from "../../../secrets/user-secrets.ts";
import type { SignInAccount } from "../transports/transport-authorization.ts";
import { type BearerChallenge, scopeList } from "./challenge.ts";
import { clientShape } from "./client.ts";

/** Longest wait for another process to finish its renewal, ms. A renewal may take two requests. */
const TURN_WAIT_MS = 45_000;
const LONGEST_ADDRESS = 2_048;

/** Contains no secret. */
export interface StoredChallenge extends BearerChallenge {
  readonly status: 401 | 403;
}

export type GrantStore = ReturnType<typeof openGrantStore>;

export interface GrantStoreOptions {
  readonly home: string;
  readonly clock: Clock;
  readonly openStore: () => Promise<SecretStore>;
  /** Whose grants. Absent: the owner's. */
  readonly account?: SignInAccount;
  /** The name of the only file, which is a user's of any entry: see `StoredAccount`. */
  readonly file?: string;
}

/** The name of a file, without its end. On file systems that ignore case, the hash tells names apart that differ only in case. */
export function grantFile(backend: string, user: string | null): string {
  return `${backend}-${sha256Of(backend).slice(0, 8)}${user === null ? "" : `-${userKey(user)}`}`;
}

/** What such a name says, with the user's `userKey`, null for the owner's; null: it is not such a name. */
export function readGrantFile(file: string) {
  const user = /^-([0-9a-f]{32})$/.exec(file.slice(-33))?.[1] ?? null;
  const start = user === null ? file : file.slice(0, -33);
  const backend = start.slice(0, -9);
  return grantFile(backend, null) === start ? { backend, user } : null;
}

/** A user's account at a server, of which something is stored. */
export interface StoredAccount {
  /** The name of its files, without their ends. */
  readonly file: string;
  readonly backend: string;
}

/** Of one user, or of all; also those of users and servers that are no longer configured. */
export async function storedAccounts(
  home: string,
  of: string | null = null,
): Promise<readonly StoredAccount[]> {
  const names = await readdir(join(home, "sign-in")).catch(ifMissing);
  const files = new Set(names.map((name) => basename(basename(name, ".json"), ".asked")));
  return [...files].flatMap((file) => {
    const { backend, user } = readGrantFile(file) ?? { backend: "", user: null };
    return user !== null && (of === null || userKey(of) === user) ? [{ file, backend }] : [];
  });
}

/** Opens the secret store at the first access. */
export function openGrantStore({ home, clock, openStore, account, file }: GrantStoreOptions) {
  const folder = join(home, "sign-in");
  const fileName = (backend: string): string => file ?? grantFile(backend, account?.user ?? null);
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
  const accountIn = (content: string | null): unknown =>
    content === null ? undefined : jsonObject(content)?.["account"];
  return {
    /**
     * Null also for the grant of another entry of that user's name. Rejects with `secret_unavailable`; `retry` is "never" if the
     * grant can never be read again.
     */
    async read(backend: string, signal: AbortSignal): Promise<Grant | null> {
      const content = await files.read(fileName(backend), signal);
      const isOwn = account?.accounts().some((one) => one === accountIn(content)) ?? true;
      return content === null || !isOwn ? null : parseGrant(content);
    },
    /** True even if the grant cannot be read. Creates no file. */
    has: (backend: string) => files.has(fileName(backend)),
    /** Resolves when the grant is durable. */
    async write(backend: string, grant: Grant, signal: AbortSignal): Promise<void> {
      // The grant of an entry that has ended since then stays that entry's.
      const earlier = async () => accountIn(await files.read(fileName(backend), signal));
      const [entry = account && (await earlier())] = account?.accounts() ?? [];
      const content = { version: VERSION, ...grant, ...(account !== undefined && { account: entry }) };
      await files.write(fileName(backend), JSON.stringify(content), signal);
    },
    async remove(backend: string): Promise<boolean> {
      if (account !== undefined || file !== undefined) await rm(challengePath(backend), { force: true });
      return files.remove(fileName(backend));
    },
    /** Runs one `work` at a time for each backend, also across processes. Rejects with `lock_held`. */
    exclusively: <T>(backend: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> =>
      files.exclusively(fileName(backend), TURN_WAIT_MS, signal, work),
    /** Does not reject if the disk is full: at worst a person has to name the scopes at the sign-in. */
    async keepChallenge(backend: string, serverUrl: string, challenge: StoredChallenge): Promise<void> {
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
    async readChallenge(backend: string, serverUrl: string): Promise<StoredChallenge | null> {
      const content = await readIfPresent(challengePath(backend)).catch(() => null);
      const stored = content === null ? null : jsonObject(content);
      if (stored === null || stored["server"] !== sha256Of(serverUrl)) return null;
      const { status, resourceMetadata, scopes, error } = stored;
      return {
        status: status === 403 ? 403 : 401,
        resourceMetadata: isOfServer(resourceMetadata, serverUrl) ? resourceMetadata : null,
        scopes: Array.isArray(scopes) ? scopeList(scopes.join(" ")) : null,
        error: typeof error === "string" ? error : null,
      };
    },
  };
}

/** The stored challenge is not sealed. If someone edits it, it must not lead a sign-in to another server. */
function isOfServer(address: unknown, serverUrl: string): address is string {
  if (typeof address !== "string" || address.length > LONGEST_ADDRESS) return false;
  const origin = URL.parse(address)?.origin;
  return origin !== undefined && origin === URL.parse(serverUrl)?.origin;
}

const VERSION = 1;

const grantShape = object({
  version: numberThat("1", (version) => version === VERSION),
  /** The tokens are for this address only. */
  serverUrl: text,
  resource: nullable(text),
  issuer: text,
  tokenEndpoint: text,
  revocationEndpoint: nullable(text),
  client: clientShape,
  redirectUri: nullable(text),
  /** Null: the server chose the scopes. */
  scopes: nullable(list(text)),
  accessToken: text,
  /** Wall ms; null: unknown. */
  expiresAtMs: nullable(number),
  refreshToken: nullable(text),
  /** The name of the account, if the issuer told it. */
  accountName: optional(nullable(text)),
  /** Wall ms. */
  obtainedAtMs: number,
  /** Start of a renewal whose outcome is not stored yet, wall ms; null: there is no such renewal. */
  renewingSinceMs: nullable(number),
  /** Why a person has to sign in again; null: no need. */
  ended: nullable(text),
});
export type Grant = Readonly<Omit<TypeOf<typeof grantShape>, "version" | "scopes">> & {
  readonly scopes: readonly string[] | null;
};
const readGrant = reader(grantShape);
/** A token must outlive its request. It is unusable in its last 5 s, or the last tenth of a shorter life. */
const LEAST_REMAINING = { ms: 5_000, part: 0.1 };

/** Times are wall ms. */
export function isUsable(
  { obtainedAtMs, expiresAtMs }: Pick<Grant, "obtainedAtMs" | "expiresAtMs">,
  wallMs: number,
): boolean {
  if (expiresAtMs === null) return true;
  const leastMs = Math.min(LEAST_REMAINING.ms, (expiresAtMs - obtainedAtMs) * LEAST_REMAINING.part);
  return wallMs < expiresAtMs - leastMs;
}

export function isUnreadable(error: unknown): error is MountaineerError {
  return error instanceof MountaineerError && error.code === "secret_unavailable" && error.retry === "never";
}

/** Returns null for a grant of another version, and for content that is not a grant. */
function parseGrant(content: string): Grant | null {
  const found = readGrant(jsonObject(content));
  if (found === null) return null;
  const { version: _, ...grant } = found;
  return grant;
}
