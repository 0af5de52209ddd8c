// The interface of a system's keyring; each `keyring-OS.ts` implements it.
import type { Clock } from "../runtime/time/clock.ts";

export type KeyringKind = "secret-service" | "keychain";

export interface KeyringOptions {
  /** The home that owns the secrets; homes do not share secrets of the same name. */
  readonly home: string;
  readonly clock: Clock;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface KeyringLimits {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Values travel over pipes, never in arguments. Failures reject with `secret_unavailable`, or `aborted`. */
export interface Keyring {
  readonly kind: KeyringKind;
  /** Why the keyring cannot be used on this machine; null when it can. Rejects only with `aborted`. */
  unusableBecause(limits: KeyringLimits): Promise<string | null>;
  /** The value; null: the keyring has no secret of that name. */
  get(name: string, limits: KeyringLimits): Promise<string | null>;
  set(name: string, value: string, limits: KeyringLimits): Promise<void>;
  /** Removes a secret; false if there was none. */
  remove(name: string, limits: KeyringLimits): Promise<boolean>;
}
