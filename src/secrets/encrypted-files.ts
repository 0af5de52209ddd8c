// Small private files, encrypted with one key of the home, for values that are too long for the keyring or
// change too often. The key is kept as a secret.
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { unlink } from "node:fs/promises";
import { join } from "node:path";
import { errorText, MountaineerError, systemErrorCode } from "../runtime/errors.ts";
import { keepPrivateFile, readIfPresent } from "../runtime/files/durable-file.ts";
import { jsonObject } from "../runtime/text/json-object.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { type SecretStore, withLock } from "./secret-store.ts";

/** The name of the key in `mountaineer secret list`. */
export const ENCRYPTION_KEY = "sign-in.key";

const VERSION = 1;
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const KEY_DEADLINE_MS = 10_000;

interface EncryptedFilesOptions {
  /** The folder of the files, absolute; created by the first write. */
  readonly folder: string;
  readonly store: Pick<SecretStore, "get" | "set">;
  readonly clock: Clock;
}

/** Names may only have letters, digits, `_` and `-`. */
export function openEncryptedFiles({ folder, store, clock }: EncryptedFilesOptions) {
  let known: Buffer | null = null;

  const pathOf = (name: string): string => join(folder, `${name}.json`);

  const presentText = (name: string): Promise<string | null> =>
    readIfPresent(pathOf(name)).catch((error: unknown) => {
      throw unavailable("later", `${pathOf(name)} cannot be read: ${errorText(error)}`, error);
    });

  const readKey = async (signal: AbortSignal): Promise<Buffer | null> => {
    if (known !== null) return known;
    const text = await store.get(ENCRYPTION_KEY, { deadlineMs: KEY_DEADLINE_MS, signal });
    const key = text === null ? null : Buffer.from(text, "base64");
    if (key !== null && key.length !== KEY_BYTES)
      throw unavailable("never", `the secret ${ENCRYPTION_KEY} is not a key of ${KEY_BYTES} bytes`);
    known = key;
    return key;
  };

  const exclusively = <T>(
    name: string,
    withinMs: number,
    signal: AbortSignal,
    work: () => Promise<T>,
  ): Promise<T> => {
    const busy = new MountaineerError("lock_held", "another process is using the file", { retry: "later" });
    return withLock(join(folder, `${name}.lock.db`), { clock, withinMs, signal, busy, work });
  };

  /** The key for writing; made under a lock, so that two processes never make two keys. */
  const keyForWriting = async (signal: AbortSignal): Promise<Buffer> =>
    (await readKey(signal)) ??
    exclusively("_key", KEY_DEADLINE_MS, signal, async () => {
      const other = await readKey(signal);
      if (other !== null) return other;
      const made = randomBytes(KEY_BYTES);
      await store.set(ENCRYPTION_KEY, made.toString("base64"), null, signal);
      known = made;
      return made;
    });

  return {
    /** Whether there is a file of that name, even if our key cannot decrypt it. */
    has: async (name: string): Promise<boolean> => (await presentText(name)) !== null,
    /**
     * Runs `work` under the lock that belongs to `name`. Rejects with `lock_held` if the lock is not free within
     * `withinMs`.
     */
    exclusively,
    /**
     * Returns the stored text; null if there is none. Rejects with `secret_unavailable`: `retry` is "later" if the
     * key cannot be read now, "never" if the key does not decrypt the file.
     */
    async read(name: string, signal: AbortSignal): Promise<string | null> {
      const text = await presentText(name);
      if (text === null) return null;
      const key = await readKey(signal);
      if (key === null) throw unavailable("never", `its key, the secret ${ENCRYPTION_KEY}, is gone`);
      return decryptText(name, text, key);
    },
    /** Writes a file; durable when it resolves. Rejects with `secret_unavailable`. */
    async write(name: string, text: string, signal: AbortSignal): Promise<void> {
      const key = await keyForWriting(signal);
      const path = pathOf(name);
      try {
        await keepPrivateFile(path, encryptText(name, text, key), { mode: 0o600 });
      } catch (error) {
        throw unavailable("later", `${path} cannot be written: ${errorText(error)}`, error);
      }
    },
    /** Removes a file; false if there was none. Needs no key. */
    async remove(name: string): Promise<boolean> {
      try {
        await unlink(pathOf(name));
        return true;
      } catch (error) {
        if (systemErrorCode(error) === "ENOENT") return false;
        throw unavailable("later", `${pathOf(name)} cannot be removed: ${errorText(error)}`, error);
      }
    },
  };
}

/**
 * The text of an encrypted file. `key`: 32 bytes. The name is authenticated together with the text, so that no file can
 * take the place of another.
 */
export function encryptText(name: string, text: string, key: Buffer): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(name));
  const body = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
  const whole = Buffer.concat([iv, cipher.getAuthTag(), body]).toString("base64");
  return `${JSON.stringify({ version: VERSION, sealed: whole })}\n`;
}

/** Throws `secret_unavailable`: another key, name or program made the text. */
export function decryptText(name: string, text: string, key: Buffer): string {
  const { version, sealed: whole } = jsonObject(text) ?? {};
  if (version !== VERSION || typeof whole !== "string") {
    throw unavailable("never", "it is not a file that this version can open");
  }
  const bytes = Buffer.from(whole, "base64");
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, IV_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.from(name));
    decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
    const body = bytes.subarray(IV_BYTES + TAG_BYTES);
    return Buffer.concat([decipher.update(body), decipher.final()]).toString("utf8");
  } catch (error) {
    throw unavailable("never", "it does not belong to this home's key, or was changed", error);
  }
}

function unavailable(retry: "later" | "never", message: string, cause?: unknown): MountaineerError {
  return new MountaineerError("secret_unavailable", message, { retry, cause });
}
