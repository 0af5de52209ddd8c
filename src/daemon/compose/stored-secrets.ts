// The values of stored secrets that a running configuration refers to. They are read with a deadline whenever a configuration
// is loaded, so that resolving a reference never waits.
import { storedSecretNames, withRevisions } from "../../config/read/secret-uses.ts";
import type { AuthUser, ConfigSnapshot, MountaineerConfig } from "../../config/snapshot.ts";
import type { SignInHome } from "../../gateway/backends/server-sign-in/sign-ins.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { errorText, recoverFrom } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import {
  accountOf,
  isFileName,
  isUserName,
  resolveReference,
  type SecretValues,
  storedKey,
  userSecretName,
} from "../../secrets/reference.ts";
import { readSecretFile, secretFilePath, secretFilesState } from "../../secrets/secret-file.ts";
import type { SecretStore, SecretStoreOptions } from "../../secrets/secret-store.ts";
import type { SecretOwner, UserSecrets } from "../../secrets/user-secrets.ts";

/**
 * Deadline for reading the secrets of a configuration, ms; they are read in parallel. Short, so that a
 * keyring that asks its user does not delay a start.
 */
const READ_DEADLINE_MS = 4_000;
const RETRY_MS = 30_000;

type StoredSecrets = ReturnType<typeof createStoredSecrets>;

interface StoredSecretsOptions extends RuntimeTools {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Called when a configuration first refers to a stored secret. */
  readonly openStore: () => Promise<SecretStore>;
  /** Called when a configuration first refers to a user's own secret. Absent: users have none. */
  readonly openUsers?: () => Promise<UserSecrets>;
}

export function createStoredSecrets(options: StoredSecretsOptions) {
  const { environment, clock, logger, openStore } = options;
  // `${package}` is filled in where a program is started.
  const values: Record<string, string | undefined> = { ...environment, package: "${package}" };
  const revisions = new Map<string, number>();
  let opening: Promise<SecretStore> | null = null;
  /**
   * The secrets that could not be read, including those of configurations that were only previewed or
   * rejected.
   */
  const unread = new Map<string, string>();
  /** The state of the files when they were read last. */
  let filesState: string | null = null;

  const openedStore = (): Promise<SecretStore> => {
    opening ??= openStore();
    return opening;
  };

  const keep = (name: string, value: string | undefined, revisionOf: string): void => {
    const key = storedKey(name);
    if (values[key] !== value) revisions.set(revisionOf, (revisions.get(revisionOf) ?? 0) + 1);
    values[key] = value;
  };

  const readOne = async (name: string, signal: AbortSignal): Promise<void> => {
    try {
      const path = secretFilePath(name, environment["HOME"] ?? "/");
      const value = await within(clock, READ_DEADLINE_MS, signal, async (limit) =>
        path === null
          ? (await openedStore()).get(name, { deadlineMs: READ_DEADLINE_MS, signal: limit })
          : readSecretFile(path, clock, limit),
      );
      keep(name, value ?? undefined, name);
      unread.delete(name);
    } catch (error) {
      signal.throwIfAborted();
      logger.warn("a secret cannot be read", { secret: name, reason: errorText(error) });
      unread.set(name, errorText(error));
    }
  };

  /** Reads the own secrets of the owner and of every user, as far as `names` name them. */
  const readUsers = async ({ config }: ConfigSnapshot, names: readonly string[], signal: AbortSignal) => {
    const owners = usersOf(config).flatMap((user): SecretOwner[] => {
      const tokens = tokensOf(user, values, clock.wallMs());
      return tokens.length === 0 ? [] : [{ name: user.name, tokens }];
    });
    const readOwn = async (owner: SecretOwner): Promise<void> => {
      const [token = ""] = owner?.tokens ?? [];
      const account = owner === null ? null : accountOf(owner.name, sha256Of(token));
      const of = owner === null ? "the owner" : `user ${owner.name}`;
      try {
        const found = await within(clock, READ_DEADLINE_MS, signal, async (limit) =>
          (await options.openUsers?.())?.read(owner, limit),
        );
        for (const name of names) {
          const own = name.slice("user:".length);
          const value = found !== undefined && Object.hasOwn(found, own) ? found[own] : undefined;
          keep(userSecretName(name, account), value, name);
          unread.delete(name);
        }
      } catch (error) {
        signal.throwIfAborted();
        logger.warn("the secrets of a user cannot be read", { of, reason: errorText(error) });
        for (const name of names) unread.set(name, errorText(error));
      }
    };
    await Promise.all([null, ...owners].map(readOwn));
  };

  return {
    /**
     * The environment variables, and the stored secrets as `secret:NAME`. Each `bind` refreshes the secrets.
     */
    values,
    /** The configuration's secrets that could not be read at the last attempt, but may be readable later. */
    unreadOf: ({ config }: ConfigSnapshot): readonly string[] =>
      storedSecretNames(config).filter((name) => unread.has(name)),
    /** Why the configuration's secrets in files could not be read at the last attempt. */
    unreadFilesOf: ({ config }: ConfigSnapshot): readonly string[] =>
      storedSecretNames(config).flatMap((name) => (isFileName(name) ? (unread.get(name) ?? []) : [])),
    /** Whether a file of the configuration's secrets has changed since this was asked last. */
    async filesChanged({ config }: ConfigSnapshot): Promise<boolean> {
      const paths = storedSecretNames(config).flatMap(
        (name) => secretFilePath(name, environment["HOME"] ?? "/") ?? [],
      );
      const before = filesState;
      if (paths.length > 0) filesState = (await secretFilesState(paths, clock)) ?? before;
      return before !== null && filesState !== before;
    },
    /**
     * Reads the configuration's secrets. Resolves with the configuration and a revision of each secret, so
     * that the result differs when a secret has changed. A secret that cannot be read keeps its previous
     * value. Rejects only with the signal's reason.
     */
    async bind(
      snapshot: ConfigSnapshot,
      signal: AbortSignal = new AbortController().signal,
    ): Promise<ConfigSnapshot> {
      const names = storedSecretNames(snapshot.config);
      const ofUsers = names.filter(isUserName);
      await Promise.all(names.map((name) => (isUserName(name) ? null : readOne(name, signal))));
      if (ofUsers.length > 0) await readUsers(snapshot, ofUsers, signal);
      return withRevisions(snapshot, (name) => revisions.get(name) ?? 0);
    },
  };
}

export function usersOf({ incomingAuth }: Pick<MountaineerConfig, "incomingAuth">): readonly AuthUser[] {
  return incomingAuth.type === "anonymous" ? [] : incomingAuth.users;
}

/** The user's present token, then the one before while it is accepted; empty: the present one is not known. */
export function tokensOf(
  { token, oldToken = null, oldUntil = null }: AuthUser,
  values: SecretValues,
  wallMs: number,
): readonly string[] {
  const isOldValid = oldToken !== null && Date.parse(oldUntil ?? "") > wallMs;
  const [present, ...before] = [token, ...(isOldValid ? [oldToken] : [])].map((one) => {
    const found = resolveReference(one, values);
    return found.ok && found.value !== "" ? found.value : null;
  });
  return present === undefined || present === null ? [] : [present, ...before.filter((one) => one !== null)];
}

/** The store's code is loaded on first use. */
async function openStore(options: SecretStoreOptions): Promise<SecretStore> {
  const { openSecretStore } = await import("../../secrets/secret-store.ts");
  return openSecretStore(options);
}

export function homeSecrets(
  options: Omit<StoredSecretsOptions, "openStore"> & { readonly home: string },
): StoredSecrets {
  return createStoredSecrets({
    ...options,
    openStore: () => openStore(options),
    openUsers: () => openUsers(options),
  });
}

/** The users' own secrets of a home. */
export async function openUsers(options: SecretStoreOptions): Promise<UserSecrets> {
  const { openUserSecrets } = await import("../../secrets/user-secrets.ts");
  return openUserSecrets({ ...options, store: await openStore(options) });
}

export function signInHome(options: SecretStoreOptions): SignInHome {
  return { home: options.home, openStore: () => openStore(options) };
}

interface SecretRetryOptions extends RuntimeTools {
  /** True while something could not be read. */
  readonly isDue: () => boolean | Promise<boolean>;
  /** How often it is asked, ms; absent: every 30 s. */
  readonly everyMs?: number;
  readonly refresh: () => Promise<unknown>;
}

/**
 * Calls `refresh` every 30 s while `isDue()`: a keyring is often unlocked only after the daemon has started.
 */
export function startSecretRetry(options: SecretRetryOptions): Disposable {
  const { isDue, clock, logger, refresh, everyMs = RETRY_MS } = options;
  const ending = new AbortController();
  const run = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(everyMs, ending.signal);
      if (!(await isDue())) continue;
      await refresh().catch((error: unknown) =>
        logger.warn("secrets could not be looked up again", { reason: errorText(error) }),
      );
    }
  };
  void run().catch(recoverFrom(() => ending.signal.aborted));
  return { [Symbol.dispose]: () => ending.abort() };
}

/** Rejects if `work` takes longer than `limitMs`. */
async function within<T>(
  clock: Clock,
  limitMs: number,
  signal: AbortSignal,
  work: (limit: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  using _timer = clock.setTimer(limitMs, () => late.abort(new Error(`no answer within ${limitMs} ms`)));
  const limit = AbortSignal.any([signal, late.signal]);
  return await unlessAborted(work(limit), limit);
}
