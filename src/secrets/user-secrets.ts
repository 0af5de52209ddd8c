// The own secrets of users, for servers with `accounts = "each"`: one encrypted file for each user, and one for the owner. A
// file belongs to an entry of the configuration, by its name and token: a later user of the same name gets nothing of it.
import { join } from "node:path";
import { systemErrorCode } from "../runtime/errors.ts";
import { sha256Of } from "../runtime/files/sha256.ts";
import { object, reader, record, type TypeOf, text } from "../runtime/shape.ts";
import { jsonObject } from "../runtime/text/json-object.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { openEncryptedFiles } from "./encrypted-files.ts";
import { accountOf } from "./reference.ts";
import type { SecretStore } from "./secret-store.ts";

/** A user of the file, by its present token and the one before; null: the owner. */
export type SecretOwner = { readonly name: string; readonly tokens: readonly string[] } | null;

const LOCK_WAIT_MS = 10_000;
const OF_OWNER = "owner";

const fileShape = object({ account: text, values: record(text) });
type StoredValues = Readonly<TypeOf<typeof fileShape>>;
const readFile = reader(fileShape);

export type UserSecrets = ReturnType<typeof openUserSecrets>;

interface UserSecretsOptions {
  readonly home: string;
  readonly clock: Clock;
  readonly store: Pick<SecretStore, "get" | "set">;
}

/** All methods reject with `secret_unavailable`, `lock_held` and the signal's reason. */
export function openUserSecrets({ home, clock, store }: UserSecretsOptions) {
  const files = openEncryptedFiles({ folder: join(home, "user-secrets"), clock, store });

  const find = async (owner: SecretOwner, signal: AbortSignal): Promise<StoredValues | null> => {
    const content = await files.read(fileOf(owner), signal);
    const found = content === null ? null : readFile(jsonObject(content));
    return found !== null && accountsOf(owner).includes(found.account) ? found : null;
  };
  const write = (owner: SecretOwner, values: StoredValues["values"], signal: AbortSignal): Promise<void> => {
    const [account = OF_OWNER] = accountsOf(owner);
    return files.write(fileOf(owner), JSON.stringify({ account, values }), signal);
  };
  const exclusively = <T>(owner: SecretOwner, signal: AbortSignal, work: () => Promise<T>): Promise<T> =>
    files.exclusively(fileOf(owner), LOCK_WAIT_MS, signal, work);

  return {
    /** By name. The values must not be shown or logged. */
    read: async (owner: SecretOwner, signal: AbortSignal): Promise<StoredValues["values"]> =>
      (await find(owner, signal))?.values ?? {},
    set: (owner: SecretOwner, name: string, value: string, signal: AbortSignal): Promise<void> =>
      exclusively(owner, signal, async () =>
        write(owner, { ...(await find(owner, signal))?.values, [name]: value }, signal),
      ),
    /** The user has a new token: the secrets of one of `owner.tokens` belong to the first. False: there are none. */
    renew: (owner: SecretOwner, signal: AbortSignal): Promise<boolean> =>
      exclusively(owner, signal, async () => {
        const found = await find(owner, signal);
        if (found !== null) await write(owner, found.values, signal);
        return found !== null;
      }),
    /** Forgets all secrets of a user. */
    forget: (name: string): Promise<boolean> => files.remove(fileOf({ name, tokens: [] })),
  };
}

export function accountsOf(owner: SecretOwner): readonly string[] {
  return owner === null ? [OF_OWNER] : owner.tokens.map((token) => accountOf(owner.name, sha256Of(token)));
}

function fileOf(owner: SecretOwner): string {
  return owner === null ? OF_OWNER : `user-${userKey(owner.name)}`;
}

/** Names the user in the names of files. */
export function userKey(user: string): string {
  return sha256Of(user).slice(0, 32);
}

export function ifMissing(error: unknown): readonly string[] {
  if (systemErrorCode(error) === "ENOENT") return [];
  throw error;
}
