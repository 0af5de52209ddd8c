// A keyring in memory that a test can lock.
import { MountaineerError } from "../../src/runtime/errors.ts";
import type { Keyring } from "../../src/secrets/system-keyring.ts";

export type MemoryKeyring = Keyring & { readonly values: Map<string, string>; lockedBecause: string | null };

export function memoryKeyring(): MemoryKeyring {
  const values = new Map<string, string>();
  const refuse = (): void => {
    if (keyring.lockedBecause !== null)
      throw new MountaineerError("secret_unavailable", keyring.lockedBecause);
  };
  const keyring: MemoryKeyring = {
    kind: "secret-service",
    values,
    lockedBecause: null,
    unusableBecause: () => Promise.resolve(keyring.lockedBecause),
    async get(name) {
      refuse();
      return values.get(name) ?? null;
    },
    async set(name, value) {
      refuse();
      values.set(name, value);
    },
    async remove(name) {
      refuse();
      return values.delete(name);
    },
  };
  return keyring;
}
