// The key that authenticates a sealed file: in the system's keyring, or in a private file of the home if there is none.
// The serial number of the sealed file is kept beside the key, so that an older copy is recognized.
import { MountaineerError } from "../runtime/errors.ts";
import { readIfPresent, removeLeftovers, writeDurably } from "../runtime/files/durable-file.ts";
import { jsonObject } from "../runtime/text/json-object.ts";
import type { Keyring, KeyringLimits } from "./system-keyring.ts";

export interface SealingKey {
  /** 32 bytes, hexadecimal. */
  readonly key: string;
  /** The serial number of the newest sealed content that is valid; 0: none was sealed yet. */
  readonly serial: number;
  /** A word about the newest content, known even without that content. */
  readonly note: string;
}

export type KeyPlace = "keyring" | "file";

type FoundKey =
  | { readonly kind: "found"; readonly key: SealingKey; readonly place: KeyPlace }
  /** `asked`: a keyring answered, and has none, either. */
  | { readonly kind: "none"; readonly asked: boolean }
  /** The keyring exists but does not answer: it may be locked. */
  | { readonly kind: "unanswered"; readonly reason: string };

interface SealingKeyOptions {
  readonly name: string;
  /** Absolute: where it stands without a keyring. */
  readonly path: string;
  readonly keyring: Keyring | null;
}

/** A key in the keyring comes before one in the file, which anyone who writes to the home could have put there. */
export function openSealingKey({ name, path, keyring }: SealingKeyOptions) {
  // No secret of a person can be called that: those begin with a letter or a digit.
  const item = `_seal-${name}`;

  const inFile = async (asked: boolean): Promise<FoundKey> => {
    const text = await readIfPresent(path);
    const key = text === null ? null : parseKey(text);
    return key === null ? { kind: "none", asked } : { kind: "found", key, place: "file" };
  };

  return {
    async find(limits: KeyringLimits): Promise<FoundKey> {
      if (keyring === null) return inFile(false);
      try {
        const text = await keyring.get(item, limits);
        const key = text === null ? null : parseKey(text);
        return key === null ? await inFile(true) : { kind: "found", key, place: "keyring" };
      } catch (error) {
        if (!(error instanceof MountaineerError) || error.code === "aborted") throw error;
        const isAbsent = error.code === "program_unavailable" || NO_SERVICE.test(error.message);
        return isAbsent ? await inFile(false) : { kind: "unanswered", reason: error.message };
      }
    },

    /** Where a new key goes. */
    async placeForNew(limits: KeyringLimits): Promise<KeyPlace> {
      return keyring !== null && (await keyring.unusableBecause(limits)) === null ? "keyring" : "file";
    },

    /** Durable when it resolves. Rejects with `secret_unavailable`, or the system's error. */
    async keep(key: SealingKey, place: KeyPlace, limits: KeyringLimits): Promise<void> {
      const text = JSON.stringify({ key: key.key, serial: key.serial, note: key.note });
      if (place === "keyring" && keyring !== null) return keyring.set(item, text, limits);
      await removeLeftovers(path);
      await writeDurably(path, `${text}\n`, { mode: 0o600, signal: limits.signal });
    },
  };
}

/** What the programs print when no keyring could be asked at all, as on a server without a desktop session. */
const NO_SERVICE = /not provided by any|ServiceUnknown|autolaunch|no default keychain/i;

function parseKey(text: string): SealingKey | null {
  const { key, serial, note } = jsonObject(text) ?? {};
  if (typeof key !== "string" || !/^[0-9a-f]{64}$/.test(key)) return null;
  if (typeof serial !== "number" || !Number.isSafeInteger(serial) || typeof note !== "string") return null;
  return { key, serial, note };
}
