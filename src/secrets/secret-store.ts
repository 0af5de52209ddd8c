// The store of a home's secrets. The private file `secrets.json` lists them, and holds the values that are not in the
// system's keyring.
import { dirname, join } from "node:path";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import { ensurePrivateFolder, keepPrivateFile, readIfPresent } from "../runtime/files/durable-file.ts";
import { waitExclusive } from "../runtime/files/sqlite-file-lock.ts";
import { choice, object, reader, type TypeOf, text, union } from "../runtime/shape.ts";
import { isObject, jsonObject } from "../runtime/text/json-object.ts";
import { SECRET_NAME } from "../runtime/text/name-forms.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { createKeyring } from "./keyring.ts";
import type { Keyring, KeyringKind, KeyringOptions } from "./system-keyring.ts";

type SecretStorage = "file" | KeyringKind;

interface StoredSecret {
  readonly name: string;
  readonly kept: SecretStorage;
  /** Why the value is in the file although new secrets go to the keyring; absent: it is where new secrets go. */
  readonly reason?: string;
  /** A value of this name was stored before. */
  readonly replaced?: boolean;
}

export interface SecretStoreOptions extends KeyringOptions {
  /** Default: this machine's. */
  readonly keyring?: Keyring | null;
}

/**
 * Each operation rejects with `secret_unavailable` if the keyring or `secrets.json` cannot be read or
 * written, and with `aborted`.
 */
export type SecretStore = ReturnType<typeof openSecretStore>;

/** Long, because a locked keyring first asks the person for its password. */
const CHANGE_DEADLINE_MS = 120_000;
const USABLE_DEADLINE_MS = 3_000;
const LOCK_WAIT_MS = 10_000;
/** How long the first secret of a home waits to learn whether the keyring can store. */
const PROBE_MS = 5_000;
const PROBE = "mountaineer-probe";
/** The Keychain's tool takes a longer value only as an argument, which others could read. In bytes. */
const LONGEST_IN_KEYCHAIN = 1_900;

export function openSecretStore(options: SecretStoreOptions) {
  const { home, clock } = options;
  const keyring = options.keyring === undefined ? createKeyring(options) : options.keyring;
  const filePath = join(home, "secrets.json");

  const keyringOf = (record: SecretRecord): Keyring => {
    if (keyring !== null && keyring.kind === record.kept) return keyring;
    throw unavailable(`it is stored in ${storageText(record.kept)}, which this machine does not have`);
  };

  const exclusively = <T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> => {
    const busy = unavailable("another command is changing the secrets of this home");
    const path = join(home, "secrets.lock.db");
    return withLock(path, { clock, withinMs: LOCK_WAIT_MS, signal, busy, work });
  };

  /** Stores and removes a value, because a keyring that answers may be unable to store, as in a login by ssh. */
  const canStore = async (signal: AbortSignal): Promise<boolean> => {
    const dueMs = clock.monotonicMs() + PROBE_MS;
    const limits = () => ({ deadlineMs: Math.max(0, dueMs - clock.monotonicMs()), signal });
    if (keyring === null || (await keyring.unusableBecause(limits())) !== null) return false;
    try {
      await keyring.set(PROBE, PROBE, limits());
      await keyring.remove(PROBE, limits());
      return true;
    } catch {
      signal.throwIfAborted();
      return false;
    }
  };

  /** Where this home's secrets go. Decided at the first secret; a later failure does not change it. */
  const chooseUsual = async (file: SecretFile, signal: AbortSignal): Promise<Usual> => {
    if (file.size === 0) return (await canStore(signal)) ? "keyring" : "file";
    return [...file.values()].every(({ kept }) => kept === "file") ? "file" : "keyring";
  };

  const storageFor = async (wanted: Usual, signal: AbortSignal): Promise<Keyring | null> => {
    if (wanted === "file") return null;
    const why =
      keyring === null
        ? "this system has no keyring"
        : await keyring.unusableBecause({ deadlineMs: USABLE_DEADLINE_MS, signal });
    if (why === null) return keyring;
    throw unavailable(`the keyring cannot be used: ${why}`);
  };

  return {
    filePath,
    /** Sorted by name; asks no keyring. */
    async list(): Promise<readonly StoredSecret[]> {
      const { secrets } = await readSecrets(filePath);
      return [...secrets]
        .map(([name, { kept }]) => ({ name, kept }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    /** Whether any secret is in the keyring; asks none. */
    usesKeyring: async (): Promise<boolean> =>
      [...(await readSecrets(filePath)).secrets.values()].some(({ kept }) => kept !== "file"),
    /** The value; null when there is none. It must not be shown or logged. */
    async get(
      name: string,
      limits: { readonly deadlineMs: number; readonly signal?: AbortSignal },
    ): Promise<string | null> {
      const record = (await readSecrets(filePath)).secrets.get(name);
      if (record === undefined) return null;
      return record.kept === "file" ? record.value : keyringOf(record).get(name, limits);
    },
    /**
     * Stores a value in the `wanted` storage. null: where the secret is stored already, else where the home's secrets go:
     * the keyring, if it could store when the first of them came. Resolves with the storage once the value is durable.
     */
    set: (
      name: string,
      value: string,
      wanted: "file" | "keyring" | null,
      signal: AbortSignal,
    ): Promise<StoredSecret> =>
      exclusively(signal, async () => {
        const { secrets, usual: known } = await readSecrets(filePath);
        const file = new Map(secrets);
        const before = file.get(name);
        const limits = { deadlineMs: CHANGE_DEADLINE_MS, signal };
        const usual = known ?? (wanted === null ? await chooseUsual(file, signal) : null);
        const present = before === undefined ? usual : before.kept === "file" ? "file" : "keyring";
        const isLong = keyring?.kind === "keychain" && Buffer.byteLength(value) > LONGEST_IN_KEYCHAIN;
        const chosen = wanted ?? present ?? "file";
        const storage = isLong ? null : await storageFor(chosen, signal);
        await storage?.set(name, value, limits);
        file.set(name, storage === null ? { kept: "file", value } : { kept: storage.kind });
        await writeSecrets(filePath, file, usual);
        // The old copy is no longer read, so a failure to remove it is ignored.
        if (storage === null && keyring?.kind === before?.kept) {
          await keyring?.remove(name, limits).catch(() => false);
        }
        const reason = `the Keychain takes ${LONGEST_IN_KEYCHAIN} bytes at most`;
        return {
          name,
          kept: storage?.kind ?? "file",
          ...(isLong && chosen === "keyring" && { reason }),
          ...(before !== undefined && { replaced: true }),
        };
      }),
    /** Removes a secret. Resolves with its former storage; null if there was none. */
    remove: (name: string, signal: AbortSignal): Promise<StoredSecret | null> =>
      exclusively(signal, async () => {
        const { secrets, usual } = await readSecrets(filePath);
        const file = new Map(secrets);
        const record = file.get(name);
        if (record === undefined) return null;
        if (record.kept !== "file") {
          await keyringOf(record).remove(name, { deadlineMs: CHANGE_DEADLINE_MS, signal });
        }
        file.delete(name);
        await writeSecrets(filePath, file, usual);
        return { name, kept: record.kept };
      }),
  };
}

interface LockedWork<T> {
  readonly clock: Clock;
  readonly withinMs: number;
  readonly signal: AbortSignal;
  /** The error if the lock is not free within `withinMs`. */
  readonly busy: MountaineerError;
  readonly work: () => Promise<T>;
}

/** Makes the folder of the lock file `path`, and runs `work` under the lock. A crash frees the lock. */
export async function withLock<T>(path: string, { busy, work, ...wait }: LockedWork<T>): Promise<T> {
  await ensurePrivateFolder(dirname(path));
  const lock = await waitExclusive(path, wait).catch((error: unknown) => {
    wait.signal.throwIfAborted();
    throw unavailable(`${path} cannot be locked: ${errorText(error)}`, error);
  });
  if (lock === null) throw busy;
  try {
    return await work();
  } finally {
    lock.release();
  }
}

export function storageText(storage: SecretStorage): string {
  switch (storage) {
    case "file":
      return "a file of this home";
    case "secret-service":
      return "the Secret Service";
    case "keychain":
      return "the Keychain";
  }
}

async function readSecrets(path: string): Promise<{ secrets: SecretFile; usual: Usual | null }> {
  const text = await readIfPresent(path).catch((error: unknown) => {
    throw unavailable(`${path} cannot be read: ${errorText(error)}`, error);
  });
  if (text === null) return { secrets: new Map(), usual: null };
  const { new_ones: usual } = jsonObject(text) ?? {};
  const isKnown = usual === "file" || usual === "keyring";
  return { secrets: parseSecretFile(text, path), usual: isKnown ? usual : null };
}

async function writeSecrets(path: string, file: SecretFile, usual: Usual | null): Promise<void> {
  try {
    await keepPrivateFile(path, secretFileText(file, usual), { mode: 0o600 });
  } catch (error) {
    throw unavailable(`${path} cannot be written: ${errorText(error)}`, error);
  }
}

function unavailable(message: string, cause?: unknown): MountaineerError {
  return new MountaineerError("secret_unavailable", message, { retry: "later", cause });
}

const recordShape = union(
  object({ kept: choice("file"), value: text }),
  object({ kept: choice("secret-service", "keychain") }),
);
type SecretRecord = Readonly<TypeOf<typeof recordShape>>;
const recordOf = reader(recordShape);

type SecretFile = ReadonlyMap<string, SecretRecord>;
/** Where new secrets of this home go. */
type Usual = "file" | "keyring";

const VERSION = 1;

/**
 * Throws `secret_unavailable` if the content is not that of a `secrets.json`; the message never shows the
 * content.
 */
export function parseSecretFile(content: string, path: string): SecretFile {
  const value = jsonObject(content);
  if (value?.["version"] === undefined) throw strange(path, "it is not a file of secrets");
  if (value["version"] !== VERSION) throw strange(path, "another version of Mountaineer wrote it");
  if (!isObject(value["secrets"])) throw strange(path, "it has no secrets");
  const file = new Map<string, SecretRecord>();
  for (const [name, entry] of Object.entries(value["secrets"])) {
    const record = recordOf(entry);
    if (record === null || !SECRET_NAME.form.test(name))
      throw strange(path, "one of its entries is not a secret");
    file.set(name, record);
  }
  return file;
}

function secretFileText(file: SecretFile, usual: Usual | null): string {
  const chosen = usual === null ? {} : { new_ones: usual };
  return `${JSON.stringify({ version: VERSION, ...chosen, secrets: Object.fromEntries(file) }, null, 2)}\n`;
}

function strange(path: string, why: string): MountaineerError {
  return new MountaineerError("secret_unavailable", `${path} cannot be understood: ${why}`, {
    hint: "the file was not changed; move it away, and store the secrets again with `mountaineer secret set`",
  });
}
