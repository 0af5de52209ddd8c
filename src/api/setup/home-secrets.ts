// This home's secrets: listed by name, stored and removed. No answer contains a value.

import { MountaineerError } from "../../runtime/errors.ts";
import { choice, flag, list, nullable, object, optional, type TypeOf, text } from "../../runtime/shape.ts";

const secretStorage = choice("file", "secret-service", "keychain");
export type SecretStorageName = TypeOf<typeof secretStorage>;

export const secretListShape = object({
  /** Sorted by name. */
  secrets: list(
    object({
      name: text,
      /** Where the secret is stored; null: the configuration refers to it, but it is not stored. */
      kept: nullable(secretStorage),
      /** The entries of the configuration that refer to it: "share CORE". */
      used_by: list(text),
    }),
  ),
  /**
   * Why the configuration cannot be read, in which case `used_by` may be incomplete; null: it can be read.
   */
  config_error: nullable(text),
});
export type SecretListReport = TypeOf<typeof secretListShape>;

export function storedNames({ secrets }: SecretListReport): ReadonlySet<string> {
  return new Set(secrets.flatMap(({ name, kept }) => (kept === null ? [] : [name])));
}

export const secretChangeShape = object({
  name: text,
  kept: secretStorage,
  reason: optional(text),
  /** True: a value of this name was stored before. */
  replaced: optional(flag),
});
type SecretChange = TypeOf<typeof secretChangeShape>;

/** All methods may reject with `secret_unavailable`, `home_unwritable` and the signal's reason. */
export interface HomeSecrets {
  list(): Promise<SecretListReport>;
  set(
    name: string,
    value: string,
    storage: "file" | "keyring" | null,
    signal: AbortSignal,
  ): Promise<SecretChange>;
  /** Rejects with `secret_unknown`. */
  remove(name: string, signal: AbortSignal): Promise<SecretChange>;
}

/** After these failures, the configuration may have been written. */
const UNCERTAIN: ReadonlySet<string> = new Set(["timed_out", "daemon_unreachable", "aborted"]);

/**
 * Stores the secrets before `write` changes the configuration, because a running daemon applies that change at once.
 * Removes the secrets again if `write` was refused. Rejects as `set` and `write` do.
 */
export async function keepWhile<T>(
  store: Pick<HomeSecrets, "set" | "remove">,
  secrets: Iterable<readonly [name: string, value: string]>,
  signal: AbortSignal,
  write: () => Promise<T>,
): Promise<T> {
  const kept: string[] = [];
  let isWriting = false;
  try {
    for (const [name, value] of secrets) {
      await store.set(name, value, null, signal);
      kept.push(name);
    }
    isWriting = true;
    return await write();
  } catch (error) {
    const isUnwritten = !isWriting || (error instanceof MountaineerError && !UNCERTAIN.has(error.code));
    for (const name of isUnwritten ? kept : []) await store.remove(name, signal).catch(() => {});
    throw error;
  }
}
