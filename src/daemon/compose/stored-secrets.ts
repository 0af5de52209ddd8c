// The values of stored secrets while a configuration runs. They are read each time a configuration is loaded, with a
// deadline, so that resolving a reference never waits.
import { storedSecretNames, withRevisions } from "../../config/read/secret-uses.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import type { SignInHome } from "../../gateway/backends/sign-in/sign-ins.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { type Clock, systemClock, type Timer } from "../../runtime/time/clock.ts";
import { storedKey } from "../../secrets/reference.ts";
import type { SecretStore, SecretStoreOptions } from "../../secrets/secret-store.ts";

/** All secrets of a configuration are read at once; a keyring that waits for its person must not hold up a start. */
const READ_DEADLINE_MS = 4_000;
const RETRY_MS = 30_000;

type StoredSecrets = ReturnType<typeof createStoredSecrets>;

interface StoredSecretsOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called when a configuration refers to a stored secret, and not before. */
  readonly openStore: () => Promise<SecretStore>;
}

export function createStoredSecrets(options: StoredSecretsOptions) {
  const { environment, clock, logger, openStore } = options;
  const values: Record<string, string | undefined> = { ...environment };
  const revisions = new Map<string, number>();
  let opening: Promise<SecretStore> | null = null;
  /** Also of configurations that were only previewed, or rejected. */
  const unread = new Set<string>();

  const readOne = async (name: string, signal: AbortSignal): Promise<void> => {
    const key = storedKey(name);
    try {
      opening ??= openStore();
      const store = await opening;
      const value = await within(clock, READ_DEADLINE_MS, signal, (limit) =>
        store.get(name, { deadlineMs: READ_DEADLINE_MS, signal: limit }),
      );
      signal.throwIfAborted();
      const now = value ?? undefined;
      if (values[key] !== now || !revisions.has(name)) revisions.set(name, (revisions.get(name) ?? 0) + 1);
      values[key] = now;
      unread.delete(name);
    } catch (error) {
      signal.throwIfAborted();
      logger.warn("a secret cannot be read", { secret: name, reason: errorText(error) });
      if (!revisions.has(name)) revisions.set(name, 1);
      unread.add(name);
    }
  };

  return {
    /** The process's environment, with the values under `secret:NAME`; those change with each `bind`. */
    values,
    /** Its names that could not be read when they were last looked for, for a reason that may pass. */
    unreadOf: ({ config }: ConfigSnapshot): readonly string[] =>
      storedSecretNames(config).filter((name) => unread.has(name)),
    /**
     * Reads the secrets that the configuration refers to, and gives it with their revisions. A secret that cannot be read
     * keeps the value it had. Never rejects but for the signal's reason.
     */
    async bind(
      snapshot: ConfigSnapshot,
      signal: AbortSignal = new AbortController().signal,
    ): Promise<ConfigSnapshot> {
      const names = storedSecretNames(snapshot.config);
      await Promise.all(names.map((name) => readOne(name, signal)));
      return withRevisions(snapshot, (name) => revisions.get(name) ?? 0);
    },
  };
}

/** Those of a home; its store is loaded when it is needed. */
export function homeSecrets(
  options: Omit<StoredSecretsOptions, "openStore"> & { readonly home: string },
): StoredSecrets {
  return createStoredSecrets({
    ...options,
    async openStore() {
      const { openSecretStore } = await import("../../secrets/secret-store.ts");
      return openSecretStore(options);
    },
  });
}

/** Where a home keeps the sign-ins to its backends; its store is loaded when there is one to read. */
export function signInHome(options: SecretStoreOptions): SignInHome {
  return {
    home: options.home,
    async openStore() {
      const { openSecretStore } = await import("../../secrets/secret-store.ts");
      return openSecretStore(options);
    },
  };
}

interface SecretRetryOptions {
  /** Of what runs. */
  readonly unread: () => readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** Looks for all of them again. */
  readonly refresh: () => Promise<unknown>;
}

/** While secrets could not be read, looks again: a keyring is often unlocked only after the daemon has started. */
export function startSecretRetry({ unread, clock, logger, refresh }: SecretRetryOptions): Disposable {
  let timer: Timer | null = null;
  let ended = false;
  const arm = (): void => {
    if (ended) return;
    timer = clock.setTimer(RETRY_MS, () => {
      void again().then(arm);
    });
  };
  const again = async (): Promise<void> => {
    if (unread().length === 0) return;
    await refresh().catch((error: unknown) =>
      logger.warn("secrets could not be looked up again", { reason: errorText(error) }),
    );
  };
  arm();
  return {
    [Symbol.dispose]() {
      ended = true;
      timer?.[Symbol.dispose]();
    },
  };
}

/** Rejects when `work` takes longer, whatever it does then. */
async function within<T>(
  clock: Clock,
  limitMs: number,
  signal: AbortSignal,
  work: (limit: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  using _timer = clock.setTimer(limitMs, () => late.abort(new Error(`no answer within ${limitMs} ms`)));
  const limit = AbortSignal.any([signal, late.signal]);
  limit.throwIfAborted();
  return await unlessAborted(work(limit), limit);
}

/** The names of a home's secrets, found at once and without asking a keyring. Rejects with `secret_unavailable`. */
export async function keptSecretNames(home: string): Promise<readonly string[]> {
  const { openSecretStore } = await import("../../secrets/secret-store.ts");
  const store = openSecretStore({ home, clock: systemClock, environment: process.env });
  return (await store.list()).map(({ name }) => name);
}
