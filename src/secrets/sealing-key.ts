// The key that authenticates a sealed file, in the system's keyring, or in a private file of the home if there is no
// keyring. The newest serial number of the sealed file is kept beside the key, so that an older copy is detected.
import { MountaineerError } from "../runtime/errors.ts";
import { keepPrivateFile, readIfPresent } from "../runtime/files/durable-file.ts";
import { matching, numberThat, object, reader, type TypeOf, text } from "../runtime/shape.ts";
import { jsonObject } from "../runtime/text/json-object.ts";
import type { Keyring, KeyringLimits } from "./system-keyring.ts";

const keyShape = object({
  key: matching(/^[0-9a-f]{64}$/, "32 bytes, hexadecimal"),
  /** The serial number of the newest sealed content; 0: no content has been sealed. */
  serial: numberThat("a whole number", Number.isSafeInteger),
  /** A short text about the newest content. It can be read without the sealed file. */
  note: text,
});
export type SealingKey = Readonly<TypeOf<typeof keyShape>>;
const keyOf = reader(keyShape);

export type KeyStorage = "keyring" | "file";

type FoundKey =
  | { readonly kind: "found"; readonly key: SealingKey; readonly storage: KeyStorage }
  /** `hasAnswered`: true if a keyring has answered that it has no key. */
  | { readonly kind: "none"; readonly hasAnswered: boolean }
  /** The keyring exists but does not answer: it may be locked. */
  | { readonly kind: "unanswered"; readonly reason: string };

interface SealingKeyOptions {
  readonly name: string;
  /** The absolute path of the file that holds the key if there is no keyring. */
  readonly path: string;
  readonly keyring: Keyring | null;
}

/** The name of a sealed file's key in the keyring. A person's secret begins with a letter or digit, so it never has it. */
export function sealingKeyName(name: string): string {
  return `_seal-${name}`;
}

/**
 * Opens the key. A key in the keyring overrides one in the file, which any program that can write to the home
 * could have created.
 */
export function openSealingKey({ name, path, keyring }: SealingKeyOptions) {
  const item = sealingKeyName(name);

  const inFile = async (hasAnswered: boolean): Promise<FoundKey> => {
    const key = keyOf(jsonObject((await readIfPresent(path)) ?? ""));
    return key === null ? { kind: "none", hasAnswered } : { kind: "found", key, storage: "file" };
  };

  return {
    async find(limits: KeyringLimits): Promise<FoundKey> {
      if (keyring === null) return inFile(false);
      try {
        const key = keyOf(jsonObject((await keyring.get(item, limits)) ?? ""));
        return key === null ? await inFile(true) : { kind: "found", key, storage: "keyring" };
      } catch (error) {
        if (!(error instanceof MountaineerError) || error.code === "aborted") throw error;
        const isAbsent = error.code === "program_unavailable" || NO_SERVICE.test(error.message);
        return isAbsent ? await inFile(false) : { kind: "unanswered", reason: error.message };
      }
    },

    async storageForNew(limits: KeyringLimits): Promise<KeyStorage> {
      return keyring !== null && (await keyring.unusableBecause(limits)) === null ? "keyring" : "file";
    },

    /** Resolves when the key is stored durably. Rejects with `secret_unavailable`, or the system's error. */
    async keep(key: SealingKey, storage: KeyStorage, limits: KeyringLimits): Promise<void> {
      const content = JSON.stringify({ key: key.key, serial: key.serial, note: key.note });
      if (storage === "keyring" && keyring !== null) return keyring.set(item, content, limits);
      await keepPrivateFile(path, `${content}\n`, { mode: 0o600, signal: limits.signal });
    },
  };
}

/**
 * The messages of `security` and `secret-tool` if there is no keyring, as on a server without a desktop
 * session.
 */
const NO_SERVICE = /not provided by any|ServiceUnknown|autolaunch|no default keychain/i;
